package pebblestate

import (
	"context"
	"fmt"
	"sync"

	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// marker is a task that the writer runs exactly between two entries, for
// somebody who waits for it.
type marker struct {
	run  func() error
	undo func() // takes back what run did when nobody waits any more

	unwritten bool // run doesn't need the entries before it written
	often     bool // there may be many such markers: no tables are made for each

	ready chan struct{}
	mu    sync.Mutex // guards what follows
	done  bool
	left  bool
	err   error
}

// execute runs the task.
func (m *marker) execute() {
	err := m.run()
	m.mu.Lock()
	m.done, m.err = true, err
	left := m.left
	m.mu.Unlock()
	if left && err == nil && m.undo != nil {
		m.undo()
	}
	close(m.ready)
}

// atMarker runs a task in the writer after all entries committed so far and
// before all later ones.
func (s *Store) atMarker(ctx context.Context, run func() error, undo func()) error {
	m, err := s.mark(run, undo)
	if err != nil {
		return err
	}
	return s.await(ctx, m)
}

// mark gives a task its place in the queue.
func (s *Store) mark(run func() error, undo func()) (*marker, error) {
	m := &marker{run: run, undo: undo, ready: make(chan struct{})}
	return m, s.queue.mark(m, true)
}

// Digests implements [state.Store]. The writer knows the digests: it reports
// when it has collected the last entry, in its own time.
func (s *Store) Digests(report func(index uint64, digests []state.ShardDigest)) {
	m := &marker{ready: make(chan struct{}), unwritten: true, run: func() error {
		report(s.writer.index, state.SortDigests(s.writer.pending.digests.all))
		return nil
	}}
	_ = s.queue.mark(m, false) // refused only by a store that has ended: it never reports
}

// await waits until a task has run, or takes it back.
func (s *Store) await(ctx context.Context, m *marker) error {
	select {
	case <-m.ready:
		return m.err
	case <-s.stopped:
	case <-s.failed:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return m.err
	}
	m.left = true
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return err
	}
	return errClosed
}

// Flush returns when everything committed so far is durable. It is safe for any
// goroutine, as is Checkpoint.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.atMarker(ctx, s.writer.flushAndWait, nil); err != nil {
		return fmt.Errorf("flush state: %w", err)
	}
	return nil
}

// Checkpoint makes a copy of the store in a directory that must not exist, on
// the same disk, of the state at exactly the index it returns: that of the last
// entry committed before the call. The copy shares its files with the store and
// can be opened as a store.
func (s *Store) Checkpoint(ctx context.Context, dir string) (index uint64, err error) {
	wait, err := s.BeginCheckpoint(dir)
	if err != nil {
		return 0, err
	}
	return wait(ctx)
}

// BeginCheckpoint is [Store.Checkpoint] in two steps: it only fixes the index,
// for a caller that holds applies back, and wait does the waiting beside later
// entries. wait must be called, once.
func (s *Store) BeginCheckpoint(dir string) (wait func(ctx context.Context) (index uint64, err error), err error) {
	var index uint64
	m, err := s.mark(func() error {
		if !planted.Is("disk: snapshot labelled ahead of its content") {
			if err := s.writer.flushAndWait(); err != nil {
				return err
			}
		}
		index = s.written.Load()
		return s.checkpoint(dir)
	}, func() {
		if err := s.o.FS.RemoveAll(dir); err != nil {
			s.o.Log.Error("checkpoint that nobody waits for is left", "dir", dir, "error", err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint state in %s: %w", dir, err)
	}
	return func(ctx context.Context) (uint64, error) {
		if err := s.await(ctx, m); err != nil {
			return 0, fmt.Errorf("checkpoint state in %s: %w", dir, err)
		}
		return index, nil
	}, nil
}

// checkpoint links and copies the files of a store that is flushed. A MANIFEST
// that was damaged meanwhile would make a copy that looks good, of less.
func (s *Store) checkpoint(dir string) error {
	if err := s.checkOpenManifest(); err != nil {
		return err
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return err
	}
	return s.Err()
}
