// Package linear checks that a cluster behaves, key by key, as one machine would
// that carries out one request after the other: linearizability. It is for tests.
//
// A [Shop] has clients ask the nodes for stock, place and cancel orders and have
// goods come in, some of it twice and through several nodes at once, while
// somebody else makes trouble. A [History] holds what they asked, when, and what
// they were answered; one that is not answered may have been carried out, may be
// yet, or never. [History.Check] then has Porcupine look for an order of all that
// explains every answer, for each SKU and each idempotency key, and holds answers
// against the index of the log that they name.
//
// Its own tests run whole nodes, three of them, in a bubble of virtual time: real
// Raft, real Pebble, the real API, over a network and disks in memory, with
// leaders killed, cut off, slowed down and paused; scenes stage what chance brings
// too rarely. The acceptance tests do the same to processes.
//
// Start at [Shop.Run] and [History.Check]; the model is in model.go, what an index
// claims in index.go.
package linear
