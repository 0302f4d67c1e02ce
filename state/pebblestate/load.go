package pebblestate

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// limits say where one way of doing things ends and another begins.
type limits struct {
	loadRows, loadBytes int // of a cell that is loaded at once
	noteRows            int // of a larger cell whose keys are looked at when it is loaded
	smallRows           int // of a cell that is not large
	ingestBytes         int // of a run that goes to Pebble as part of its memory: larger ones go as finished tables
	blockBytes          int // of the blocks of a table
}

var defaultLimits = limits{loadRows: 512, loadBytes: 256 << 10, noteRows: 16 << 10, smallRows: 32, ingestBytes: 1 << 20, blockBytes: 16 << 10}

// diskReader reads Pebble for the goroutine that applies entries. Opening an
// iterator costs more than using it, so it keeps one, also when newer rows have
// been written since: all of those are in memory, until one is evicted. For the
// same reason it can mostly do without what Pebble has not flushed yet, which
// has no Bloom filter and is slow to search.
type diskReader struct {
	s      *Store
	it     *pebble.Iterator
	index  uint64 // rows changed by entries up to here are seen
	key    []byte
	prefix []byte
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
		state.Faultf("read: %w", damage(err))
	}
	o := pebble.IterOptions{UseL6Filters: true}
	index := d.s.durable.Load()
	if o.OnlyReadGuaranteedDurable = d.s.evicted <= index; !o.OnlyReadGuaranteedDurable {
		index = d.s.written.Load()
	}
	it, err := d.s.db.NewIter(&o)
	if err != nil {
		state.Faultf("read: %w", damage(err))
	}
	d.it, d.index = it, index
	return it
}

func (d *diskReader) releaseOld() {
	if d.it == nil || d.s.written.Load() < d.index+readerEntries {
		return
	}
	if err := d.release(); err != nil {
		state.Faultf("read: %w", damage(err))
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
func (s *Store) load(id state.CellID, hash uint64) *cell {
	c := &cell{s: s, id: id, hash: hash, whole: true}
	c.grow(cellBytes + int64(len(id.Key)))
	if s.mayHave(hash) {
		c.read()
	}
	s.keep(c)
	return c
}

// mayHave says whether Pebble may have rows of a cell that is not in memory.
func (s *Store) mayHave(hash uint64) bool {
	found := s.found.Load()
	return found == nil || found.has(hash) || s.left.has(hash)
}

// read loads a cell's rows.
func (c *cell) read() {
	s := c.s
	s.counts.loads++
	s.disk.prefix = appendCellKey(s.disk.prefix[:0], c.id)
	it := s.disk.iterator()
	rows, size := 0, 0
	for ok := it.SeekPrefixGE(s.disk.prefix); ok; ok = it.Next() {
		if rows++; rows > s.o.limits.loadRows || size > s.o.limits.loadBytes {
			c.note(it)
			return
		}
		key, stored := it.Key(), valueOf(it)
		size += len(stored)
		id, row := splitRow(key, len(s.disk.prefix))
		t := s.tables[id]
		if t == nil {
			c.foreign = true
			continue
		}
		sl := c.decode(t, string(row), key, stored)
		switch {
		case c.isLarge:
			c.table(t).addLoaded(sl)
		case len(c.slots) >= s.o.limits.smallRows:
			c.spread()
			c.table(t).addLoaded(sl)
		default:
			c.insert(len(c.slots), sl)
		}
	}
	if err := it.Error(); err != nil {
		state.Faultf("read key %q: %w", c.id.Key, damage(err))
	}
}

// addLoaded adds a row of a whole cell.
func (tb *table) addLoaded(sl *slot) {
	tb.add(sl)
	tb.count++
}

// note makes a cell large that has too many rows to load: they are read when
// they are needed. Which there are is noted if they are not very many.
func (c *cell) note(it *pebble.Iterator) {
	s := c.s
	c.grow(cellBytes + int64(len(c.id.Key)) - c.bytes)
	c.slots, c.large, c.isLarge, c.whole, c.noted = nil, nil, true, false, true
	s.counts.partial++
	rows := 0
	for ok := it.SeekPrefixGE(s.disk.prefix); ok; ok = it.Next() {
		if rows++; rows > s.o.limits.noteRows {
			c.large, c.noted = nil, false
			return
		}
		id, row := splitRow(it.Key(), len(s.disk.prefix))
		if t := s.tables[id]; t != nil {
			tb := c.table(t)
			tb.complete, tb.noted = false, true
			tb.count++
			s.left.add(rowHash(c.hash, id, string(row)))
		} else {
			c.foreign = true
		}
	}
	if err := it.Error(); err != nil {
		state.Faultf("read key %q: %w", c.id.Key, damage(err))
	}
}

// keep puts a cell among those in memory.
func (s *Store) keep(c *cell) {
	s.cells[c.id] = c
	s.link(c)
}

// splitRow is what a key in Pebble says after the cell's prefix.
func splitRow(key []byte, prefix int) (state.TableID, []byte) {
	if len(key) < prefix+4 {
		state.Faultf("stored key %x: %w", key, damage(codec.ErrCorrupt))
	}
	return state.TableID(binary.BigEndian.Uint32(key[prefix:])), key[prefix+4:]
}

func valueOf(it *pebble.Iterator) []byte {
	stored, err := it.ValueAndErr()
	if err != nil {
		state.Faultf("read row %x: %w", it.Key(), damage(err))
	}
	return stored
}

// decode makes the slot of a row as it is in Pebble.
func (c *cell) decode(t *state.Table, row string, key, stored []byte) *slot {
	sl := &slot{cell: c, t: t, row: row, stored: true, used: uint32(c.s.tick)}
	sl.value = t.New()
	var err error
	if sl.expires, err = codec.DecodeRow(c.s.o.Codec, stored, sl.value); err != nil {
		state.Faultf("row %q of %s at %q: %w", row, t, c.id.Key, damage(err))
	}
	if sl.level, err = codec.StoredLevel(stored); err != nil {
		state.Faultf("row %q of %s at %q: %w", row, t, c.id.Key, damage(err))
	}
	d := &c.s.disk
	d.key = append(append(d.key[:0], key[1:]...), stored...)
	sl.hash = codec.Hash(d.key, len(key)-1)
	return sl
}
