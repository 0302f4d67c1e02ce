package state

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
)

// Store is the state of one group, as its core sees it. It has one user, the
// goroutine that applies entries, and takes no lock for it.
type Store interface {
	// Cell opens one key of one stage, loading its rows when they are cold.
	// The handle is good until Commit.
	Cell(id CellID) Cell
	// Put stores a row as another store has it, byte for byte. Its table may be
	// one that this build doesn't know: the row is then kept as it is. A row of a
	// known table that can't be decoded is a [Fault].
	Put(r StoredRow)
	// Remove deletes a row, of whichever table; removing what is not there does
	// nothing.
	Remove(id CellID, table TableID, row string)
	// Savepoint marks a state inside the current entry; Rollback returns to
	// it. Savepoints nest; Commit forgets them.
	Savepoint() int
	Rollback(savepoint int)
	// Commit ends the entry: its changed rows go to the write-behind together
	// with index. It blocks while the write-behind's queue is full.
	Commit(index uint64)
	// SetLevel says in which feature level's format rows are written from now
	// on. It is 1 at first.
	SetLevel(level uint8)
	// Applied is the index of the last entry committed.
	Applied() uint64
	// Cells visits, in key order, every cell of a shard and stage until fn
	// returns false. It may read the disk; the core uses it when it starts.
	Cells(shard Shard, stage StageID, fn func(key string, c Cell) bool)
	// Digests asks for the digests of all shards as of the last commit. It is
	// called between two entries and returns at once. report is called with
	// them, once: now, or soon and on another goroutine, which it must not
	// hold up. It is never called when the store fails or is closed before.
	Digests(report func(index uint64, digests []ShardDigest))
}

// ShardDigest is the digest of a shard that has rows. Lists of them are in the
// order of shards, so two replicas at one index agree if their lists are equal.
type ShardDigest struct {
	Shard  Shard
	Digest Digest
}

// SortDigests lists digests in the order of shards, without shards that have no
// rows: those of a replica that never had any and of one that had some once are
// the same.
func SortDigests(all iter.Seq2[Shard, Digest]) []ShardDigest {
	var list []ShardDigest
	for shard, d := range all {
		if d != (Digest{}) {
			list = append(list, ShardDigest{Shard: shard, Digest: d})
		}
	}
	slices.SortFunc(list, func(a, b ShardDigest) int { return cmp.Compare(a.Shard, b.Shard) })
	return list
}

// Cell is one key of one stage. Rows handed in or out are shared and must not
// be changed afterwards.
type Cell interface {
	// Get returns the row, or nil.
	Get(t *Table, row string) Visitable
	// Set stores the row. expires is when it may be deleted in log time, 0
	// for never.
	Set(t *Table, row string, value Visitable, expires Time)
	// Delete removes the row; removing what is not there does nothing.
	Delete(t *Table, row string)
	// Scan visits the rows whose key starts with prefix and is not below
	// from, in key order, until fn returns false. fn must not write to the
	// cell.
	Scan(t *Table, prefix, from string, fn func(row string, value Visitable) bool)
	// Count is the number of rows in a table.
	Count(t *Table) int
	// Expire deletes the table's rows that expire at or before now, at most
	// limit of them in row order, and returns the earliest expiry that is
	// left (which may be ≤ now if limit was reached), or 0 for none.
	Expire(t *Table, now Time, limit int) Time
}

// Reader is a consistent, read-only view of a whole store at one index, for
// scans and slow queries. It is safe for one goroutine other than the apply's.
type Reader interface {
	Index() uint64
	Get(id CellID, t *Table, row string) (Visitable, error)
	Scan(id CellID, t *Table, prefix, from string, fn func(row string, value Visitable) bool) error
	// Cells visits the keys of a shard and stage in order, from a key on.
	Cells(shard Shard, stage StageID, from string, fn func(key string) bool) error
	// Digest is the shard's digest at the view's index.
	Digest(shard Shard) (Digest, error)
	// Rows visits every stored row of a shard in key order.
	Rows(shard Shard, fn func(id CellID, t *Table, row string, value Visitable) bool) error
	// Stored visits the same rows as they are stored, then compares them with
	// the shard's digest. An error that wraps [ErrDamaged] says that they are
	// not what was written.
	Stored(shard Shard, fn func(r StoredRow) bool) error
	Close() error
}

// StoredRow is a row as it is stored. Its value begins with the feature level
// that it was written in.
type StoredRow struct {
	Cell    CellID
	Table   TableID
	Row     string
	Expires Time
	Value   []byte
}

// Digest is a multiset hash of a shard's stored rows: the sum, modulo 2¹²⁸, of
// a 128-bit hash of each row's key and stored bytes. The order in which rows
// were written does not matter, and a change costs one subtraction and one
// addition.
type Digest struct{ Hi, Lo uint64 }

// Add includes a row's hash.
func (d Digest) Add(o Digest) Digest {
	lo, carry := bits.Add64(d.Lo, o.Lo, 0)
	hi, _ := bits.Add64(d.Hi, o.Hi, carry)
	return Digest{Hi: hi, Lo: lo}
}

// Sub takes a row's hash out again.
func (d Digest) Sub(o Digest) Digest {
	lo, borrow := bits.Sub64(d.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(d.Hi, o.Hi, borrow)
	return Digest{Hi: hi, Lo: lo}
}

// String is the digest as 32 hex digits.
func (d Digest) String() string {
	const hex = "0123456789abcdef"
	var b [32]byte
	for i := range 16 {
		b[i] = hex[d.Hi>>(60-4*i)&15]
		b[16+i] = hex[d.Lo>>(60-4*i)&15]
	}
	return string(b[:])
}
