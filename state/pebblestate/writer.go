package pebblestate

import (
	"context"
	"fmt"
	"time"
)

const maxFlushes = 2 // flushes under way at which the writer waits

// writer is the state of [Store.Run].
type writer struct {
	s        *Store
	index    uint64 // of the last entry collected
	pending  pending
	unmarked bool    // the format is not written yet
	inserted int64   // bytes in Pebble's memory since the last flush was started
	flushes  []flush // under way, oldest first
	stats    writerStats
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
			return w.finish()
		case <-w.s.failed:
			return w.s.failure
		case <-oldest:
			err = w.reap()
		case <-ticker.C:
			if err = w.write(false); err == nil && w.inserted > 0 {
				err = w.flush()
			}
		case <-w.s.queue.wake:
			w.gather(ctx)
			err = w.collect()
		}
		if err != nil {
			return err
		}
	}
}

// finish brings everything that was committed to the disk.
func (w *writer) finish() error {
	if err := w.collect(); err != nil {
		return err
	}
	if err := w.write(false); err != nil {
		return err
	}
	return w.flushAndWait()
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

// collect takes in everything that waits in the queue, and writes it when that
// is due.
func (w *writer) collect() error {
	for {
		items := w.s.queue.take()
		if len(items) == 0 {
			break
		}
		for len(items) > 0 {
			n := 0
			for n < len(items) && items[n].marker == nil {
				n++
			}
			var err error
			if n > 0 {
				err = w.collectEntries(items[:n])
			} else {
				err = w.meet(items[0].marker)
				n = 1
			}
			if err != nil {
				return err
			}
			items = items[n:]
		}
	}
	if w.s.pressed.Swap(false) && int64(len(w.pending.bytes)) >= w.s.o.FlushBytes/pressedShare {
		return w.write(false)
	}
	return nil
}

// pressedShare says how small runs may be when rows that are not written take
// too much memory.
const pressedShare = 2

func (w *writer) collectEntries(entries []entry) error {
	gone, err := w.pending.collect(w.s.o.Codec, entries)
	if err != nil {
		return err
	}
	w.index = entries[len(entries)-1].index
	w.s.queue.done(entries)
	w.s.queue.release(gone)
	if int64(len(w.pending.bytes)) >= w.s.o.FlushBytes {
		return w.write(false)
	}
	return nil
}

// meet executes a marker.
func (w *writer) meet(m *marker) error {
	if !m.unwritten {
		if err := w.write(m.often); err != nil {
			return err
		}
	}
	m.execute()
	return nil
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
	w.inserted = 0
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
	if w.inserted > 0 {
		if err := w.flush(); err != nil {
			return err
		}
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
		return w.reap()
	case <-w.s.failed:
		return w.s.failure
	}
}

// reap takes note of the oldest flush, which is done.
func (w *writer) reap() error {
	if err := w.s.Err(); err != nil {
		return err
	}
	w.s.durable.Store(w.flushes[0].index)
	w.flushes = w.flushes[1:]
	return nil
}

// awaitCompactions waits while compactions are far behind.
func (w *writer) awaitCompactions() error {
	var ticker *time.Ticker
	for {
		m := w.s.db.Metrics()
		w.s.compress.Store(m.DiskSpaceUsage() > compressedBytes)
		if m.Levels[0].Sublevels <= maxSublevel {
			return nil
		}
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
}
