package pebblestate

import (
	"bytes"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// table is the rows of one table of a large cell.
type table struct {
	cell  *cell
	t     *state.Table
	slots slots
	bytes int64

	complete bool // rows without a slot don't exist
	noted    bool // rows without a slot don't exist unless Store.left has them
	large    bool // loading all rows was tried, and they were too many
	counted  bool // count is known; always so when complete
	count    int  // rows
}

// table returns the rows of a table of a large cell.
func (c *cell) table(t *state.Table) *table {
	for i := range c.large {
		if c.large[i].t == t {
			return c.large[i].rows
		}
	}
	none := (c.whole || c.noted) && c.s.tables[t.ID] != nil
	tb := &table{cell: c, t: t, complete: none, counted: none}
	c.large = append(c.large, placedTable{t, tb})
	c.grow(tableBytes)
	return tb
}

func (tb *table) get(row string) state.Visitable {
	if sl := tb.existing(row); sl != nil {
		return sl.value
	}
	return nil
}

// existing returns the row's slot, from memory or Pebble, or nil.
func (tb *table) existing(row string) *slot {
	if sl := tb.slots.get(row); sl != nil {
		sl.used = uint32(tb.cell.s.tick)
		return sl
	}
	if tb.absent(row) {
		return nil
	}
	return tb.fetch(row)
}

// slot returns the row's slot, making or loading it.
func (tb *table) slot(row string) *slot {
	if sl := tb.existing(row); sl != nil {
		return sl
	}
	return tb.add(&slot{cell: tb.cell, t: tb.t, row: strings.Clone(row), used: uint32(tb.cell.s.tick)})
}

// absent says that a row without a slot doesn't exist, if that is sure.
func (tb *table) absent(row string) bool {
	return tb.complete || tb.noted && !tb.cell.s.left.has(rowHash(tb.cell.hash, tb.t.ID, row))
}

// add puts a slot in its place.
func (tb *table) add(sl *slot) *slot {
	tb.slots.add(sl)
	tb.grow(sl.resize())
	return sl
}

// drop takes a slot out.
func (tb *table) drop(sl *slot) {
	if tb.slots.remove(sl) {
		tb.grow(-int64(sl.size))
	}
}

func (tb *table) grow(n int64) {
	tb.bytes += n
	tb.cell.grow(n)
}

// rows counts the table's rows.
func (tb *table) rows() int {
	tb.loadAll()
	if !tb.counted {
		n := 0
		tb.scan("", "", func(string, state.Visitable, state.Time) bool { n++; return true })
		tb.count, tb.counted = n, true
	}
	return tb.count
}

// key is the row's key in Pebble.
func (tb *table) key(b []byte, row string) []byte { return appendRowKey(b, tb.cell.id, tb.t, row) }

// fetch reads one row of an incomplete table. That it isn't there is remembered
// too.
func (tb *table) fetch(row string) *slot {
	s := tb.cell.s
	s.counts.fetches++
	key := tb.key(nil, row)
	it := s.disk.iterator()
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		return tb.add(tb.cell.decode(tb.t, row, key, valueOf(it)))
	}
	if err := it.Error(); err != nil {
		state.Faultf("read row %q of %s: %w", row, tb.t, damage(err))
	}
	return tb.add(&slot{cell: tb.cell, t: tb.t, row: strings.Clone(row)})
}

// loadAll completes a table if its rows are few: a large cell may have small
// tables, which are worth having whole.
func (tb *table) loadAll() {
	if tb.complete || tb.large {
		return
	}
	prefix := tb.key(nil, "")
	s := tb.cell.s
	it := s.disk.iterator()
	rows, size := 0, 0
	for ok := it.SeekPrefixGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		stored := valueOf(it)
		size += len(stored)
		if rows++; rows > s.o.limits.loadRows || size > s.o.limits.loadBytes {
			tb.large = true
			return
		}
		row := it.Key()[len(prefix):]
		if tb.slots.get(string(row)) == nil {
			tb.add(tb.cell.decode(tb.t, string(row), it.Key(), stored))
		}
	}
	if err := it.Error(); err != nil {
		state.Faultf("read %s at %q: %w", tb.t, tb.cell.id.Key, damage(err))
	}
	tb.complete, tb.counted, tb.count = true, true, 0
	tb.slots.each(func(sl *slot) bool {
		if sl.value != nil {
			tb.count++
		}
		return true
	})
}

// scan visits the table's rows in order, from memory or from memory and Pebble.
func (tb *table) scan(prefix, from string, fn func(row string, value state.Visitable, expires state.Time) bool) {
	tb.loadAll()
	if !tb.complete {
		tb.scanBoth(prefix, from, fn)
		return
	}
	tb.slots.ascend(max(prefix, from), func(sl *slot) bool {
		return strings.HasPrefix(sl.row, prefix) && (sl.value == nil || fn(sl.row, sl.value, sl.expires))
	})
}

// scanBoth visits the rows of an incomplete table: those in memory, and those
// in Pebble that have no slot.
func (tb *table) scanBoth(prefix, from string, fn func(row string, value state.Visitable, expires state.Time) bool) {
	base := tb.key(nil, prefix)
	skip := len(base) - len(prefix)
	it, err := tb.cell.s.db.NewIter(&pebble.IterOptions{LowerBound: base, UpperBound: codec.PrefixEnd(base)})
	if err != nil {
		state.Faultf("read %s: %w", tb.t, damage(err))
	}
	defer func() {
		if err := it.Close(); err != nil {
			state.Faultf("read %s: %w", tb.t, damage(err))
		}
	}()
	at := max(prefix, from)
	onDisk := it.SeekGE(tb.key(nil, at))
	inMemory := tb.next(prefix, at, false)
	for onDisk || inMemory != nil {
		if inMemory != nil && (!onDisk || inMemory.row <= string(it.Key()[skip:])) {
			if onDisk && inMemory.row == string(it.Key()[skip:]) {
				onDisk = it.Next()
			}
			if inMemory.value != nil && !fn(inMemory.row, inMemory.value, inMemory.expires) {
				return
			}
			inMemory = tb.next(prefix, inMemory.row, true)
			continue
		}
		row, value := string(it.Key()[skip:]), tb.t.New()
		expires, err := codec.DecodeRow(tb.cell.s.o.Codec, valueOf(it), value)
		if err != nil {
			state.Faultf("row %q of %s at %q: %w", row, tb.t, tb.cell.id.Key, damage(err))
		}
		if !fn(row, value, expires) {
			return
		}
		onDisk = it.Next()
	}
	if err := it.Error(); err != nil {
		state.Faultf("read %s at %q: %w", tb.t, tb.cell.id.Key, damage(err))
	}
}

// next is the first slot with the prefix that is not before (or is after) row.
func (tb *table) next(prefix, row string, after bool) (found *slot) {
	tb.slots.ascend(row, func(sl *slot) bool {
		if after && sl.row == row {
			return true
		}
		if strings.HasPrefix(sl.row, prefix) {
			found = sl
		}
		return false
	})
	return found
}
