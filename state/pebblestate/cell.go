package pebblestate

import (
	"slices"
	"strings"

	"anabranch.dev/state"
)

// cell is one key of one stage in memory. It implements [state.Cell].
//
// Most cells have few rows, all of which are in memory: those stand in one
// sorted slice. A cell that has many, or not all of its rows in memory, is
// large and keeps them by table (table.go).
type cell struct {
	s     *Store
	id    state.CellID
	hash  uint64
	slots []placed // while not large: by table, in the order of rows
	large []placedTable

	isLarge bool
	whole   bool // every row of every table is here
	noted   bool // or, if large, those that are not are in Store.left
	foreign bool // Pebble has rows of unknown tables
	big     bool // listed in Store.big
	gone    bool // evicted

	bytes int64
	dirty uint64 // index of the last change
	tick  uint64 // entry that used it last

	newer, older *cell // in the order of use
}

// placed is a slot with its table, which says where in the slice to look.
type placed struct {
	t    *state.Table
	slot *slot
}

// placedTable is a table of a large cell, with what it is found by.
type placedTable struct {
	t    *state.Table
	rows *table
}

// slot is one row in memory. A slot without a value says that there is no such
// row. The first half is owned by the goroutine that applies entries, the
// second by the writer.
type slot struct {
	cell    *cell
	t       *state.Table
	row     string
	value   state.Visitable // nil: not there
	expires state.Time
	index   uint64 // of the entry that changed it last, 0 for none
	tick    uint64 // entry in whose list of changes it stands
	size    int32
	used    uint32 // entry that read or wrote it last, about; in large cells
	level   uint8  // feature level in whose format the row is stored

	last   int32        // place among the changes being collected, plus one
	run    uint32       // run in which the row stands
	at     int32        // place among its rows
	stored bool         // the digest includes the row
	hash   state.Digest // what it adds
}

// firstRows is for how many rows there is room in a cell that has any.
const firstRows = 8

// What a cell, table and slot take in memory, about.
const (
	cellBytes  = 192
	tableBytes = 160
	slotBytes  = 144
)

// Get implements [state.Cell].
func (c *cell) Get(t *state.Table, row string) state.Visitable {
	t = c.check(t)
	if c.isLarge {
		return c.table(t).get(row)
	}
	if at, ok := c.find(t, row); ok {
		return c.slots[at].slot.value
	}
	return nil
}

// Set implements [state.Cell].
func (c *cell) Set(t *state.Table, row string, value state.Visitable, expires state.Time) {
	if value == nil {
		state.Faultf("set row %q of %s to nil", row, t)
	}
	t = c.check(t)
	c.slot(t, row).write(value, expires)
}

// Delete implements [state.Cell].
func (c *cell) Delete(t *state.Table, row string) {
	t = c.check(t)
	var sl *slot
	if c.isLarge {
		sl = c.table(t).existing(row)
	} else if at, ok := c.find(t, row); ok {
		sl = c.slots[at].slot
	}
	if sl != nil && sl.value != nil {
		sl.write(nil, 0)
	}
}

// Scan implements [state.Cell].
func (c *cell) Scan(t *state.Table, prefix, from string, fn func(row string, value state.Visitable) bool) {
	t = c.check(t)
	c.scan(t, prefix, from, func(row string, value state.Visitable, _ state.Time) bool { return fn(row, value) })
}

// Count implements [state.Cell].
func (c *cell) Count(t *state.Table) int {
	t = c.check(t)
	if c.isLarge {
		return c.table(t).rows()
	}
	n := 0
	for i := range c.slots {
		if c.slots[i].t == t && c.slots[i].slot.value != nil {
			n++
		}
	}
	return n
}

