// Package memstate keeps state in ordered maps: the reference model that the
// production store is compared with, and the store of the simulator and of
// operators' tests.
//
// It is built to be obviously right, not fast: each row stands under its stored
// key together with its stored bytes, and everything else follows from that
// order. Nothing is ever evicted, written behind or lost.
//
// A [Store] has one user; the views, clones and readers it gives out are
// copies, which may be used elsewhere. Start at [Store].
package memstate

import (
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// Store implements [state.Store].
type Store struct {
	tables  map[state.TableID]*state.Table
	codec   state.Codec
	level   uint8
	applied uint64
	content
	entry   uint64 // number of the current entry: handles of earlier ones are refused
	journal []change
	scratch []byte
}

// content is everything that is kept, copied on write.
type content struct {
	rows    *btree.Map[string, row]               // by stored key
	counts  *btree.Map[string, int]               // rows per table of a cell, by their common prefix
	digests *btree.Map[state.Shard, state.Digest] // of the shards that have rows
}

type row struct {
	value   state.Visitable // nil: not there, or of an unknown table
	expires state.Time
	stored  string
	hash    state.Digest
}

// change is what a row was before it was written.
type change struct {
	key   string
	table int // length of the key's prefix up to the table
	shard state.Shard
	old   row
	had   bool
}

var _ state.Store = (*Store)(nil)

// New returns an empty store that knows these tables.
func New(tables []*state.Table, c state.Codec) *Store {
	s := &Store{
		tables: make(map[state.TableID]*state.Table, len(tables)), codec: c, level: 1,
		content: content{new(btree.Map[string, row]), new(btree.Map[string, int]), new(btree.Map[state.Shard, state.Digest])},
	}
	for _, t := range tables {
		s.tables[t.ID] = t
	}
	return s
}

// SetLevel says in which feature level's format rows are written from now on.
// It is 1 at first.
func (s *Store) SetLevel(level uint8) { s.level = level }

// Cell implements [state.Store].
func (s *Store) Cell(id state.CellID) state.Cell {
	prefix := codec.AppendCell(nil, id)
	return &cell{s: s, entry: s.entry, shard: id.Shard, prefix: prefix[:len(prefix):len(prefix)]}
}

// Put implements [state.Store].
func (s *Store) Put(r state.StoredRow) {
	prefix := codec.AppendTable(codec.AppendCell(nil, r.Cell), r.Table)
	key := string(prefix) + r.Row
	next := row{expires: r.Expires, stored: string(codec.AppendStored(nil, &r))}
	if t := s.tables[r.Table]; t != nil {
		next.value = t.New()
		if err := s.codec.Decode(r.Value, next.value); err != nil {
			state.Faultf("put row %q of %s at %q: %w", r.Row, t, r.Cell.Key, err)
		}
	}
	next.hash = codec.Hash([]byte(key+next.stored), len(key))
	old, had := s.rows.Get(key)
	s.journal = append(s.journal, change{key: key, table: len(prefix), shard: r.Cell.Shard, old: old, had: had})
	s.replace(key, len(prefix), r.Cell.Shard, next, true)
}

// Remove implements [state.Store].
func (s *Store) Remove(id state.CellID, table state.TableID, row string) {
	prefix := codec.AppendTable(codec.AppendCell(nil, id), table)
	s.write(string(prefix)+row, len(prefix), id.Shard, nil, 0)
}

// Savepoint implements [state.Store].
func (s *Store) Savepoint() int { return len(s.journal) }

// Rollback implements [state.Store].
func (s *Store) Rollback(savepoint int) {
	for i := len(s.journal) - 1; i >= savepoint; i-- {
		c := s.journal[i]
		s.replace(c.key, c.table, c.shard, c.old, c.had)
	}
	s.journal = s.journal[:savepoint]
}

// Commit implements [state.Store].
func (s *Store) Commit(index uint64) {
	s.journal = s.journal[:0]
	s.applied = index
	s.entry++
}

// Applied implements [state.Store].
func (s *Store) Applied() uint64 { return s.applied }

// Cells implements [state.Store].
func (s *Store) Cells(shard state.Shard, stage state.StageID, fn func(key string, c state.Cell) bool) {
	err := s.cells(shard, stage, "", func(key string) bool {
		return fn(key, s.Cell(state.CellID{Shard: shard, Stage: stage, Key: key}))
	})
	if err != nil {
		state.Faultf("%w", err)
	}
}

// Digest is the digest of a shard, as of the last write.
func (s *Store) Digest(shard state.Shard) state.Digest {
	d, _ := s.digests.Get(shard)
	return d
}

// Digests implements [state.Store]; it reports before it returns.
func (s *Store) Digests(report func(index uint64, digests []state.ShardDigest)) {
	report(s.applied, state.SortDigests(s.digests.Scan))
}

// Clone returns a copy of the committed state: what a replica would restore
// from a snapshot taken now. It must be called between entries.
func (s *Store) Clone() *Store {
	return &Store{tables: s.tables, codec: s.codec, level: s.level, applied: s.applied, content: s.copy("Clone")}
}

// Reopen returns what a replica would find that starts anew from the committed
// state with these tables: every row of a known table is decoded again, rows of
// others are kept as they are. It must be called between entries.
func (s *Store) Reopen(tables []*state.Table) (*Store, error) {
	n := New(tables, s.codec)
	n.applied, n.content = s.applied, s.copy("Reopen")
	var err error
	s.rows.Scan(func(key string, r row) bool {
		var table state.TableID
		if _, table, _, err = codec.DecodeKey([]byte(key)); err != nil {
			return false
		}
		r.value = nil
		if t := n.tables[table]; t != nil {
			r.value = t.New()
			_, err = codec.DecodeRow(s.codec, []byte(r.stored), r.value)
		}
		n.rows.Set(key, r)
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	return n, nil
}

// View returns a reader of the committed state. It must be called between
// entries.
func (s *Store) View() state.Reader {
	return &view{tables: s.tables, index: s.applied, content: s.copy("View")}
}

func (s *Store) copy(who string) content {
	if len(s.journal) > 0 {
		panic(fmt.Sprintf("memstate: %s inside an entry", who))
	}
	return content{s.rows.Copy(), s.counts.Copy(), s.digests.Copy()}
}

// Verify checks that no row was changed after it had been stored: each is
// encoded again and compared with its stored bytes.
func (s *Store) Verify() error {
	var err error
	s.rows.Scan(func(key string, r row) bool {
		if r.value == nil {
			return true
		}
		var level uint8
		level, err = codec.StoredLevel([]byte(r.stored))
		var again []byte
		if err == nil {
			again, err = codec.AppendRow(s.codec, nil, level, r.expires, r.value)
		}
		if err == nil && string(again) != r.stored {
			err = fmt.Errorf("row %x was changed after it had been stored", key)
		}
		return err == nil
	})
	return err
}

// write stores a row, or with a nil value removes it, and remembers what was
// there.
func (s *Store) write(key string, table int, shard state.Shard, value state.Visitable, expires state.Time) {
	old, had := s.rows.Get(key)
	if value == nil && !had {
		return
	}
	next := row{value: value, expires: expires}
	if value != nil {
		b := append(s.scratch[:0], key...)
		b, err := codec.AppendRow(s.codec, b, s.level, expires, value)
		if err != nil {
			state.Faultf("encode row %x: %w", key, err)
		}
		next.hash = codec.Hash(b, len(key))
		next.stored = string(b[len(key):])
		s.scratch = b
	}
	s.journal = append(s.journal, change{key: key, table: table, shard: shard, old: old, had: had})
	s.replace(key, table, shard, next, value != nil)
}

// replace puts a row in the place of what is there now.
func (s *Store) replace(key string, table int, shard state.Shard, next row, there bool) {
	digest, _ := s.digests.Get(shard)
	count, _ := s.counts.Get(key[:table])
	if now, ok := s.rows.Get(key); ok {
		digest = digest.Sub(now.hash)
		count--
	}
	if there {
		s.rows.Set(key, next)
		digest = digest.Add(next.hash)
		count++
	} else {
		s.rows.Delete(key)
	}
	s.digests.Set(shard, digest)
	if count == 0 {
		s.counts.Delete(key[:table])
	} else {
		s.counts.Set(strings.Clone(key[:table]), count)
	}
}

// scan visits the rows under a prefix that are not below from.
func (c content) scan(prefix, from string, fn func(key string, r row) bool) {
	c.rows.Ascend(max(prefix, from), func(key string, r row) bool {
		return strings.HasPrefix(key, prefix) && fn(key, r)
	})
}

// cells visits the keys of a shard and stage, from a key on. fn may write.
func (c content) cells(shard state.Shard, stage state.StageID, from string, fn func(key string) bool) error {
	prefix := codec.AppendStage(nil, shard, stage)
	at := codec.AppendCell(nil, state.CellID{Shard: shard, Stage: stage, Key: from})
	for {
		var stored string
		c.scan(string(prefix), string(at), func(key string, _ row) bool {
			stored = key
			return false
		})
		if stored == "" {
			return nil
		}
		n := codec.CellLen([]byte(stored))
		id, err := codec.DecodeCell([]byte(stored[:max(n, 0)]))
		if err != nil {
			return err
		}
		if !fn(id.Key) {
			return nil
		}
		at = codec.PrefixEnd([]byte(stored[:n]))
	}
}
