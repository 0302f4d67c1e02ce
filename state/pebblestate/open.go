package pebblestate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
)

// Errors of [Open] that need different answers from whoever runs the node.
var (
	// ErrInUse says that another process has the directory open.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign says that a directory holds something else than a store.
	ErrForeign = errors.New("not a state directory")
	// ErrFormat says that a newer build wrote the store.
	ErrFormat = errors.New("written by a newer version")
)

// Open opens the store in a directory, which is made if it isn't there. The
// owner must call [Store.Run], and [Store.Close] at the end.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := newStore(o.withDefaults())
	err := damage(s.open())
	if err != nil {
		err = errors.Join(fmt.Errorf("open state %s: %w", o.Dir, flatError{err}), s.release())
		return nil, err
	}
	return s, nil
}

func (s *Store) open() (err error) {
	fs, dir := s.o.FS, s.o.Dir
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	desc, err := checkDirectory(fs, dir)
	if err != nil {
		return err
	}
	if s.lock, err = lockDirectory(fs, dir); err != nil {
		return err
	}
	if s.marks, err = checkManifest(fs, dir, desc); err != nil {
		return err
	}
	if err := removeUnfinished(fs, dir); err != nil {
		return err
	}
	defer func() {
		if err != nil && desc.Exists && !isDisk(err) && !errors.Is(err, ErrFormat) && !errors.Is(err, state.ErrDamaged) {
			err = fmt.Errorf("%w: %w", state.ErrDamaged, err) // its marks say that it was a good store
		}
	}()
	defer catch(&err)
	s.pebble = s.pebbleOptions()
	s.db, err = s.openPebble()
	if failure := s.Err(); failure != nil {
		return failure // what Pebble says follows from it
	}
	if err != nil {
		return err
	}
	return s.readMeta()
}

// patience is how long Pebble may take to give up after the disk has failed.
const patience = time.Second

// openPebble opens Pebble, which waits for its first flush, and tries that again
// and again on a disk that has failed. It is left to itself then: the fence holds
// it for good at its next access.
func (s *Store) openPebble() (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		var r result
		defer func() { opened <- r }()
		defer catch(&r.err)
		r.db, r.err = pebble.Open(s.o.Dir, s.pebble)
	}()
	select {
	case r := <-opened:
		return r.db, r.err
	case <-s.failed:
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case r := <-opened:
		return r.db, r.err
	case <-limit.C:
		s.abandoned.Store(true)
		return nil, s.failure
	}
}

// flatError is an error of Pebble's without the lines of detail below its first.
type flatError struct{ error }

func (e flatError) Error() string {
	text, _, _ := strings.Cut(e.error.Error(), "\n")
	return text
}

func (e flatError) Unwrap() error { return e.error }

// storeFile matches the names of Pebble's own files, and ours.
var storeFile = regexp.MustCompile(`^(LOCK|CURRENT.*|(MANIFEST|OPTIONS)-\d+|marker\..*|temporary\..*|.*\.dbtmp|\d+\.(sst|log|blob)|run-\d+|manifest-mark(\.new)?|scrub)$`)

// checkDirectory refuses a directory with other files in it and no store. The
// remains of a store that was never finished are no reason to refuse.
func checkDirectory(fs vfs.FS, dir string) (*pebble.DBDesc, error) {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if desc.Exists {
		return desc, nil
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !storeFile.MatchString(name) {
			return nil, fmt.Errorf("%w: it holds %s", ErrForeign, name)
		}
	}
	return desc, nil
}

func lockDirectory(fs vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, syscall.EAGAIN), strings.Contains(err.Error(), "held by current process"):
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return nil, fmt.Errorf("lock: %w", err)
}

// What Pebble's tables are like. Each row that is merged costs about as much time
// as it did to be written.
const (
	mergedRuns      = 24      // runs that lie on each other before they are merged
	baseBytes       = 1 << 30 // of the level they are merged into
	mergedFileBytes = 64 << 20
	compressedBytes = 2 << 30 // on the disk, above which compression is worth its time
)

