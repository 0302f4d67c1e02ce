package state

import (
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// StageID and TableID name a stage and a table in stored keys. They are hashes
// of names, so that adding a stage never renumbers another;
// topology.Validate refuses a plan in which two names collide.
type (
	StageID uint32
	TableID uint32
)

// IDOf is the stored id of a name.
func IDOf(name string) uint32 { return uint32(xxhash.Sum64String(name)) }

// Shard is one slot of the key space.
type Shard uint16

// ShardOf says to which of n shards a key belongs: xxhash64(key) mod n.
func ShardOf(key string, n int) Shard { return Shard(xxhash.Sum64String(key) % uint64(n)) }

// CellID names one key of one stage: the unit that an operator is called for,
// and the unit that is loaded into memory.
type CellID struct {
	Shard Shard
	Stage StageID
	Key   string
}

// Limits of one row.
const (
	MaxRowBytes    = 64 << 10 // stored bytes of an operator's row
	MaxOutboxBytes = 1 << 20  // stored bytes of an outbox row: one record or message
	MaxRowKeyBytes = 1 << 10  // bytes of a row key
	MaxKeyBytes    = 512      // bytes of a key
)

// Table describes the rows of one type that a stage keeps. Every table of an
// operator has a declared bound: MaxRows or Lifetime or both.
type Table struct {
	Stage string // name of the owning stage
	Name  string
	ID    TableID
	// New returns an empty row to decode into. Rows are pointers.
	New func() Visitable
	// MaxRows is the declared upper bound of rows per key, 0 for none. It is
	// asserted: a call that would exceed it fails.
	MaxRows int
	// Lifetime is how long a row lives after it was last set, in log time, 0
	// for ever. The core deletes expired rows; a row may outlive its time by
	// [ExpiryGrain] or a 32nd of its lifetime.
	Lifetime Time
	// MaxBytes is the limit of one stored row.
	MaxBytes int
}

// ExpiryGrain is how coarse the core's expiry of rows is.
const ExpiryGrain = Hour

// NewTable makes the table with its stored id.
func NewTable(stage, name string, newRow func() Visitable) *Table {
	return &Table{Stage: stage, Name: name, ID: TableID(IDOf(stage + "/" + name)), New: newRow, MaxBytes: MaxRowBytes}
}

// String is the table's name as used in messages.
func (t *Table) String() string { return t.Stage + "/" + t.Name }

// ErrDamaged is the cause of every error that says that stored bytes are not what
// was once written, or that a disk failed to read or write them, as opposed to a
// disk that is full: the replica's files can't be trusted, and another replica
// must replace it.
var ErrDamaged = errors.New("state is damaged")

// Fault is raised as a panic by row access when the store itself is at fault.
// It stops the replica; operators must not recover it.
type Fault struct{ Err error }

// Error implements error.
func (f *Fault) Error() string { return "state: " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Faultf raises a [Fault].
func Faultf(format string, args ...any) { panic(&Fault{Err: fmt.Errorf(format, args...)}) }
