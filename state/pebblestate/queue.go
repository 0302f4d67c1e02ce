package pebblestate

import (
	"sync"

	"anabranch.dev/state"
)

// queue hands entries and markers from whoever makes them to the writer, in
// order. It is safe for any goroutine.
type queue struct {
	wake  chan struct{} // has a token when there may be something to take
	hurry chan struct{} // has a token when the writer should not wait for more
	mu    sync.Mutex    // guards what follows
	room  *sync.Cond    // bytes has become less, or err was set
	items []entry
	spare []entry
	used  [][]change // to use again
	gone  []release  // deleted rows whose slots are of no use
	bytes int64      // of entries that are not yet collected
	waits uint64     // times put had to wait
	max   int64
	err   error // why nothing is taken in any more
}

// entry is what one entry changed, or a marker.
type entry struct {
	index   uint64
	changes []change
	bytes   int64
	marker  *marker
}

// change is a row as an entry left it.
type change struct {
	slot    *slot
	value   state.Visitable // nil: deleted
	expires state.Time
	level   uint8 // that it is written in
}

const (
	entryBytes = 64      // what an entry without changes counts
	hurryBytes = 8 << 20 // waiting bytes at which gathering more is no use
)

func newQueue(limit int64) *queue {
	q := &queue{wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), max: limit}
	q.room = sync.NewCond(&q.mu)
	return q
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put appends an entry and returns deleted rows whose slots are of no use any
// more, after those in freed. It waits while the queue is full; an entry larger
// than the queue goes in when the queue is empty.
func (q *queue) put(e entry, freed []release) ([]release, error) {
	e.bytes += entryBytes
	q.mu.Lock()
	defer q.mu.Unlock()
	full := func() bool { return q.err == nil && q.bytes > 0 && q.bytes+e.bytes > q.max }
	if full() {
		q.waits++
	}
	for full() {
		signal(q.hurry)
		q.room.Wait()
	}
	if q.err != nil {
		return freed, q.err
	}
	q.bytes += e.bytes
	q.append(e, q.bytes >= hurryBytes)
	freed = append(freed, q.gone...)
	clear(q.gone)
	q.gone = q.gone[:0]
	return freed, nil
}

// release hands deleted rows to whoever puts the next entry.
func (q *queue) release(gone []release) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = append(q.gone, gone...)
}

// mark appends a marker, which the writer gets to at once or in its own time.
func (q *queue) mark(m *marker, hurry bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.append(entry{marker: m}, hurry)
	return nil
}

func (q *queue) append(e entry, hurry bool) {
	q.items = append(q.items, e)
	if len(q.items) == 1 {
		signal(q.wake)
	}
	if hurry {
		signal(q.hurry)
	}
}

// take returns everything that waits. The slice is good until the next take.
func (q *queue) take() []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	clear(q.spare)
	q.items, q.spare = q.spare[:0], items
	return items
}

// done makes room for as much as entries took.
func (q *queue) done(entries []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range entries {
		q.bytes -= entries[i].bytes
		if c := entries[i].changes; cap(c) > 0 && len(q.used) < 64 {
			clear(c)
			q.used = append(q.used, c[:0])
		}
	}
	q.room.Broadcast()
}

// slice returns an empty slice for an entry's changes.
func (q *queue) slice() []change {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.used)
	if n == 0 {
		return nil
	}
	c := q.used[n-1]
	q.used = q.used[:n-1]
	return c
}

// close refuses what comes from now on; waiting calls return.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.room.Broadcast()
}

// depth is how much waits or is being written, and how often somebody had to
// wait for room.
func (q *queue) depth() (entries int, bytes int64, waits uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes, q.waits
}
