package pebblestate

import (
	"cmp"
	"slices"
)

const (
	// bigShare says which cells are evicted row by row: those that take more
	// than this share of the hot memory.
	bigShare = 8
	// evictTries is how many cells that can't be evicted yet are passed over in
	// one go.
	evictTries = 16
)

// link puts a cell before all others in the order of use.
func (s *Store) link(c *cell) {
	c.newer, c.older = &s.lru, s.lru.older
	c.older.newer, s.lru.older = c, c
}

func (c *cell) unlink() { c.newer.older, c.older.newer = c.older, c.newer }

// touch marks a cell as used just now.
func (s *Store) touch(c *cell) {
	if s.lru.older != c {
		c.unlink()
		s.link(c)
	}
}

// evict takes rows out of memory until it fits again, as far as they have been
// written and no entry uses them.
func (s *Store) evict() {
	written := s.written.Load()
	s.trimBig(written)
	tries := evictTries
	for s.hot > s.o.HotBytes && tries > 0 {
		c := s.lru.newer // used longest ago
		if c == &s.lru {
			return
		}
		if c.tick == s.tick || c.dirty > written {
			tries--
			s.touch(c)
			continue
		}
		s.counts.evictions++
		s.evicted = max(s.evicted, c.dirty)
		c.unlink()
		delete(s.cells, c.id)
		s.hot -= c.bytes
		c.gone = true
	}
}

// trimBig takes single rows out of cells that are too big to go in one piece.
func (s *Store) trimBig(written uint64) {
	limit := s.o.HotBytes / bigShare
	s.big = slices.DeleteFunc(s.big, func(c *cell) bool {
		if !c.gone && c.bytes > limit && c.tick != s.tick {
			s.counts.trims++
			c.trim(limit/2, written)
		}
		c.big = !c.gone && c.bytes > limit
		return !c.big
	})
}

// trim evicts written rows, those of the largest table first, until the cell
// takes no more than target bytes.
func (c *cell) trim(target int64, written uint64) {
	tables := slices.SortedFunc(slices.Values(c.tables), func(a, b *table) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, tb := range tables {
		if c.bytes <= target {
			return
		}
		var out []*slot
		left := c.bytes
		tb.slots.Scan(func(_ string, sl *slot) bool {
			if sl.index <= written {
				out = append(out, sl)
				left -= int64(sl.size)
			}
			return left > target
		})
		if len(out) == 0 {
			continue
		}
		for _, sl := range out {
			tb.drop(sl)
		}
		tb.complete, tb.large, c.whole = false, false, false
		c.s.evicted = max(c.s.evicted, min(c.dirty, written))
	}
}

// deletions are rows whose deletion may not be written yet, oldest first.
type deletions struct {
	rows []deletion
	next int
}

// deletion is a row that the entry of an index deleted.
type deletion struct {
	slot  *slot
	index uint64
}

func (d *deletions) add(sl *slot, index uint64) { d.rows = append(d.rows, deletion{sl, index}) }

// forgetDeleted frees the slots of deleted rows once Pebble doesn't have the
// rows either.
func (s *Store) forgetDeleted() {
	d := &s.deleted
	written := s.written.Load()
	for d.next < len(d.rows) && d.rows[d.next].index <= written {
		sl, index := d.rows[d.next].slot, d.rows[d.next].index
		d.rows[d.next] = deletion{}
		d.next++
		if sl.value != nil || sl.index != index || sl.table.cell.gone {
			continue // stored again, deleted again, or evicted
		}
		sl.table.drop(sl)
		if !sl.table.complete {
			s.evicted = max(s.evicted, index)
		}
	}
	if d.next > len(d.rows)/2 {
		n := copy(d.rows, d.rows[d.next:])
		clear(d.rows[n:])
		d.rows, d.next = d.rows[:n], 0
	}
}

// dropUnused frees a slot that an undone write has left behind.
func (s *Store) dropUnused(sl *slot) {
	if sl.value == nil && sl.index == 0 && sl.table.complete {
		sl.table.drop(sl)
	}
}
