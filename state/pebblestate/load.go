package pebblestate

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// What is loaded at once by default, at most.
const (
	loadRows  = 512
	loadBytes = 256 << 10
)

// diskReader reads Pebble for the goroutine that applies entries. Opening an
// iterator costs more than using it, so it keeps one, also when newer rows have
// been written since: all of those are in memory, until one is evicted. For the
// same reason it can mostly do without what Pebble has not flushed yet, which
// has no Bloom filter and is slow to search.
type diskReader struct {
	s     *Store
	it    *pebble.Iterator
	index uint64 // rows changed by entries up to here are seen
	key   []byte
}

// readerEntries is how many entries may be written before the iterator is given
// up, so that it doesn't keep old files and memory.
const readerEntries = 4096

// iterator returns an iterator that sees every row that is not in memory.
func (d *diskReader) iterator() *pebble.Iterator {
	if d.it != nil && d.s.evicted <= d.index {
		return d.it
	}
	if err := d.release(); err != nil {
		state.Faultf("read: %w", err)
	}
	o := pebble.IterOptions{UseL6Filters: true}
	index := d.s.durable.Load()
	if o.OnlyReadGuaranteedDurable = d.s.evicted <= index; !o.OnlyReadGuaranteedDurable {
		index = d.s.written.Load()
	}
	it, err := d.s.db.NewIter(&o)
	if err != nil {
		state.Faultf("read: %w", err)
	}
	d.it, d.index = it, index
	return it
}

func (d *diskReader) releaseOld() {
	if d.it == nil || d.s.written.Load() < d.index+readerEntries {
		return
	}
	if err := d.release(); err != nil {
		state.Faultf("read: %w", err)
	}
}

func (d *diskReader) release() error {
	if d.it == nil {
		return nil
	}
	it := d.it
	d.it = nil
	return it.Close()
}

// load brings a cell into memory, with all its rows if they are few.
func (s *Store) load(id state.CellID) *cell {
	c := &cell{s: s, id: id, prefix: cellKey(id)}
	c.grow(cellBytes + int64(2*len(c.prefix)))
	it := s.disk.iterator()
	rows, size := 0, 0
	for ok := it.SeekPrefixGE(c.prefix); ok; ok = it.Next() {
		if rows++; rows > s.loadRows || size > s.loadBytes {
			s.keep(c.emptied())
			return c
		}
		key, stored := it.Key(), valueOf(it)
		size += len(stored)
		t := s.tables[tableOf(c, key)]
		if t == nil {
			c.foreign = true
			continue
		}
		c.loaded(t).addStored(key, stored)
	}
	if err := it.Error(); err != nil {
		state.Faultf("read key %q: %w", id.Key, err)
	}
	c.whole = true
	for _, tb := range c.tables {
		tb.complete, tb.counted, tb.count = true, true, tb.slots.Len()
	}
	s.keep(c)
	return c
}

// keep puts a cell among those in memory.
func (s *Store) keep(c *cell) {
	s.cells[c.id] = c
	s.link(c)
}

// emptied forgets the rows of a cell that has too many: they are read when they
// are needed.
func (c *cell) emptied() *cell {
	for _, tb := range c.tables {
		c.grow(-tb.bytes - tableBytes)
	}
	c.tables = nil
	c.s.counts.partial++
	return c
}

// loaded is the table that rows are being loaded into.
func (c *cell) loaded(t *state.Table) *table {
	for _, tb := range c.tables {
		if tb.t.ID == t.ID {
			return tb
		}
	}
	return c.addTable(t, false)
}

func tableOf(c *cell, key []byte) state.TableID {
	if len(key) < len(c.prefix)+4 {
		state.Faultf("stored key %x: %w", key, codec.ErrCorrupt)
	}
	return state.TableID(binary.BigEndian.Uint32(key[len(c.prefix):]))
}

func valueOf(it *pebble.Iterator) []byte {
	stored, err := it.ValueAndErr()
	if err != nil {
		state.Faultf("read row %x: %w", it.Key(), err)
	}
	return stored
}

// addStored adds a row as it is in Pebble.
func (tb *table) addStored(key, stored []byte) {
	c := tb.cell
	sl := &slot{table: tb, row: string(key[len(c.prefix)+4:]), stored: true}
	sl.value = tb.t.New()
	var err error
	if sl.expires, err = codec.DecodeRow(c.s.o.Codec, stored, sl.value); err != nil {
		state.Faultf("row %q of %s at %q: %w", sl.row, tb.t, c.id.Key, err)
	}
	d := &c.s.disk
	d.key = append(append(d.key[:0], key[1:]...), stored...)
	sl.hash = codec.Hash(d.key, len(key)-1)
	tb.add(sl)
}

// key is the row's key in Pebble.
func (tb *table) key(b []byte, row string) []byte {
	return append(codec.AppendTable(append(b, tb.cell.prefix...), tb.t.ID), row...)
}

// fetch reads one row of an incomplete table. That it isn't there is remembered
// too.
func (tb *table) fetch(row string) *slot {
	s := tb.cell.s
	s.counts.fetches++
	key := tb.key(nil, row)
	it := s.disk.iterator()
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		tb.addStored(key, valueOf(it))
		sl, _ := tb.slots.Get(row)
		return sl
	}
	if err := it.Error(); err != nil {
		state.Faultf("read row %q of %s: %w", row, tb.t, err)
	}
	return tb.add(&slot{table: tb, row: strings.Clone(row)})
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
		if rows++; rows > s.loadRows || size > s.loadBytes {
			tb.large = true
			return
		}
		if _, ok := tb.slots.Get(string(it.Key()[len(prefix):])); !ok {
			tb.addStored(it.Key(), stored)
		}
	}
	if err := it.Error(); err != nil {
		state.Faultf("read %s at %q: %w", tb.t, tb.cell.id.Key, err)
	}
	tb.complete, tb.counted, tb.count = true, true, 0
	tb.slots.Scan(func(_ string, sl *slot) bool {
		if sl.value != nil {
			tb.count++
		}
		return true
	})
}

// scanBoth visits the rows of an incomplete table: those in memory, and those
// in Pebble that have no slot.
func (tb *table) scanBoth(prefix, from string, fn func(row string, value state.Visitable, expires state.Time) bool) {
	base := tb.key(nil, prefix)
	skip := len(base) - len(prefix)
	it, err := tb.cell.s.db.NewIter(&pebble.IterOptions{LowerBound: base, UpperBound: codec.PrefixEnd(base)})
	if err != nil {
		state.Faultf("read %s: %w", tb.t, err)
	}
	defer func() {
		if err := it.Close(); err != nil {
			state.Faultf("read %s: %w", tb.t, err)
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
			state.Faultf("row %q of %s at %q: %w", row, tb.t, tb.cell.id.Key, err)
		}
		if !fn(row, value, expires) {
			return
		}
		onDisk = it.Next()
	}
	if err := it.Error(); err != nil {
		state.Faultf("read %s at %q: %w", tb.t, tb.cell.id.Key, err)
	}
}

// next is the first slot with the prefix that is not before (or is after) row.
func (tb *table) next(prefix, row string, after bool) (found *slot) {
	tb.slots.Ascend(row, func(key string, sl *slot) bool {
		if after && key == row {
			return true
		}
		if strings.HasPrefix(key, prefix) {
			found = sl
		}
		return false
	})
	return found
}
