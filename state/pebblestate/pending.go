package pebblestate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// pending is what has been collected and not written yet: of each changed row
// its last state, encoded. It holds no pointers for the collector to follow.
type pending struct {
	run   uint32 // number of the run that these rows will be
	rows  []pendingRow
	bytes []byte // of all keys and values, also of states that were replaced
	order []orderedRow

	changes []change  // of the entries being collected, the last of each row
	spent   []release // deleted rows that Pebble still has
	digests digests
}

// pendingRow is a key and a value in pending.bytes.
type pendingRow struct {
	at         int
	key, value int32 // lengths; a deleted row has no value
	deleted    bool
	there      bool // Pebble has an earlier state
}

// release is a deleted row whose slot is of no use any more.
type release struct {
	slot  *slot
	index uint64
	there bool // Pebble had the row
}

// collect takes in what entries changed, in order. It returns the deleted rows
// that Pebble never had.
func (p *pending) collect(c state.Codec, entries []entry) (gone []release, err error) {
	for i := range entries {
		e := &entries[i]
		for _, ch := range e.changes {
			if at := ch.slot.last; at > 0 {
				p.changes[at-1] = ch
				continue
			}
			p.changes = append(p.changes, ch)
			ch.slot.last = int32(len(p.changes))
		}
	}
	index := entries[len(entries)-1].index
	for i := range p.changes {
		makeWay(i)
		ch := &p.changes[i]
		ch.slot.last = 0
		there, err := p.add(c, ch)
		if err != nil {
			return nil, fmt.Errorf("encode row %q of %s at %q: %w", ch.slot.row, ch.slot.t, ch.slot.cell.id.Key, err)
		}
		if ch.value == nil {
			r := release{ch.slot, index, there}
			if there {
				p.spent = append(p.spent, r)
			} else {
				gone = append(gone, r)
			}
		}
	}
	clear(p.changes)
	p.changes = p.changes[:0]
	return gone, nil
}

// add encodes a row's last state and brings its shard's digest up to date. It
// returns whether Pebble has an earlier state of the row.
func (p *pending) add(c state.Codec, ch *change) (there bool, err error) {
	sl := ch.slot
	digest := p.digests.touch(sl.cell.id.Shard)
	was := sl.stored
	if was {
		*digest = digest.Sub(sl.hash)
	}
	waiting := sl.run == p.run
	there = was
	if waiting {
		there = p.rows[sl.at].there
	}
	row := pendingRow{at: len(p.bytes), deleted: ch.value == nil, there: there}
	sl.stored = !row.deleted
	if row.deleted && !there && !waiting {
		return there, nil // came and went
	}
	p.bytes = appendRowKey(p.bytes, sl.cell.id, sl.t, sl.row)
	row.key = int32(len(p.bytes) - row.at)
	if !row.deleted {
		if p.bytes, err = codec.AppendRow(c, p.bytes, ch.level, ch.expires, ch.value); err != nil {
			return there, err
		}
		row.value = int32(len(p.bytes)-row.at) - row.key
		sl.hash = codec.Hash(p.bytes[row.at+1:], int(row.key)-1)
		*digest = digest.Add(sl.hash)
	}
	if waiting {
		p.rows[sl.at] = row
		return there, nil
	}
	sl.run, sl.at = p.run, int32(len(p.rows))
	p.rows = append(p.rows, row)
	return there, nil
}

// void says that a row came and went: there is nothing to write.
func (r *pendingRow) void() bool { return r.deleted && !r.there }

// empty starts the next run.
func (p *pending) empty() {
	p.rows, p.bytes = p.rows[:0], p.bytes[:0]
	p.run++
	clear(p.spent)
	p.spent = p.spent[:0]
}

func (p *pending) keyOf(r *pendingRow) []byte   { return p.bytes[r.at : r.at+int(r.key)] }
func (p *pending) valueOf(r *pendingRow) []byte { return p.bytes[r.at+int(r.key):][:r.value] }

// orderedRow is a row with the beginning of its key after the shard, which mostly
// tells it from others without a look at the bytes.
type orderedRow struct {
	prefix [3]uint64
	row    int32
}

// shardOf is the shard of a key in Pebble.
func shardOf(key []byte) int { return int(binary.BigEndian.Uint16(key[1:])) }

// sorted lists the rows that have something to say in the order of their keys:
// first put by shards, then sorted in each.
func (p *pending) sorted() []orderedRow {
	ends := make([]int, len(p.digests.of)) // of each shard's rows
	said := 0
	for i := range p.rows {
		if r := &p.rows[i]; !r.void() {
			ends[shardOf(p.keyOf(r))]++
			said++
		}
	}
	for shard, at := 0, 0; shard < len(ends); shard++ {
		ends[shard], at = at, at+ends[shard]
	}
	p.order = slices.Grow(p.order[:0], said)[:said]
	for i := range p.rows {
		r := &p.rows[i]
		if r.void() {
			continue
		}
		key := p.keyOf(r)
		end := &ends[shardOf(key)]
		o := &p.order[*end]
		*end++
		o.row = int32(i)
		var b [24]byte
		copy(b[:], key[3:])
		for i := range o.prefix {
			o.prefix[i] = binary.BigEndian.Uint64(b[8*i:])
		}
	}
	from := 0
	for _, end := range ends {
		slices.SortFunc(p.order[from:end], p.compare)
		from = end
	}
	return p.order
}

func (p *pending) compare(a, b orderedRow) int {
	switch {
	case a.prefix[0] != b.prefix[0]:
		return cmp.Compare(a.prefix[0], b.prefix[0])
	case a.prefix[1] != b.prefix[1]:
		return cmp.Compare(a.prefix[1], b.prefix[1])
	case a.prefix[2] != b.prefix[2]:
		return cmp.Compare(a.prefix[2], b.prefix[2])
	}
	return bytes.Compare(p.keyOf(&p.rows[a.row]), p.keyOf(&p.rows[b.row]))
}

// digests are those of all shards, and which of them have changed.
type digests struct {
	of      []state.Digest
	changed []bool
}

// touch returns the digest of a shard that changes.
func (d *digests) touch(shard state.Shard) *state.Digest {
	if more := int(shard) + 1 - len(d.of); more > 0 {
		d.of = append(d.of, make([]state.Digest, more)...)
		d.changed = append(d.changed, make([]bool, more)...)
	}
	d.changed[shard] = true
	return &d.of[shard]
}

// all visits every shard.
func (d *digests) all(fn func(state.Shard, state.Digest) bool) {
	for shard := range d.of {
		if !fn(state.Shard(shard), d.of[shard]) {
			return
		}
	}
}
