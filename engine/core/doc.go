// Package core is the deterministic state machine of one group: an entry of the
// log goes in, a change of state and effects come out, as data.
//
// It guarantees that the same entries give the same state, bit for bit, on
// every replica: it knows no clock, goroutine, random source or I/O, and never
// ranges over a map where order matters. Each outside event runs to completion
// with all its local effects before the next; one operator call is atomic.
// Everything it remembers is rows of the store, so that a snapshot covers it
// without extra code; what it holds beside them are caches. What belongs to a shard
// (positions, lanes, timers, outbox, numbers) is rows of that shard and moves with
// it to another group; what two groups must agree on before is in import.go.
//
// Faults are of three kinds, never mixed. An error of an operator undoes its
// call and dead-letters the message. A broken invariant of the core halts the
// group: the entry is undone and kept, with those that follow, until a
// replicated skip names the message. A fault of the store unwinds as a
// [state.Fault] and stops the replica.
//
// Start at [Core.Apply] in apply.go; an event's way is input.go → route.go →
// call.go → outbox.go or lane.go. Where shards are is in place.go, how one moves in
// move.go and import.go, the members of the cluster in members.go,
// what feature levels are in level.go.
package core

//go:generate go run anabranch.dev/internal/visitgen .
