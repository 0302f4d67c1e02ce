package pebblestate

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
)

// Cells implements [state.Store]. fn may write to the cell it is given; a cell
// that it leaves as it is may be evicted right after.
func (s *Store) Cells(shard state.Shard, stage state.StageID, fn func(key string, c state.Cell) bool) {
	for _, key := range s.keys(shard, stage) {
		if !s.visit(state.CellID{Shard: shard, Stage: stage, Key: key}, fn) {
			return
		}
	}
}

// keys lists the keys of a shard and stage that have rows in memory or in
// Pebble, and maybe some that have none any more.
func (s *Store) keys(shard state.Shard, stage state.StageID) []string {
	var keys []string
	for id := range s.cells {
		if id.Shard == shard && id.Stage == stage {
			keys = append(keys, id.Key)
		}
	}
	err := cellsOf(s.db, shard, stage, "", func(key string) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		state.Faultf("read cells of shard %d: %w", shard, err)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// visit calls fn with a cell that has rows. A cell that was not in use is only
// in use during the call.
func (s *Store) visit(id state.CellID, fn func(key string, c state.Cell) bool) bool {
	c := s.cells[id]
	if c == nil {
		c = s.load(id)
	}
	before, changes := c.tick, len(s.changed)
	c.tick = s.tick
	more := true
	if !c.empty() {
		more = fn(id.Key, c)
	}
	if len(s.changed) == changes {
		c.tick = before
	}
	if s.hot > s.o.HotBytes {
		s.evict()
	}
	return more
}

// empty says whether the cell has no row at all, also none of a table that this
// build doesn't know.
func (c *cell) empty() bool {
	if c.foreign {
		return false
	}
	for _, tb := range c.tables {
		if tb.counted && tb.count > 0 {
			return false
		}
	}
	return c.whole || !c.hasStored() && !c.hasAdded()
}

// hasAdded says whether a row in memory has a value.
func (c *cell) hasAdded() (found bool) {
	for _, tb := range c.tables {
		tb.slots.Scan(func(_ string, sl *slot) bool {
			found = sl.value != nil
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

// hasStored says whether Pebble has a row of the cell that memory doesn't say
// is deleted.
func (c *cell) hasStored() bool {
	it, err := c.s.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		state.Faultf("read key %q: %w", c.id.Key, err)
	}
	found := false
	for ok := it.SeekPrefixGE(c.prefix); ok && !found; ok = it.Next() {
		found = true
		for _, tb := range c.tables {
			if tb.t.ID == tableOf(c, it.Key()) {
				sl, ok := tb.slots.Get(string(it.Key()[len(c.prefix)+4:]))
				found = !ok || sl.value != nil
			}
		}
	}
	if err := firstError(it.Error(), it.Close()); err != nil {
		state.Faultf("read key %q: %w", c.id.Key, err)
	}
	return found
}
