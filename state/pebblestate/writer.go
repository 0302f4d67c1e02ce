package pebblestate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

const (
	batchBytes  = 8 << 20 // entries are gathered into one batch up to here
	maxFlushes  = 2       // flushes under way at which the writer waits
	maxSublevel = 24      // sublevels of L0 at which the writer waits for compactions
)

// writer is the state of [Store.Run].
type writer struct {
	s       *Store
	number  uint64 // of the current batch
	rows    []lastChange
	touched map[state.Shard]struct{}
	buf     []byte
	flushed int64   // bytes written since the last flush was started
	dirty   bool    // anything written since
	flushes []flush // under way, oldest first
	stats   writerStats
}

// lastChange is the last thing a batch has to say about a row.
type lastChange struct {
	change
	level uint8
}

// flush makes everything up to an index durable.
type flush struct {
	index uint64
	done  <-chan struct{}
}

// Run writes behind what is committed, until ctx is done; then it writes and
// flushes what is left. It returns the fault of the disk that ended it, if any.
// It must be called once.
func (s *Store) Run(ctx context.Context) error {
	s.running.Store(true)
	defer close(s.stopped)
	err := s.writer.run(ctx)
	if err != nil {
		s.fail(err)
	}
	s.queue.close(errClosed)
	if failure := s.Err(); failure != nil {
		return fmt.Errorf("state %s: %w", s.o.Dir, failure)
	}
	return nil
}

func (w *writer) run(ctx context.Context) (err error) {
	defer catch(&err)
	ticker := time.NewTicker(w.s.o.FlushEvery)
	defer ticker.Stop()
	for {
		var oldest <-chan struct{}
		if len(w.flushes) > 0 {
			oldest = w.flushes[0].done
		}
		select {
		case <-ctx.Done():
			w.s.queue.close(errClosed)
			return firstError(w.writeAll(), w.flushAndWait())
		case <-w.s.failed:
			return w.s.failure
		case <-oldest:
			w.reap()
		case <-ticker.C:
			if w.dirty {
				err = w.flush()
			}
		case <-w.s.queue.wake:
			w.gather(ctx)
			err = w.writeAll()
		}
		if err != nil {
			return err
		}
	}
}

// gather waits a little for more to write, unless there is a reason not to.
func (w *writer) gather(ctx context.Context) {
	t := time.NewTimer(w.s.o.Gather)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.s.queue.hurry:
	case <-ctx.Done():
	case <-w.s.failed:
	}
}

// writeAll writes everything that waits in the queue.
func (w *writer) writeAll() error {
	for {
		items := w.s.queue.take()
		if len(items) == 0 {
			return nil
		}
		for len(items) > 0 {
			n, size := 0, int64(0)
			for n < len(items) && items[n].marker == nil && size < batchBytes {
				size += items[n].bytes
				n++
			}
			if n > 0 {
				if err := w.write(items[:n]); err != nil {
					return err
				}
			} else {
				items[0].marker.execute()
				n = 1
			}
			items = items[n:]
		}
	}
}

// write puts entries into one batch.
func (w *writer) write(entries []entry) error {
	s := w.s
	if err := s.Err(); err != nil {
		return err
	}
	w.collect(entries)
	b := s.db.NewBatch()
	for i := range w.rows {
		if err := w.writeRow(b, &w.rows[i]); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	index := entries[len(entries)-1].index
	if err := w.writeMeta(b, index); err != nil {
		return errors.Join(err, b.Close())
	}
	size := int64(b.Len())
	if err := s.db.Apply(b, pebble.NoSync); err != nil {
		return errors.Join(fmt.Errorf("write entry %d: %w", index, err), b.Close())
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("write entry %d: %w", index, err)
	}
	s.written.Store(index)
	s.queue.done(entries)
	w.stats.add(len(w.rows), size)
	clear(w.rows)
	w.rows = w.rows[:0]
	w.dirty = true
	if w.flushed += size; w.flushed >= s.o.FlushBytes {
		return w.flush()
	}
	return nil
}

// collect finds the last change of every row in entries.
func (w *writer) collect(entries []entry) {
	w.number++
	for i := range entries {
		e := &entries[i]
		for _, c := range e.changes {
			if c.slot.batch == w.number {
				w.rows[c.slot.at] = lastChange{c, e.level}
				continue
			}
			c.slot.batch, c.slot.at = w.number, len(w.rows)
			w.rows = append(w.rows, lastChange{c, e.level})
		}
	}
}

// writeRow adds a row to a batch and to its shard's digest.
func (w *writer) writeRow(b *pebble.Batch, c *lastChange) error {
	sl := c.slot
	shard := sl.table.cell.id.Shard
	digest := w.s.digests[shard]
	if sl.stored {
		digest = digest.Sub(sl.hash)
	} else if c.value == nil {
		return nil // came and went between two batches
	}
	var err error
	w.buf = sl.table.key(w.buf[:0], sl.row)
	n := len(w.buf)
	if c.value == nil {
		err = b.Delete(w.buf, nil)
		sl.stored, sl.hash = false, state.Digest{}
	} else {
		w.buf, err = codec.AppendRow(w.s.o.Codec, w.buf, c.level, c.expires, c.value)
		if err == nil {
			err = b.Set(w.buf[:n], w.buf[n:], nil)
		}
		sl.stored, sl.hash = true, codec.Hash(w.buf[1:], n-1)
		digest = digest.Add(sl.hash)
	}
	if err != nil {
		return fmt.Errorf("write row %q of %s: %w", sl.row, sl.table.t, err)
	}
	if w.touched == nil {
		w.touched = make(map[state.Shard]struct{})
	}
	w.touched[shard] = struct{}{}
	w.s.digests[shard] = digest
	return nil
}

// writeMeta adds the applied index and the digests of touched shards.
func (w *writer) writeMeta(b *pebble.Batch, index uint64) error {
	var value [16]byte
	for shard := range w.touched {
		if err := b.Set(digestKey(shard), appendDigest(value[:0], w.s.digests[shard]), nil); err != nil {
			return err
		}
	}
	clear(w.touched)
	return b.Set(appliedKey, binary.AppendUvarint(value[:0], index), nil)
}

// flush starts to make durable what was written. When too much is under way it
// waits, as Pebble would.
func (w *writer) flush() error {
	index := w.s.written.Load()
	done, err := w.s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush at %d: %w", index, err)
	}
	w.flushes = append(w.flushes, flush{index, done})
	w.flushed, w.dirty = 0, false
	w.stats.flushes.Add(1)
	for len(w.flushes) > maxFlushes {
		if err := w.await(); err != nil {
			return err
		}
	}
	return w.awaitCompactions()
}

// flushAndWait makes durable what was written.
func (w *writer) flushAndWait() error {
	if err := w.flush(); err != nil {
		return err
	}
	for len(w.flushes) > 0 {
		if err := w.await(); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the oldest flush under way.
func (w *writer) await() error {
	select {
	case <-w.flushes[0].done:
		w.reap()
		return nil
	case <-w.s.failed:
		return w.s.failure
	}
}

// reap takes note of the oldest flush, which is done.
func (w *writer) reap() {
	w.s.durable.Store(w.flushes[0].index)
	w.flushes = w.flushes[1:]
}

// awaitCompactions waits while compactions are far behind.
func (w *writer) awaitCompactions() error {
	var ticker *time.Ticker
	for w.s.db.Metrics().Levels[0].Sublevels > maxSublevel {
		if ticker == nil {
			ticker = time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
		}
		select {
		case <-ticker.C:
		case <-w.s.failed:
			return w.s.failure
		}
	}
	return nil
}
