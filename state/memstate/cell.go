package memstate

import (
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// cell implements [state.Cell].
type cell struct {
	s      *Store
	entry  uint64
	shard  state.Shard
	prefix []byte
}

// table is the prefix of the table's rows.
func (c *cell) table(t *state.Table) string {
	if c.entry != c.s.entry {
		state.Faultf("cell used after the entry that it was opened for")
	}
	if c.s.tables[t.ID] == nil {
		state.Faultf("table %s was not declared when the store was opened", t)
	}
	return string(codec.AppendTable(c.prefix, t.ID))
}

// Get implements [state.Cell].
func (c *cell) Get(t *state.Table, key string) state.Visitable {
	r, _ := c.s.rows.Get(c.table(t) + key)
	return r.value
}

// Set implements [state.Cell].
func (c *cell) Set(t *state.Table, key string, value state.Visitable, expires state.Time) {
	if value == nil {
		state.Faultf("set row %q of %s to nil", key, t)
	}
	prefix := c.table(t)
	c.s.write(prefix+key, len(prefix), c.shard, value, expires)
}

// Delete implements [state.Cell].
func (c *cell) Delete(t *state.Table, key string) {
	prefix := c.table(t)
	c.s.write(prefix+key, len(prefix), c.shard, nil, 0)
}

// Scan implements [state.Cell].
func (c *cell) Scan(t *state.Table, prefix, from string, fn func(key string, value state.Visitable) bool) {
	table := c.table(t)
	c.s.scan(table+prefix, table+from, func(key string, r row) bool {
		return fn(key[len(table):], r.value)
	})
}

// Count implements [state.Cell].
func (c *cell) Count(t *state.Table) int {
	n, _ := c.s.counts.Get(c.table(t))
	return n
}

// Expire implements [state.Cell].
func (c *cell) Expire(t *state.Table, now state.Time, limit int) state.Time {
	table := c.table(t)
	var due []string
	var next state.Time
	c.s.scan(table, "", func(key string, r row) bool {
		switch {
		case r.expires == 0:
		case r.expires <= now && len(due) < limit:
			due = append(due, key)
		case next == 0 || r.expires < next:
			next = r.expires
		}
		return true
	})
	for _, key := range due {
		c.s.write(key, len(table), c.shard, nil, 0)
	}
	return next
}
