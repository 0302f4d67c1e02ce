package raftlog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft-wal/types"

	"anabranch.dev/internal/planted"
)

// Durability says when an appended entry counts.
type Durability string

const (
	// Disk: an entry counts once it is fsynced.
	Disk Durability = "disk"
	// Memory: an entry counts once the operating system has it; a sync follows
	// within 10 ms. It survives a crash of the process, not of the machine.
	Memory Durability = "memory"
)

// syncDelay is how long the syncer of [Memory] gathers. With the sync itself it
// stays within 10 ms on an ordinary disk.
const syncDelay = 4 * time.Millisecond

// Op is a kind of disk access, for [Options.Fault].
type Op string

// Kinds of disk access.
const (
	OpCreate Op = "create"
	OpOpen   Op = "open"
	OpRead   Op = "read"
	OpWrite  Op = "write"
	OpSync   Op = "sync"
	OpDelete Op = "delete"
	OpCommit Op = "commit" // of votes and segment metadata

	opAppend   Op = "append" // these two only name what failed
	opTruncate Op = "truncate"
)

// disk is the file system that raft-wal writes through. It decides when a sync
// is real, and remembers the first fault.
type disk struct {
	fs      types.VFS
	memory  bool
	fault   func(op Op, name string) error
	onSync  func(took time.Duration)
	onFault func(err error)
	// appended is asked before and synced told after each background sync.
	appended func() uint64
	synced   func(index uint64)

	mu    sync.Mutex // guards what follows
	dirty map[*diskFile]struct{}
	err   error

	syncing sync.Mutex // held during a background sync, so that a second one waits for it
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	pending pending
}

func newDisk(o Options) *disk {
	d := &disk{
		fs: o.FS, memory: o.Durability == Memory,
		fault: o.Fault, onSync: o.OnSync, onFault: o.OnFault,
		dirty: map[*diskFile]struct{}{},
		wake:  make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	return d
}

// start begins the background syncs; close ends them.
func (d *disk) start() {
	if !d.memory {
		close(d.stopped)
		return
	}
	go d.syncLoop()
}

func (d *disk) close() error {
	close(d.stop)
	<-d.stopped
	return d.flush()
}

func (d *disk) syncLoop() {
	defer close(d.stopped)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		}
		timer.Reset(syncDelay)
		select {
		case <-d.stop:
			return
		case <-timer.C:
		}
		if d.flush() != nil {
			return // reported by fail; nothing is written any more
		}
	}
}

// flush syncs what was written before it was called.
func (d *disk) flush() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	index := d.appended()
	d.mu.Lock()
	files := make([]*diskFile, 0, len(d.dirty))
	for f := range d.dirty {
		files = append(files, f)
	}
	clear(d.dirty)
	err := d.err
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := f.syncNow(); err != nil {
			return err
		}
	}
	d.synced(index)
	return nil
}

// fail keeps and reports the first fault and returns it.
func (d *disk) fail(op Op, name string, cause error) error {
	err := fmt.Errorf("%s %s: %w", op, name, cause)
	if (op == OpWrite || op == OpSync || op == OpCommit) && !errors.Is(cause, syscall.ENOSPC) && !errors.Is(cause, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", ErrDisk, err)
	}
	first, isFirst := d.refuse(err)
	if isFirst {
		d.onFault(err)
	}
	return first
}

// refuse has every later write fail, and returns with what.
func (d *disk) refuse(err error) (first error, isFirst bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err, false
	}
	d.err = err
	return err, true
}

