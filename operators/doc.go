// Package operators is the contract between the engine and the code that
// decides: what an operator declares, what it is called with, and what it may
// do in a call.
//
// An operator is a deterministic function over the rows of one key. In Declare
// it names its ports (streams in and out), tables, timers and queries; the
// typed builder in package topology connects ports of the same type. Handlers
// are called for one key at a time, see only rows of that key and broadcast
// tables, and say everything else through effects: emit, broadcast, set or
// clear a timer, or return an error, which undoes the call and dead-letters its
// message.
//
// An operator never sees a clock, a goroutine, a random source, a socket, a
// file or a logger, never ranges over a map in an order that matters, and never
// lets a float decide. Events and rows handed to it are shared: it must not
// change them, nor an event after it was emitted.
//
// Start at [Operator], [Declaration] and [Context]; operators/inventory is the
// example to read.
package operators
