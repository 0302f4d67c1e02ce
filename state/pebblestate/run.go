package pebblestate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

const (
	tableFileBytes = 16 << 20 // about what a table becomes that is ingested
	maxSublevel    = 64       // sublevels of L0 at which the writer waits for compactions
)

// sink takes rows in the order of their keys.
type sink interface {
	set(key, value []byte) error
	delete(key []byte) error
}

// write brings all that was collected to Pebble, together with the index and
// the digests.
//
// Large runs become tables, unless something is in Pebble's memory already, or
// this is a marker of which there may be many: small tables would have to be
// merged again and again.
func (w *writer) write(often bool) error {
	s := w.s
	if err := s.Err(); err != nil {
		return err
	}
	if w.index == s.written.Load() {
		return nil
	}
	size := len(w.pending.bytes)
	var err error
	if size < s.o.limits.ingestBytes || w.inserted > 0 || often {
		err = w.insert()
	} else {
		err = w.ingest()
	}
	if err != nil {
		return fmt.Errorf("write up to entry %d: %w", w.index, err)
	}
	w.stats.add(len(w.pending.order), int64(size))
	s.queue.release(w.pending.spent)
	w.pending.empty()
	if w.inserted >= s.o.FlushBytes {
		return w.flush()
	}
	return nil
}

// put hands everything to a sink, in the order of keys: what a store knows about
// itself comes first.
func (w *writer) put(to sink) error {
	p := &w.pending
	var value [16]byte
	if err := to.set(appliedKey, binary.AppendUvarint(value[:0], w.index)); err != nil {
		return err
	}
	for shard := range p.digests.of {
		if !p.digests.changed[shard] {
			continue
		}
		if err := to.set(digestKey(state.Shard(shard)), appendDigest(value[:0], p.digests.of[shard])); err != nil {
			return err
		}
	}
	clear(p.digests.changed)
	if w.unmarked {
		if err := to.set(formatKey, binary.AppendUvarint(value[:0], format)); err != nil {
			return err
		}
		w.unmarked = false
	}
	for i, o := range p.sorted() {
		makeWay(i)
		r := &p.rows[o.row]
		var err error
		if r.deleted {
			err = to.delete(p.keyOf(r))
		} else {
			err = to.set(p.keyOf(r), p.valueOf(r))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeWay lets others run after every few rows: whoever decides has work for some
// microseconds and would wait for milliseconds, on a machine with few processors,
// until the runtime stops the writer.
func makeWay(row int) {
	if row%64 == 0 {
		runtime.Gosched()
	}
}

// insert writes a small run into Pebble's memory, to be flushed later.
func (w *writer) insert() error {
	if planted.Is("disk: progress written before the rows") {
		if err := w.s.db.Set(appliedKey, binary.AppendUvarint(nil, w.index), pebble.NoSync); err != nil {
			return err
		}
		if err := w.s.db.Flush(); err != nil {
			return err
		}
	}
	b := w.s.db.NewBatch()
	err := w.put(batchSink{b})
	if err == nil {
		err = w.s.db.Apply(b, pebble.NoSync)
	}
	if err := firstError(err, b.Close()); err != nil {
		return err
	}
	w.s.written.Store(w.index)
	w.inserted += int64(len(w.pending.bytes)) + 1
	return nil
}

type batchSink struct{ b *pebble.Batch }

func (s batchSink) set(key, value []byte) error { return s.b.Set(key, value, nil) }
func (s batchSink) delete(key []byte) error     { return s.b.Delete(key, nil) }

// ingest writes a large run as tables and makes them a part of Pebble, all at
// once: when it returns the run is durable.
func (w *writer) ingest() error {
	s := w.s
	// What was written before comes first, also on the disk. Pebble would see
	// to it as well, but could not be stopped when the disk fails.
	if err := w.flushAndWait(); err != nil {
		return err
	}
	if err := w.awaitCompactions(); err != nil {
		return err
	}
	o := s.pebble.MakeWriterOptions(0, s.db.TableFormat())
	o.DisableValueBlocks = true
	t := &tableSink{fs: s.pebble.FS, dir: s.o.Dir, o: o}
	if err := firstError(w.put(t), t.finish()); err != nil {
		return err
	}
	if err := s.db.Ingest(context.Background(), t.paths); err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return err
	}
	s.written.Store(w.index)
	s.durable.Store(w.index)
	w.stats.flushes.Add(1)
	return nil
}

// tableSink writes tables, one after the other.
type tableSink struct {
	fs    vfs.FS
	dir   string
	o     sstable.WriterOptions
	w     *sstable.Writer
	bytes int
	paths []string
}

const tablePrefix = "run-" // what the names of unfinished tables begin with

func (t *tableSink) table(bytes int) (*sstable.Writer, error) {
	if t.w != nil && t.bytes < tableFileBytes {
		t.bytes += bytes
		return t.w, nil
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	path := t.fs.PathJoin(t.dir, fmt.Sprint(tablePrefix, len(t.paths)))
	file, err := t.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	t.w, t.bytes = sstable.NewWriter(&tableFile{f: file}, t.o), bytes
	t.paths = append(t.paths, path)
	return t.w, nil
}

func (t *tableSink) set(key, value []byte) error {
	w, err := t.table(len(key) + len(value))
	if err != nil {
		return err
	}
	return w.Set(key, value)
}

func (t *tableSink) delete(key []byte) error {
	w, err := t.table(len(key))
	if err != nil {
		return err
	}
	return w.Delete(key)
}

// finish ends the table and syncs it.
func (t *tableSink) finish() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// tableFile implements Pebble's objstorage.Writable with larger writes than Pebble's own.
type tableFile struct {
	f   vfs.File
	buf []byte
}

const tableWriteBytes = 256 << 10

// Write takes over no memory of p.
func (t *tableFile) Write(p []byte) error {
	t.buf = append(t.buf, p...)
	if len(t.buf) < tableWriteBytes {
		return nil
	}
	return t.flush()
}

func (t *tableFile) flush() error {
	_, err := t.f.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

// Finish syncs what was written.
func (t *tableFile) Finish() error {
	err := t.flush()
	if err == nil {
		err = t.f.Sync()
	}
	return firstError(err, t.f.Close())
}

// Abort gives the file up.
func (t *tableFile) Abort() { _ = t.f.Close() } // the error that led here is told

// removeUnfinished removes what a crash left: tables that were not ingested, and
// a scrub's copy.
func removeUnfinished(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	errs := []error{fs.RemoveAll(fs.PathJoin(dir, scrubName))}
	for _, name := range names {
		if strings.HasPrefix(name, tablePrefix) {
			errs = append(errs, fs.Remove(fs.PathJoin(dir, name)))
		}
	}
	return errors.Join(errs...)
}
