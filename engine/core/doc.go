// Package core is the deterministic state machine of one group: an entry of the
// log goes in, a change of state and effects come out, as data.
//
// It guarantees that the same entries give the same state, bit for bit, on
// every replica: it knows no clock, goroutine, random source or I/O, and never
// ranges over a map where order matters. Each outside event runs to completion
// with all its local effects before the next; one operator call is atomic.
// Everything it remembers is rows of the store, so that a snapshot or a move
// covers it without extra code; what it holds beside them are caches.
//
// Faults are of three kinds, never mixed. An error of an operator undoes its
// call and dead-letters the message. A broken invariant of the core halts the
// group: the entry is undone and kept, with those that follow, until a
// replicated skip names the message. A fault of the store unwinds as a
// [state.Fault] and stops the replica.
//
// Start at [Core.Apply] in apply.go; an event's way is input.go → route.go →
// call.go → outbox.go or lane.go.
package core

//go:generate go run anabranch.dev/internal/visitgen .
