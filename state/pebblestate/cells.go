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
		state.Faultf("read cells of shard %d: %w", shard, damage(err))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// visit calls fn with a cell that has rows. A cell that was not in use is only
// in use during the call.
func (s *Store) visit(id state.CellID, fn func(key string, c state.Cell) bool) bool {
	c := s.cells[id]
	if c == nil {
		c = s.load(id, cellHash(id))
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
	return !c.hasAdded() && (c.whole && !c.foreign || !c.hasStored())
}

// hasAdded says whether a row in memory has a value.
func (c *cell) hasAdded() (found bool) {
	for i := range c.slots {
		if c.slots[i].slot.value != nil {
			return true
		}
	}
	for _, p := range c.large {
		p.rows.slots.each(func(sl *slot) bool {
			found = sl.value != nil
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

// hasStored says whether Pebble has a row of the cell that memory doesn't say is
// deleted.
func (c *cell) hasStored() bool {
	it, err := c.s.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		state.Faultf("read key %q: %w", c.id.Key, damage(err))
	}
	found := false
	prefix := appendCellKey(nil, c.id)
	for ok := it.SeekPrefixGE(prefix); ok && !found; ok = it.Next() {
		found = true
		id, row := splitRow(it.Key(), len(prefix))
		for i := range c.slots {
			if sl := c.slots[i].slot; sl.t.ID == id && sl.row == string(row) {
				found = sl.value != nil
			}
		}
		for _, p := range c.large {
			if p.t.ID == id {
				sl := p.rows.slots.get(string(row))
				found = sl == nil || sl.value != nil
			}
		}
	}
	if err := firstError(it.Error(), it.Close()); err != nil {
		state.Faultf("read key %q: %w", c.id.Key, damage(err))
	}
	return found
}
