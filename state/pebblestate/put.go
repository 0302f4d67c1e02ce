package pebblestate

import (
	"bytes"
	"strings"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// Put implements [state.Store]. The row is written in the feature level that it
// has: equal values of a level have equal bytes.
func (s *Store) Put(r state.StoredRow) {
	c := s.cell(r.Cell)
	t := s.tables[r.Table]
	if t == nil {
		c.other(r.Table, r.Row).write(&codec.Raw{Stored: codec.AppendStored(nil, &r)}, r.Expires)
		return
	}
	value := t.New()
	level, err := codec.Level(r.Value)
	if err == nil {
		err = s.o.Codec.Decode(r.Value, value)
	}
	if err != nil {
		state.Faultf("put row %q of %s at %q: %w", r.Row, t, r.Cell.Key, err)
	}
	c.slot(t, r.Row).writeAt(value, r.Expires, level)
}

// Remove implements [state.Store].
func (s *Store) Remove(id state.CellID, table state.TableID, row string) {
	c := s.cell(id)
	if t := s.tables[table]; t != nil {
		c.Delete(t, row)
		return
	}
	if sl := c.other(table, row); sl.value != nil {
		sl.write(nil, 0)
	}
}

// other returns the slot of a row whose table this build doesn't know. Such rows
// are not loaded with their cell: Pebble is asked for this one.
func (c *cell) other(id state.TableID, row string) *slot {
	s := c.s
	t := s.others[id]
	if t == nil {
		t = codec.UnknownTable(id)
		s.others[id] = t
	}
	stored := c.foreign
	c.foreign = true
	if c.isLarge {
		return c.table(t).slot(row)
	}
	at, ok := c.find(t, row)
	if ok {
		return c.slots[at].slot
	}
	if stored {
		key := appendRowKey(nil, c.id, t, row)
		it := s.disk.iterator()
		if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
			return c.place(at, c.decode(t, strings.Clone(row), key, valueOf(it)))
		}
		if err := it.Error(); err != nil {
			state.Faultf("read row %q of %s: %w", row, t, damage(err))
		}
	}
	return c.place(at, &slot{cell: c, t: t, row: strings.Clone(row), used: uint32(s.tick)})
}
