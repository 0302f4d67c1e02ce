// Package pebblestate keeps a group's state: decoded rows in memory, and all
// rows in Pebble behind.
//
// Entries are applied to the rows in memory. What an entry changed goes to a
// queue, from which one writer encodes the rows and writes them to Pebble, many
// entries in one batch, together with the applied index and the digests of the
// shards they touched. Pebble has no log of its own and syncs nothing but its
// flushes, so after a crash it holds the state of some earlier index, exactly;
// the Raft log has the rest.
//
// Memory is bounded. The unit of loading is a cell: all its rows are read at
// once, or, when they are many, one by one as they are asked for. Cells that
// were not used for longest are evicted, large ones row by row. What is not
// written yet stays. Nothing of this can be seen from outside, except in time.
//
// It never returns a row that was not stored, and never goes on after a fault
// of the disk: row access raises [state.Fault], [Store.Failed] is closed, and
// nothing more is written.
//
// The goroutine that applies entries owns everything but what is said to be
// safe for others; [Store.Run] is the writer. Start at [Store]; rows in memory
// are in cell.go, loading in load.go, eviction in evict.go, writing in queue.go
// and writer.go.
package pebblestate

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
)

// Store implements [state.Store].
type Store struct {
	o      Options
	tables map[state.TableID]*state.Table
	lock   *pebble.Lock
	db     *pebble.DB

	// Owned by the goroutine that applies entries.
	applied uint64
	level   uint8
	tick    uint64 // number of the current entry, for marks on what it touched
	cells   map[state.CellID]*cell
	lru     cell // ring of all cells, the one used last behind it
	big     []*cell
	journal []undo
	changed []undo // rows changed in the current entry, as they were before it
	deleted deletions
	hot     int64  // about what all cells take in memory
	evicted uint64 // every evicted row had been written by this index
	disk    diskReader
	measure measure
	counts  counters

	loadRows, loadBytes int // what is loaded at once, at most

	queue   *queue
	written atomic.Uint64
	durable atomic.Uint64
	writer  writer
	digests map[state.Shard]state.Digest // owned by the writer

	running  atomic.Bool
	stopped  chan struct{} // closed when Run has returned
	shut     atomic.Bool   // closes the fence
	failOnce sync.Once
	failed   chan struct{}
	failure  error // set before failed is closed

	mu     sync.Mutex // guards what follows
	views  map[*view]struct{}
	closed bool
}

var _ state.Store = (*Store)(nil)

// undo is what a row was before it was written inside the current entry.
type undo struct {
	slot    *slot
	value   state.Visitable
	expires state.Time
}

func newStore(o Options) *Store {
	s := &Store{
		o: o, tables: make(map[state.TableID]*state.Table, len(o.Tables)), level: 1, tick: 1,
		cells: make(map[state.CellID]*cell), queue: newQueue(o.QueueBytes),
		loadRows: loadRows, loadBytes: loadBytes,
		stopped: make(chan struct{}), failed: make(chan struct{}), views: make(map[*view]struct{}),
	}
	for _, t := range o.Tables {
		s.tables[t.ID] = t
	}
	s.lru.newer, s.lru.older = &s.lru, &s.lru
	s.disk.s = s
	s.writer.s = s
	return s
}

// SetLevel says in which feature level's format rows are written from the
// current entry on. It is 1 at first.
func (s *Store) SetLevel(level uint8) { s.level = level }

// Cell implements [state.Store].
func (s *Store) Cell(id state.CellID) state.Cell {
	c := s.cells[id]
	if c == nil {
		s.counts.misses++
		c = s.load(id)
	} else {
		s.counts.hits++
	}
	if c.tick != s.tick {
		c.tick = s.tick
		s.touch(c)
	}
	return c
}

// Savepoint implements [state.Store].
func (s *Store) Savepoint() int { return len(s.journal) }

// Rollback implements [state.Store].
func (s *Store) Rollback(savepoint int) {
	for i := len(s.journal) - 1; i >= savepoint; i-- {
		u := s.journal[i]
		u.slot.put(u.value, u.expires)
	}
	clear(s.journal[savepoint:])
	s.journal = s.journal[:savepoint]
}

// Commit implements [state.Store].
func (s *Store) Commit(index uint64) {
	if index <= s.applied {
		state.Faultf("commit of index %d after %d", index, s.applied)
	}
	item := entry{index: index, level: s.level, changes: s.queue.slice()}
	for i := range s.changed {
		old := &s.changed[i]
		sl := old.slot
		if sl.value == old.value && sl.expires == old.expires {
			s.dropUnused(sl)
			continue
		}
		item.changes = append(item.changes, change{sl, sl.value, sl.expires})
		item.bytes += int64(sl.size)
		sl.index = index
		sl.table.cell.dirty = index
		if sl.value == nil {
			s.deleted.add(sl, index)
		}
	}
	clear(s.journal)
	clear(s.changed)
	s.journal, s.changed = s.journal[:0], s.changed[:0]
	if err := s.queue.put(item); err != nil {
		state.Faultf("write entry %d: %w", index, err)
	}
	s.applied = index
	s.tick++
	s.forgetDeleted()
	if s.hot > s.o.HotBytes {
		s.evict()
	}
	s.disk.releaseOld()
	s.counts.publish(s)
}

// Applied implements [state.Store].
func (s *Store) Applied() uint64 { return s.applied }

// Written is the index up to which rows have been handed to Pebble. It is safe
// for any goroutine, as is Durable.
func (s *Store) Written() uint64 { return s.written.Load() }

// Durable is the index up to which rows have been flushed: the state that a
// crash can't lose. The log may only be truncated behind it.
func (s *Store) Durable() uint64 { return s.durable.Load() }

// Failed is closed when the disk has failed: nothing more is written, and the
// replica must stop.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is why the store failed, nil while it has not.
func (s *Store) Err() error {
	select {
	case <-s.failed:
		return s.failure
	default:
		return nil
	}
}

// fail records the first failure and ends all waiting. It is safe for any
// goroutine, also one of Pebble's that holds its locks.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.shut.Store(true)
		s.failure = flatError{err}
		close(s.failed)
	})
	s.queue.close(err)
}

var errClosed = errors.New("store is closed")

// Close ends all views and closes Pebble. What was not flushed is for the Raft
// log to bring back. It must be called once, when nobody applies entries any
// more and the context of [Store.Run] is done, which it waits for.
func (s *Store) Close() error {
	s.queue.close(errClosed)
	if s.running.Load() {
		<-s.stopped
	}
	s.mu.Lock()
	s.closed = true
	open := s.views
	s.views = nil
	s.mu.Unlock()
	var errs []error
	for v := range open {
		errs = append(errs, v.end())
	}
	errs = append(errs, s.disk.release(), s.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close state %s: %w", s.o.Dir, err)
	}
	return nil
}

// release gives back what Open took.
func (s *Store) release() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