// Expire implements [state.Cell].
func (c *cell) Expire(t *state.Table, now state.Time, limit int) state.Time {
	t = c.check(t)
	var due []string
	var next state.Time
	c.scan(t, "", "", func(row string, _ state.Visitable, expires state.Time) bool {
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
		c.slot(t, row).write(nil, 0)
	}
	return next
}

// check returns the table as the store knows it, for a handle that is good.
func (c *cell) check(t *state.Table) *state.Table {
	s := c.s
	if c.tick != s.tick {
		state.Faultf("cell %q used after the entry that it was opened for", c.id.Key)
	}
	if s.lately[t.ID%recentTables] == t {
		return t
	}
	known := s.tables[t.ID]
	if known == nil {
		state.Faultf("table %s was not declared when the store was opened", t)
	}
	s.lately[t.ID%recentTables] = known
	return known
}

// find says where a row of a cell that is not large stands or would stand.
func (c *cell) find(t *state.Table, row string) (at int, found bool) {
	for at < len(c.slots) && c.slots[at].t != t {
		at++
	}
	for at < len(c.slots) && c.slots[at].t == t {
		other := c.slots[at].slot.row
		if other >= row {
			return at, other == row
		}
		at++
	}
	return at, false
}

// slot returns the row's slot, making or loading it.
func (c *cell) slot(t *state.Table, row string) *slot {
	if c.isLarge {
		return c.table(t).slot(row)
	}
	at, ok := c.find(t, row)
	if ok {
		return c.slots[at].slot
	}
	return c.place(at, &slot{cell: c, t: t, row: strings.Clone(row), used: uint32(c.s.tick)})
}

// place puts a slot where it stands; the cell may become large.
func (c *cell) place(at int, sl *slot) *slot {
	if len(c.slots) >= c.s.o.limits.smallRows {
		c.spread()
		return c.table(sl.t).add(sl)
	}
	c.insert(at, sl)
	return sl
}

func (c *cell) insert(at int, sl *slot) {
	if c.slots == nil {
		c.slots = make([]placed, 0, firstRows)
	}
	c.slots = slices.Insert(c.slots, at, placed{sl.t, sl})
	c.grow(sl.resize())
}

// spread makes the cell large.
func (c *cell) spread() {
	slots := c.slots
	c.slots, c.isLarge = nil, true
	for i := range slots {
		sl := slots[i].slot
		tb := c.table(sl.t)
		tb.slots.add(sl)
		tb.bytes += int64(sl.size)
		if sl.value != nil {
			tb.count++
		}
	}
}

// drop takes a slot out.
func (c *cell) drop(sl *slot) {
	if c.isLarge {
		c.table(sl.t).drop(sl)
		return
	}
	if at, ok := c.find(sl.t, sl.row); ok && c.slots[at].slot == sl {
		c.slots = slices.Delete(c.slots, at, at+1)
		c.grow(-int64(sl.size))
	}
}

// resize counts what a changed row takes now.
func (c *cell) resize(sl *slot) {
	n := sl.resize()
	if c.isLarge {
		c.table(sl.t).bytes += n
	}
	c.grow(n)
}

// grow counts memory that was taken or given back.
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

// scan visits a table's rows in order, from memory or from memory and Pebble.
// fn may read from the cell.
func (c *cell) scan(t *state.Table, prefix, from string, fn func(row string, value state.Visitable, expires state.Time) bool) {
	if c.isLarge {
		c.table(t).scan(prefix, from, fn)
		return
	}
	for at, _ := c.find(t, max(prefix, from)); at < len(c.slots) && c.slots[at].t == t; at++ {
		sl := c.slots[at].slot
		if !strings.HasPrefix(sl.row, prefix) || sl.value != nil && !fn(sl.row, sl.value, sl.expires) {
			return
		}
	}
}

// write changes the row inside the current entry.
func (sl *slot) write(value state.Visitable, expires state.Time) {
	sl.writeAt(value, expires, sl.cell.s.level)
}

func (sl *slot) writeAt(value state.Visitable, expires state.Time, level uint8) {
	// A row that is the same is written all the same if it would be stored in
	// another format: whether a value is the one in memory or its equal depends
	// on what was evicted here.
	if value == sl.value && expires == sl.expires && (value == nil || level == sl.level) {
		return
	}
	s := sl.cell.s
	old := undo{sl, sl.value, sl.expires, sl.level}
	s.journal = append(s.journal, old)
	if sl.tick != s.tick {
		sl.tick = s.tick
		s.changed = append(s.changed, old)
	}
	sl.put(value, expires, level)
}

// put sets the row; what it takes in memory is counted when the entry ends.
func (sl *slot) put(value state.Visitable, expires state.Time, level uint8) {
	if sl.cell.isLarge && (sl.value == nil) != (value == nil) {
		tb := sl.cell.table(sl.t)
		if value != nil {
			tb.count++
		} else {
			tb.count--
		}
	}
	sl.value, sl.expires, sl.level = value, expires, level
}

// resize measures the row anew and returns how much it has grown.
func (sl *slot) resize() int64 {
	old := sl.size
	sl.size = slotSize(sl)
	return int64(sl.size - old)
}
