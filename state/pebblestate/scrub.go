package pebblestate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
)

// scrubName is the directory of the copy that is looked through. It holds links.
const scrubName = "scrub"

// Scrub reads everything on the disk, at most so many bytes a second (0 for as
// fast as it goes), checks the checksums of all blocks, computes the digests of
// all shards anew from the rows of one index and compares them with those that
// are kept. An error that wraps [state.ErrDamaged] names the file, or the shard
// and the index. It goes around Pebble's cache and doesn't hold up the writing;
// it needs [Store.Run] and is safe for any goroutine.
func (s *Store) Scrub(ctx context.Context, bytesPerSecond int64) error {
	s.scrubbing.Lock()
	defer s.scrubbing.Unlock()
	if err := s.scrub(ctx, bytesPerSecond); err != nil {
		return fmt.Errorf("scrub state %s: %w", s.o.Dir, flatError{damage(err)})
	}
	return nil
}

func (s *Store) scrub(ctx context.Context, bytesPerSecond int64) (err error) {
	dir := s.o.FS.PathJoin(s.o.Dir, scrubName)
	remove := func() error { return s.o.FS.RemoveAll(dir) }
	if err := remove(); err != nil {
		return err
	}
	var index uint64
	var kept []state.ShardDigest
	err = s.atMarker(ctx, func() error {
		if err := s.writer.flushAndWait(); err != nil {
			return err
		}
		index, kept = s.writer.index, state.SortDigests(s.writer.pending.digests.all)
		return s.checkpoint(dir)
	}, func() {
		if err := remove(); err != nil {
			s.o.Log.Error("copy for a scrub is left", "dir", dir, "error", err)
		}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	fs := &slowFS{FS: s.o.FS, ctx: ctx, perSecond: bytesPerSecond, began: time.Now()}
	if err := checkTables(ctx, fs, dir, s.pebble.MakeReaderOptions()); err != nil {
		return err
	}
	return s.checkRows(ctx, fs, dir, index, kept)
}

// checkTables checks the blocks of all tables in a directory.
func checkTables(ctx context.Context, fs vfs.FS, dir string, o sstable.ReaderOptions) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := checkTable(ctx, fs, fs.PathJoin(dir, name), o); err != nil {
			if !isDisk(err) && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", state.ErrDamaged, err)
			}
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkTable(ctx context.Context, fs vfs.FS, path string, o sstable.ReaderOptions) error {
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, o)
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// checkRows compares the rows of a copy with the digests kept in it and with
// those that the writer kept. It learns which cells there are, on the way.
func (s *Store) checkRows(ctx context.Context, fs vfs.FS, dir string, index uint64, kept []state.ShardDigest) (err error) {
	cache := pebble.NewCache(1 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		FS: fs, ReadOnly: true, Cache: cache, Comparer: comparer, FormatMajorVersion: pebble.FormatNewest, Logger: silent{},
		// What is corrupt is also returned; without a listener Pebble makes it fatal.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found := &known{limit: s.left.limit}
	rows, err := verify(ctx, db, found)
	if err != nil {
		return err
	}
	for _, d := range kept {
		if rows[d.Shard] != d.Digest {
			return &DigestError{Index: index, Shard: d.Shard, Stored: d.Digest, Rows: rows[d.Shard]}
		}
	}
	s.found.CompareAndSwap(nil, found)
	return nil
}

// silent is a logger of a copy that is only read: what goes wrong is returned.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(&state.Fault{Err: fmt.Errorf(format, args...)})
}

// slowFS reads files at a bounded rate.
type slowFS struct {
	vfs.FS
	ctx       context.Context
	perSecond int64 // 0 for no bound
	began     time.Time
	bytes     atomic.Int64 // read since then
}

// Open implements [vfs.FS].
func (s *slowFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return &slowFile{f, s}, nil
}

// slowFile counts what is read from a file.
type slowFile struct {
	vfs.File
	fs *slowFS
}

// Read implements [vfs.File], as does ReadAt.
func (f *slowFile) Read(b []byte) (int, error) {
	if err := f.fs.wait(len(b)); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

func (f *slowFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.wait(len(b)); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

// wait sleeps until so many more bytes may be read.
func (s *slowFS) wait(n int) error {
	if err := s.ctx.Err(); err != nil || s.perSecond == 0 {
		return err
	}
	bytes := s.bytes.Add(int64(n))
	ahead := time.Duration(float64(bytes)/float64(s.perSecond)*float64(time.Second)) - time.Since(s.began)
	if ahead < time.Millisecond {
		return nil
	}
	t := time.NewTimer(ahead)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