func (s *Store) pebbleOptions() *pebble.Options {
	memTable := min(max(s.o.FlushBytes, 4<<20), 1<<30)
	o := &pebble.Options{
		FS:                 fence{s.o.FS, s},
		Lock:               s.lock,
		Comparer:           comparer,
		FormatMajorVersion: pebble.FormatNewest,
		DisableWAL:         true,                      // the Raft log is the log
		CacheSize:          s.o.CacheBytes + memTable, // Pebble takes memtables out of it
		MemTableSize:       uint64(memTable),
		// The writer itself waits when Pebble falls behind (see writer.flush):
		// a stall inside Pebble could not be ended when the disk fails.
		MemTableStopWritesThreshold: math.MaxInt32,
		L0StopWritesThreshold:       math.MaxInt32,
		Logger:                      &logger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.fail(fmt.Errorf("pebble in the background: %w", err)) },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.fail(fmt.Errorf("%w: %s: %w", state.ErrDamaged, info.Path, info.Details))
			},
		},
	}
	// Rows of a cell share a prefix, which Pebble would take for old versions
	// of one key and keep apart, at the price of a buffer per row block.
	o.Experimental.SpanPolicyFunc = func([]byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	// Most rows are written once, and cells that Pebble doesn't have are known
	// without a look: so many runs may lie on each other before they are merged,
	// all at once.
	o.L0CompactionThreshold = 2 * mergedRuns
	o.LBaseMaxBytes = baseBytes
	o.BytesPerSync = 2 << 20
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = mergedFileBytes
	}
	o.TargetFileSizes[0] = tableFileBytes
	o.MaxManifestFileSize = 8 << 20 // it is read twice when a store is opened
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = s.o.limits.blockBytes
		o.Levels[i].Compression = func() *sstable.CompressionProfile {
			if i > 0 && s.compress.Load() {
				return sstable.FastestCompression
			}
			return sstable.NoCompression
		}
	}
	o.EnsureDefaults()
	return o
}

// readMeta reads what a store knows about itself.
func (s *Store) readMeta() error {
	version, err := number(s.db, formatKey)
	if err != nil {
		return err
	}
	if version > format {
		return fmt.Errorf("%w: format %d, this build knows %d", ErrFormat, version, format)
	}
	if s.applied, err = number(s.db, appliedKey); err != nil {
		return err
	}
	if version == 0 && s.applied != 0 {
		return fmt.Errorf("%w: it has no format", ErrForeign)
	}
	s.writer.unmarked = version == 0
	if s.applied == 0 {
		s.found.Store(&known{})
	}
	s.written.Store(s.applied)
	s.durable.Store(s.applied)
	s.writer.index = s.applied
	kept, err := readDigests(s.db)
	for shard, d := range kept {
		*s.writer.pending.digests.touch(shard) = d
	}
	clear(s.writer.pending.digests.changed)
	return err
}

func readDigests(r reader) (map[state.Shard]state.Digest, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{digestSpace}, UpperBound: []byte{digestSpace + 1}})
	if err != nil {
		return nil, err
	}
	digests := make(map[state.Shard]state.Digest)
	for ok := it.First(); ok; ok = it.Next() {
		var d state.Digest
		value, readErr := it.ValueAndErr()
		if d, err = decodeDigest(value); err != nil || readErr != nil || len(it.Key()) != 3 {
			err = fmt.Errorf("digest %x: %w", it.Key(), firstError(readErr, err, ErrForeign))
			break
		}
		digests[state.Shard(binary.BigEndian.Uint16(it.Key()[1:]))] = d
	}
	return digests, firstError(err, it.Close())
}

// catch turns a fault that was raised into an error.
func catch(err *error) {
	switch f := recover().(type) {
	case nil:
	case *state.Fault:
		*err = f.Err
	default:
		panic(f)
	}
}

// logger passes on what Pebble has to say, and stops it on fatal faults.
type logger struct{ s *Store }

func (l *logger) Infof(string, ...any) {}

func (l *logger) Errorf(format string, args ...any) { l.s.o.Log.Error(fmt.Sprintf(format, args...)) }

// Fatalf is called when Pebble can't go on. When the MANIFEST could not be
// written nobody knows what the disk holds: the fence sees to it that nothing
// is tried again, and Pebble may go on to its end. All other fatal faults are
// met where the store is used, and stop the replica from there.
func (l *logger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	err := fmt.Errorf("pebble: %s", text)
	l.s.fail(err)
	if !strings.HasPrefix(text, "MANIFEST") {
		panic(&state.Fault{Err: err})
	}
}
