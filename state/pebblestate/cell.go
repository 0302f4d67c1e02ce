package pebblestate

import (
	"strings"

	"github.com/tidwall/btree"

	"anabranch.dev/state"
)

// cell is one key of one stage in memory. It implements [state.Cell].
type cell struct {
	s      *Store
	id     state.CellID
	prefix []byte // of its rows in Pebble; read by the writer
	tables []*table

	whole   bool // every row of every table is here
	foreign bool // Pebble has rows of unknown tables
	big     bool // listed in Store.big
	gone    bool // evicted

	bytes int64
	dirty uint64 // index of the last change
	tick  uint64 // entry that used it last

	newer, older *cell // in the order of use
}

// table is the rows of one table of a cell. A slot without a value says that
// there is no such row.
type table struct {
	cell  *cell
	t     *state.Table
	slots btree.Map[string, *slot]
	bytes int64

	complete bool // rows without a slot don't exist
	large    bool // loading all rows was tried, and they were too many
	counted  bool // count is known; always so when complete
	count    int  // rows
}

// slot is one row in memory. The first half is owned by the goroutine that
// applies entries, the second by the writer.
type slot struct {
	table   *table
	row     string
	value   state.Visitable // nil: not there
	expires state.Time
	index   uint64 // of the entry that changed it last, 0 for none
	tick    uint64 // entry in whose list of changes it stands
	size    int32

	stored bool         // Pebble has the row
	hash   state.Digest // of the row as Pebble has it
	batch  uint64       // batch in which it stands, at position at
	at     int
}

// What a cell, table and slot take in memory, about.
const (
	cellBytes  = 320
	tableBytes = 256
	slotBytes  = 192
)

// Get implements [state.Cell].
func (c *cell) Get(t *state.Table, row string) state.Visitable {
	tb := c.table(t)
	if sl, ok := tb.slots.Get(row); ok {
		return sl.value
	}
	if tb.complete {
		return nil
	}
	return tb.fetch(row).value
}

// Set implements [state.Cell].
func (c *cell) Set(t *state.Table, row string, value state.Visitable, expires state.Time) {
	if value == nil {
		state.Faultf("set row %q of %s to nil", row, t)
	}
	c.table(t).slot(row).write(value, expires)
}

// Delete implements [state.Cell].
func (c *cell) Delete(t *state.Table, row string) {
	tb := c.table(t)
	sl, ok := tb.slots.Get(row)
	if !ok && !tb.complete {
		sl, ok = tb.fetch(row), true
	}
	if ok && sl.value != nil {
		sl.write(nil, 0)
	}
}

// Scan implements [state.Cell].
func (c *cell) Scan(t *state.Table, prefix, from string, fn func(row string, value state.Visitable) bool) {
	tb := c.table(t)
	tb.loadAll()
	tb.scan(prefix, from, func(row string, value state.Visitable, _ state.Time) bool { return fn(row, value) })
}

// Count implements [state.Cell].
func (c *cell) Count(t *state.Table) int {
	tb := c.table(t)
	tb.loadAll()
	if !tb.counted {
		n := 0
		tb.scan("", "", func(string, state.Visitable, state.Time) bool { n++; return true })
		tb.count, tb.counted = n, true
	}
	return tb.count
}

// Expire implements [state.Cell].
func (c *cell) Expire(t *state.Table, now state.Time, limit int) state.Time {
	tb := c.table(t)
	tb.loadAll()
	var due []string
	var next state.Time
	tb.scan("", "", func(row string, _ state.Visitable, expires state.Time) bool {
		switch {
		case expires == 0:
		case expires <= now && len(due) < limit:
			due = append(due, row)
		case next == 0 || expires < next:
			next = expires
		}
		return true
	})
	for _, row := range due {
		tb.slot(row).write(nil, 0)
	}
	return next
}

// table returns the rows of a table.
func (c *cell) table(t *state.Table) *table {
	if c.tick != c.s.tick {
		state.Faultf("cell %q used after the entry that it was opened for", c.id.Key)
	}
	for _, tb := range c.tables {
		if tb.t.ID == t.ID {
			return tb
		}
	}
	known := c.s.tables[t.ID]
	if known == nil {
		state.Faultf("table %s was not declared when the store was opened", t)
	}
	return c.addTable(known, c.whole)
}

func (c *cell) addTable(t *state.Table, complete bool) *table {
	tb := &table{cell: c, t: t, complete: complete, counted: complete}
	c.tables = append(c.tables, tb)
	c.grow(tableBytes)
	return tb
}

// slot returns the row's slot, making or loading it.
func (tb *table) slot(row string) *slot {
	if sl, ok := tb.slots.Get(row); ok {
		return sl
	}
	if !tb.complete {
		return tb.fetch(row)
	}
	return tb.add(&slot{table: tb, row: strings.Clone(row)})
}

// add puts a slot in its place.
func (tb *table) add(sl *slot) *slot {
	sl.size = slotSize(sl)
	tb.slots.Set(sl.row, sl)
	tb.grow(int64(sl.size))
	return sl
}

// drop takes a slot out.
func (tb *table) drop(sl *slot) {
	tb.slots.Delete(sl.row)
	tb.grow(-int64(sl.size))
}

func (tb *table) grow(n int64) {
	tb.bytes += n
	tb.cell.grow(n)
}

func (c *cell) grow(n int64) {
	if c.gone {
		return
	}
	c.bytes += n
	c.s.hot += n
	if !c.big && c.bytes > c.s.o.HotBytes/bigShare {
		c.big = true
		c.s.big = append(c.s.big, c)
	}
}

// write changes the row inside the current entry.
func (sl *slot) write(value state.Visitable, expires state.Time) {
	s := sl.table.cell.s
	if value == sl.value && expires == sl.expires {
		return
	}
	old := undo{sl, sl.value, sl.expires}
	s.journal = append(s.journal, old)
	if sl.tick != s.tick {
		sl.tick = s.tick
		s.changed = append(s.changed, old)
		sl.table.cell.tick = s.tick
	}
	sl.put(value, expires)
}

// put sets the row and keeps count and size right.
func (sl *slot) put(value state.Visitable, expires state.Time) {
	tb := sl.table
	switch {
	case sl.value == nil && value != nil:
		tb.count++
	case sl.value != nil && value == nil:
		tb.count--
	}
	sl.value, sl.expires = value, expires
	size := slotSize(sl)
	tb.grow(int64(size - sl.size))
	sl.size = size
}

// scan visits the table's rows in order, from memory or from memory and Pebble.
func (tb *table) scan(prefix, from string, fn func(row string, value state.Visitable, expires state.Time) bool) {
	if !tb.complete {
		tb.scanBoth(prefix, from, fn)
		return
	}
	tb.slots.Ascend(max(prefix, from), func(row string, sl *slot) bool {
		if !strings.HasPrefix(row, prefix) {
			return false
		}
		return sl.value == nil || fn(row, sl.value, sl.expires)
	})
}
