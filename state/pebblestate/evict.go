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
		switch {
		case c == &s.lru:
			return
		case c.dirty > written:
			s.press()
			tries--
			s.touch(c)
		case c.tick == s.tick:
			tries--
			s.touch(c)
		case c.isLarge && c.shed():
			s.touch(c)
		default:
			s.remove(c)
		}
	}
}

// remove takes a whole cell out of memory.
func (s *Store) remove(c *cell) {
	s.counts.evictions++
	s.evicted = max(s.evicted, c.dirty)
	c.unlink()
	delete(s.cells, c.id)
	if at := &s.recent[c.hash%recentCells]; *at == c {
		*at = nil
	}
	if !c.whole || c.foreign || c.hasAdded() {
		s.left.add(c.hash)
	}
	s.hot -= c.bytes
	c.gone = true
}

// shed takes those rows out of a written cell that have not been used for twice
// as long as the cell. It says whether that was worth it: the cell is one that
// is used all the time, and all of its old rows with it.
func (c *cell) shed() bool {
	old := uint32(2*c.tick - c.s.tick)
	before := c.bytes
	for _, p := range c.large {
		tb := p.rows
		var out []*slot
		tb.slots.each(func(sl *slot) bool {
			if int32(sl.used-old) < 0 {
				out = append(out, sl)
			}
			return true
		})
		tb.leave(out)
	}
	if c.bytes == before {
		return false
	}
	c.s.counts.trims++
	c.s.evicted = max(c.s.evicted, c.dirty)
	return c.bytes < before-before/4
}

// leave takes rows out that have been written.
func (tb *table) leave(rows []*slot) {
	if len(rows) == 0 {
		return
	}
	c := tb.cell
	for _, sl := range rows {
		tb.drop(sl)
		if sl.value != nil {
			c.s.left.add(rowHash(c.hash, tb.t.ID, sl.row))
		}
	}
	tb.noted = tb.noted || tb.complete
	c.noted = c.noted || c.whole
	tb.complete, tb.large, c.whole = false, false, false
}

// press asks the writer to write, so that memory can be given back.
func (s *Store) press() {
	if !s.pressed.Load() {
		s.pressed.Store(true)
		signal(s.queue.wake)
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
	if !c.isLarge {
		c.spread()
	}
	tables := slices.SortedFunc(slices.Values(c.large), func(a, b placedTable) int { return cmp.Compare(b.rows.bytes, a.rows.bytes) })
	for _, p := range tables {
		tb := p.rows
		if c.bytes <= target {
			return
		}
		var out []*slot
		left := c.bytes
		tb.slots.each(func(sl *slot) bool {
			if sl.index <= written {
				out = append(out, sl)
				left -= int64(sl.size)
			}
			return left > target
		})
		tb.leave(out)
		c.s.evicted = max(c.s.evicted, min(c.dirty, written))
	}
}

// free drops the slots of deleted rows that Pebble doesn't have either.
func (s *Store) free(freed []release) {
	for _, r := range freed {
		sl := r.slot
		if sl.value != nil || sl.index > r.index || sl.cell.gone {
			continue // stored again, deleted again, or evicted
		}
		sl.cell.drop(sl)
		if r.there && (!sl.cell.whole || s.tables[sl.t.ID] == nil) {
			s.evicted = max(s.evicted, r.index)
		}
	}
	clear(freed)
	s.freed = freed[:0]
}

// dropUnused frees a slot that an undone write has left behind.
func (s *Store) dropUnused(sl *slot) {
	if sl.value == nil && sl.index == 0 && sl.cell.whole {
		sl.cell.drop(sl)
	}
}
