// Package pebblestate keeps a group's state: decoded rows in memory, and all
// rows in Pebble behind.
//
// Entries are applied to the rows in memory. What an entry changed goes to a
// queue, from which one writer collects it: it encodes the rows and keeps the
// digests of the shards. From time to time it writes what it has collected, one
// last state of each row, sorted, together with the applied index and the digests:
// a run. Large runs become finished tables that Pebble takes in as they are. What
// comes and goes between two runs is never written. Pebble has no log of its own,
// so after a crash it holds the state of some earlier index, exactly; the Raft log
// has the rest.
//
// Memory is bounded. The unit of loading is a cell: all its rows are read at
// once, or, when they are many, one by one as they are asked for. Cells that
// were not used for longest are evicted, large ones row by row. What is not
// written yet stays. Which cells and rows were evicted is remembered, so that new
// ones are not looked for. Nothing of this can be seen from outside, except in
// time.
//
// It never returns a row that was not stored, and never goes on after a fault
// of the disk: row access raises [state.Fault], [Store.Failed] is closed, and
// nothing more is written. Files that are not what was written are found when the
// store is opened (MANIFEST, list and sizes of files), when they are read
// (checksums), or by [Store.Scrub]; the error wraps [state.ErrDamaged].
//
// The goroutine that applies entries owns everything but what is said to be
// safe for others; [Store.Run] is the writer. Start at [Store]; rows in memory
// are in cell.go and table.go, loading in load.go, eviction in evict.go and
// known.go, writing in queue.go, writer.go, pending.go and run.go, what guards the
// files in manifest.go, fence.go and scrub.go.
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
	others map[state.TableID]*state.Table // that this build doesn't know, of rows that were put or removed
	pebble *pebble.Options
	marks  *manifestMarks
	lock   *pebble.Lock
	db     *pebble.DB

	// Owned by the goroutine that applies entries.
	applied uint64
	level   uint8
	tick    uint64 // number of the current entry, for marks on what it touched
	cells   map[state.CellID]*cell
	recent  [recentCells]*cell         // those used last, by hash
	lately  [recentTables]*state.Table // those used last, by id
	left    known                      // cells, and rows of large cells, that were evicted
	found   atomic.Pointer[known]      // cells that were in Pebble before; nil while not known
	lru     cell                       // ring of all cells, the one used last behind it
	big     []*cell
	journal []undo
	changed []undo    // rows changed in the current entry, as they were before it
	freed   []release // deleted rows whose slots can go
	hot     int64     // about what all cells take in memory
	evicted uint64    // every evicted row had been written by this index
	disk    diskReader
	measure measure
	counts  counters

	queue   *queue
	written atomic.Uint64
	durable atomic.Uint64
	writer  writer

	compress atomic.Bool // new tables, for there are so many
	pressed  atomic.Bool // rows that are not written take too much memory
	running  atomic.Bool
	stopped  chan struct{} // closed when Run has returned
	shut     atomic.Bool   // closes the fence
	// abandoned: Pebble could not be opened, and goes on trying.
	abandoned atomic.Bool
	failOnce  sync.Once
	failed    chan struct{}
	failure   error // set before failed is closed

	scrubbing sync.Mutex // held while the disk is looked through

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
	level   uint8
}

func newStore(o Options) *Store {
	s := &Store{
		o: o, tables: make(map[state.TableID]*state.Table, len(o.Tables)), level: 1, tick: 1,
		others: make(map[state.TableID]*state.Table),
		cells:  make(map[state.CellID]*cell), queue: newQueue(o.QueueBytes),
		stopped: make(chan struct{}), failed: make(chan struct{}), views: make(map[*view]struct{}),
	}
	for _, t := range o.Tables {
		s.tables[t.ID] = t
	}
	s.lru.newer, s.lru.older = &s.lru, &s.lru
	s.left.limit = max(s.o.HotBytes/4, 64<<20) // for 25 million rows and cells, at least
	s.disk.s = s
	s.writer.s, s.writer.pending.run = s, 1
	return s
}

// SetLevel says in which feature level's format rows are written from the
// current entry on. It is 1 at first.
func (s *Store) SetLevel(level uint8) { s.level = level }

// Cell implements [state.Store].
func (s *Store) Cell(id state.CellID) state.Cell { return s.cell(id) }

func (s *Store) cell(id state.CellID) *cell {
	hash := cellHash(id)
	c := s.recent[hash%recentCells]
	if c == nil || c.hash != hash || c.id != id || c.gone {
		if c = s.cells[id]; c == nil {
			s.counts.misses++
			c = s.load(id, hash)
		}
		s.recent[hash%recentCells] = c
	}
	s.counts.uses++
	if c.tick != s.tick {
		c.tick = s.tick
		s.touch(c)
	}
	return c
}

// How many cells and tables are found without a look into a map.
const (
	recentCells  = 1024
	recentTables = 256
)

// Savepoint implements [state.Store].
func (s *Store) Savepoint() int { return len(s.journal) }

// Rollback implements [state.Store].
func (s *Store) Rollback(savepoint int) {
	for i := len(s.journal) - 1; i >= savepoint; i-- {
		u := s.journal[i]
		u.slot.put(u.value, u.expires, u.level)
	}
	clear(s.journal[savepoint:])
	s.journal = s.journal[:savepoint]
}

// Commit implements [state.Store].
func (s *Store) Commit(index uint64) {
	if index <= s.applied {
		state.Faultf("commit of index %d after %d", index, s.applied)
	}
	item := entry{index: index, changes: s.queue.slice()}
	for i := range s.changed {
		old := &s.changed[i]
		sl := old.slot
		if sl.value == old.value && sl.expires == old.expires && (sl.value == nil || sl.level == old.level) {
			s.dropUnused(sl)
			continue
		}
		sl.cell.resize(sl)
		item.changes = append(item.changes, change{sl, sl.value, sl.expires, sl.level})
		item.bytes += int64(sl.size)
		sl.index = index
		sl.cell.dirty = index
	}
	clear(s.journal)
	clear(s.changed)
	s.journal, s.changed = s.journal[:0], s.changed[:0]
	freed, err := s.queue.put(item, s.freed[:0])
	if err != nil {
		state.Faultf("write entry %d: %w", index, err)
	}
	s.applied = index
	s.tick++
	s.free(freed)
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
	err = flatError{damage(err)}
	s.failOnce.Do(func() {
		s.shut.Store(true)
		s.failure = err
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
		return fmt.Errorf("close state %s: %w", s.o.Dir, damage(err))
	}
	return nil
}

// release gives back what Open took.
func (s *Store) release() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.marks != nil {
		errs = append(errs, s.marks.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
