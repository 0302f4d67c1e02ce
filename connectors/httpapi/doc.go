// Package httpapi serves the HTTP API of a node over [connectors.Cluster]:
// queries, synchronous commands, dead letters, status, the live feed and the
// console page.
//
// It decides nothing and keeps no state of the cluster. Bodies of events are
// decoded by the wire decoder, so that identifiers are pseudonyms before they
// reach the cluster; answers are visitables that connectors/wire turns into
// JSON. Errors are RFC 9457 problem documents with a stable code. Every answer
// carries the log index it is good for in the header Anabranch-Index.
//
// Where tokens are configured, nothing below /v1 is told to who shows none; what
// comes faster than the configured rate is told to come again.
//
// Guarantees: a request has a deadline and a body limit; a slow reader of the
// live feed loses records and is told how many, it never holds the node up. An
// outcome that is not known is said to be unknown (504), never failed.
//
// Handler starts one goroutine while the live feed has readers, who own it: the
// last to leave waits for its end. [Serve] owns the server's goroutines and
// returns after they have ended.
//
// Start at [New]; routes are in queries.go, commands.go, deadletters.go,
// status.go, cluster.go and live.go; who may come is in guard.go. What all readers
// of the live feed share is in feed.go
// and feedring.go.
package httpapi
