// Package state is the contract of replicated state: rows in tables, under keys,
// with digests and a rollback inside one entry.
//
// A row is one value under (cell, table, row key), where a cell is one key of
// one stage. Rows are immutable once stored: a writer stores a new value, it
// never changes one it has read. This is what lets a write-behind encode a row
// on another goroutine without a lock.
//
// The package knows no disk and no encoding. state/codec turns rows into bytes,
// state/pebblestate keeps them in memory with Pebble behind, state/memstate is
// the reference model that the others are compared with.
//
// Row access returns no errors: a fault of the store (an unreadable disk, a
// corrupt row) is a [Fault], raised as a panic, which unwinds past the operator
// and stops the replica. It must never become a dead letter on one replica only.
//
// Start at [Store] and [Table].
package state
