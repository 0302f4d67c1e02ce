package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"anabranch.dev/internal/faultdisk"
)

// Options of a log.
type Options struct {
	Dir   string // created if missing
	Group uint64 // part of every record's checksum

	Durability Durability // default [Disk]
	// SegmentBytes is the size of a segment file. Default 64 MiB.
	SegmentBytes int
	// Snapshot is the index of the newest snapshot: the log may end there.
	Snapshot uint64
	// Boot is the machine's boot id. Default [BootID].
	Boot string

	// OnSync is told how long each sync of a file took. May be nil.
	OnSync func(took time.Duration)
	// OnFault is told, once, the fault after which nothing is written any
	// more. It must not block. May be nil.
	OnFault func(err error)

	// FS and Meta replace the disk, for tests.
	FS   types.VFS
	Meta types.MetaStore
	// Fault, for tests, is asked before each access to the disk; an error
	// makes the access fail with it.
	Fault func(op Op, name string) error
}

func (o Options) withDefaults() (Options, error) {
	if o.Durability == "" {
		o.Durability = Disk
	}
	if o.Durability != Disk && o.Durability != Memory {
		return o, fmt.Errorf("durability is %q; want %s or %s", o.Durability, Disk, Memory)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.Boot == "" {
		boot, err := BootID()
		if err != nil {
			return o, err
		}
		o.Boot = faultdisk.BootID(boot)
	}
	if o.OnSync == nil {
		o.OnSync = func(time.Duration) {}
	}
	if o.OnFault == nil {
		o.OnFault = func(error) {}
	}
	if o.FS == nil {
		o.FS = newFS()
		if err := faultdisk.MkdirAll(o.Dir, 0o755); err != nil {
			return o, err
		}
	}
	if o.Meta == nil {
		o.Meta = newMeta()
	}
	return o, nil
}

// Log is a group's Raft log and stable store.
type Log struct {
	o    Options
	wal  *wal.WAL
	disk *disk

	first            atomic.Uint64 // 0 while the log is empty
	appended, synced atomic.Uint64 // last index handed to the system; on the disk

	mu     sync.Mutex // guards mark
	mark   *markFile
	closed bool
}

var (
	_ raft.LogStore          = (*Log)(nil)
	_ raft.MonotonicLogStore = (*Log)(nil)
	_ raft.StableStore       = (*Log)(nil)
)

// Open opens or makes the log in a directory and checks all of it: every
// record's checksum, its end against the mark, and how it was left.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", o.Dir, err)
	}
	l := &Log{o: o, disk: newDisk(o)}
	l.disk.appended = l.appended.Load
	l.disk.synced = l.advanceSynced
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", o.Dir, unreadable(err))
	}
	l.disk.start()
	return l, nil
}

func (l *Log) open() (err error) {
	meta := &metaStore{MetaStore: l.o.Meta, d: l.disk}
	defer func() {
		if err == nil {
			return
		}
		if l.mark != nil {
			err = errors.Join(err, l.mark.close())
		}
		if l.wal != nil {
			err = errors.Join(err, l.wal.Close())
		} else {
			err = errors.Join(err, meta.Close())
		}
	}()
	defer catchPages(&err)
	if l.mark, err = openMark(l.o.Dir, l.disk); err != nil {
		return err
	}
	left := l.mark.last
	if left.memory && !left.clean && left.boot != l.o.Boot {
		return ErrUnclean
	}
	f := filer{segment.NewFiler(l.o.Dir, l.disk)}
	if err := settleTail(l.o.Dir, l.disk, meta, f); err != nil {
		return err
	}
	l.wal, err = wal.Open(l.o.Dir, wal.WithCodec(codec{l.o.Group}), wal.WithMetaStore(meta), wal.WithSegmentFiler(f),
		wal.WithSegmentSize(l.o.SegmentBytes), wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return err
	}
	last, err := l.check()
	if err != nil {
		return err
	}
	if max(last, l.o.Snapshot) < left.index {
		return fmt.Errorf("%w: it ends at %d, the mark is %d", ErrBehind, max(last, l.o.Snapshot), left.index)
	}
	l.appended.Store(last)
	l.synced.Store(last)
	return l.mark.write(mark{index: left.index, memory: l.o.Durability == Memory, boot: l.o.Boot})
}

