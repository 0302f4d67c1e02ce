// Package app runs a topology of your own: operators of yours (or shipped ones
// in another graph) on a node with a log, state, Kafka at both ends and
// everything else that the shipped topology has.
//
// A node of any topology is one of a cluster like every other: give each the
// same Config but for ID, Dir and Peer, and call Init once on one of them. What
// comes in is JSON with the shipped envelope; which of your string fields may be
// kept is up to [Config].Codes, because what nobody has spoken for could be
// personal.
//
// It decides nothing and starts nothing: [Open] returns a node that its caller
// runs. Package apptest runs one in a test, with a broker in the process.
//
// Start at [Config] and [Open]; docs/example is a whole program's worth.
package app