// before is called ahead of every access: it injects faults, and refuses
// writing after one.
func (d *disk) before(op Op, name string) error {
	if op != OpRead && op != OpOpen {
		d.mu.Lock()
		err := d.err
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if d.fault == nil {
		return nil
	}
	if err := d.fault(op, name); err != nil {
		if op == OpRead || op == OpOpen {
			return err
		}
		return d.fail(op, name, err)
	}
	return nil
}

// ListDir implements types.VFS.
func (d *disk) ListDir(dir string) ([]string, error) { return d.fs.ListDir(dir) }

// Create implements types.VFS.
func (d *disk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	defer d.pending.end(d.pending.begin(OpCreate))
	if err := d.before(OpCreate, name); err != nil {
		return nil, err
	}
	f, err := d.fs.Create(dir, name, size)
	if err != nil {
		return nil, d.fail(OpCreate, name, err)
	}
	return &diskFile{WritableFile: f, d: d, name: name}, nil
}

// Delete implements types.VFS.
func (d *disk) Delete(dir, name string) error {
	defer d.pending.end(d.pending.begin(OpDelete))
	if err := d.before(OpDelete, name); err != nil {
		return err
	}
	if err := d.fs.Delete(dir, name); err != nil {
		return d.fail(OpDelete, name, err)
	}
	return nil
}

// OpenReader implements types.VFS.
func (d *disk) OpenReader(dir, name string) (types.ReadableFile, error) {
	if err := d.before(OpOpen, name); err != nil {
		return nil, err
	}
	f, err := d.fs.OpenReader(dir, name)
	if err != nil {
		return nil, err
	}
	return &diskReader{ReadableFile: f, d: d, name: name}, nil
}

// OpenWriter implements types.VFS.
func (d *disk) OpenWriter(dir, name string) (types.WritableFile, error) {
	if err := d.before(OpOpen, name); err != nil {
		return nil, err
	}
	f, err := d.fs.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &diskFile{WritableFile: f, d: d, name: name}, nil
}

// diskReader is a file opened for reading only.
type diskReader struct {
	types.ReadableFile
	d    *disk
	name string
}

// ReadAt implements io.ReaderAt.
func (f *diskReader) ReadAt(b []byte, off int64) (int, error) {
	if err := f.d.before(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.ReadableFile.ReadAt(b, off)
}

// diskFile is a file that is written.
type diskFile struct {
	types.WritableFile
	d    *disk
	name string
}

// ReadAt implements io.ReaderAt.
func (f *diskFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.d.before(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.WritableFile.ReadAt(b, off)
}

// WriteAt implements io.WriterAt.
func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	defer f.d.pending.end(f.d.pending.begin(OpWrite))
	if err := f.d.before(OpWrite, f.name); err != nil {
		return 0, err
	}
	n, err := f.WritableFile.WriteAt(b, off)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return n, f.d.fail(OpWrite, f.name, err)
	}
	return n, nil
}

// Sync makes what was written durable: now, or soon in [Memory].
func (f *diskFile) Sync() error {
	if !f.d.memory {
		return f.syncNow()
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.err != nil {
		return f.d.err
	}
	f.d.dirty[f] = struct{}{}
	select {
	case f.d.wake <- struct{}{}:
	default:
	}
	return nil
}

func (f *diskFile) syncNow() error {
	defer f.d.pending.end(f.d.pending.begin(OpSync))
	if err := f.d.before(OpSync, f.name); err != nil {
		return err
	}
	if planted.Is("disk: a sync is dropped") {
		return nil
	}
	start := time.Now()
	err := f.WritableFile.Sync()
	if err != nil && planted.Is("disk: a failed sync is tried again") {
		err = f.WritableFile.Sync()
	}
	if err != nil {
		return f.d.fail(OpSync, f.name, err)
	}
	f.d.onSync(time.Since(start))
	return nil
}

// Close syncs what is still to be synced, so that no file is closed dirty.
func (f *diskFile) Close() error {
	f.d.syncing.Lock()
	defer f.d.syncing.Unlock()
	f.d.mu.Lock()
	_, dirty := f.d.dirty[f]
	delete(f.d.dirty, f)
	f.d.mu.Unlock()
	var err error
	if dirty {
		err = f.syncNow()
	}
	return errors.Join(err, f.WritableFile.Close())
}