// check reads every record and returns the last index.
func (l *Log) check() (last uint64, err error) {
	first, err := l.wal.FirstIndex()
	if err != nil {
		return 0, err
	}
	if last, err = l.wal.LastIndex(); err != nil {
		return 0, err
	}
	l.first.Store(first)
	if first == 0 {
		return last, nil
	}
	for i := first; i <= last; i++ {
		if err := l.GetLog(i, new(raft.Log)); err != nil {
			return 0, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return last, nil
}

// unreadable adds [ErrCorrupt] to why a log could not be opened, unless that is
// a matter of the system's: such as a full disk, or no permission.
func unreadable(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrBehind), errors.Is(err, ErrUnclean), errors.Is(err, ErrDisk):
		return err
	case errors.As(err, &errno) && errno != syscall.EIO && errno != syscall.ENOENT:
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// corrupt adds [ErrCorrupt] to what raft-wal finds unreadable.
func corrupt(err error) error {
	if errors.Is(err, types.ErrCorrupt) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// FirstIndex implements raft.LogStore.
func (l *Log) FirstIndex() (uint64, error) { return l.wal.FirstIndex() }

// LastIndex implements raft.LogStore.
func (l *Log) LastIndex() (uint64, error) { return l.wal.LastIndex() }

// GetLog implements raft.LogStore.
func (l *Log) GetLog(index uint64, log *raft.Log) error {
	if index < l.first.Load() { // raft-wal would find it as long as its segment is there
		return raft.ErrLogNotFound
	}
	err := l.wal.GetLog(index, log)
	if err != nil {
		// Raft compares this one with ==.
		if errors.Is(err, raft.ErrLogNotFound) {
			return raft.ErrLogNotFound
		}
		if err = corrupt(err); !errors.Is(err, ErrCorrupt) && !errors.Is(err, wal.ErrClosed) {
			err = fmt.Errorf("%w: %s: %w", ErrDisk, OpRead, err)
		}
		return err
	}
	if log.Index != index {
		return fmt.Errorf("%w: record %d stands at %d", ErrCorrupt, log.Index, index)
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (l *Log) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. After an error the replica must stop.
func (l *Log) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	if err := l.wal.StoreLogs(logs); err != nil {
		return l.disk.fail(opAppend, "log", err)
	}
	l.first.CompareAndSwap(0, logs[0].Index)
	last := logs[len(logs)-1].Index
	l.appended.Store(last)
	if l.o.Durability == Disk {
		l.synced.Store(last)
	}
	return nil
}

// DeleteRange implements raft.LogStore.
func (l *Log) DeleteRange(low, high uint64) error {
	if err := l.wal.DeleteRange(low, high); err != nil {
		return l.disk.fail(opTruncate, "log", err)
	}
	last, err := l.wal.LastIndex()
	if err != nil {
		return l.disk.fail(opTruncate, "log", err)
	}
	first, err := l.wal.FirstIndex()
	if err != nil {
		return l.disk.fail(opTruncate, "log", err)
	}
	l.first.Store(first)
	l.appended.Store(last)
	l.synced.Store(min(l.synced.Load(), last))
	return nil
}

// IsMonotonic implements raft.MonotonicLogStore.
func (l *Log) IsMonotonic() bool { return true }

// Set implements raft.StableStore.
func (l *Log) Set(key, value []byte) error { return l.wal.Set(key, value) }

// Get implements raft.StableStore.
func (l *Log) Get(key []byte) ([]byte, error) { return l.wal.Get(key) }

// SetUint64 implements raft.StableStore.
func (l *Log) SetUint64(key []byte, value uint64) error { return l.wal.SetUint64(key, value) }

// GetUint64 implements raft.StableStore.
func (l *Log) GetUint64(key []byte) (uint64, error) { return l.wal.GetUint64(key) }

// advanceSynced notes what a background sync has covered.
func (l *Log) advanceSynced(index uint64) { l.synced.Store(index) }

// Synced is the last index known to be on the disk.
func (l *Log) Synced() uint64 { return l.synced.Load() }

// Err is the fault after which nothing is written any more, or nil.
func (l *Log) Err() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return l.disk.err
}

// Mark records that entries up to committed are acknowledged, as far as they
// are on this disk: the log may never again end below. Call it once a second;
// without news it does nothing.
func (l *Log) Mark(committed uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index := min(committed, l.synced.Load())
	if l.closed || index <= l.mark.last.index {
		return nil
	}
	return l.mark.write(mark{index: index, memory: l.o.Durability == Memory, boot: l.o.Boot})
}

// Close syncs what is pending, marks the log as left in order, with everything
// up to committed acknowledged, and closes it.
func (l *Log) Close(committed uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.disk.close()
	err = errors.Join(err, l.wal.Close())
	if err == nil {
		index := max(l.mark.last.index, min(committed, l.synced.Load()))
		err = l.mark.write(mark{index: index, clean: true, memory: l.o.Durability == Memory, boot: l.o.Boot})
	}
	if err = errors.Join(err, l.mark.close()); err != nil {
		return fmt.Errorf("close log %s: %w", filepath.Base(l.o.Dir), err)
	}
	return nil
}
