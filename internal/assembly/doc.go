// Package assembly puts the parts of a node of the shipped topology together:
// which codec, store, connectors, decoder and topic names. It is the one place
// that knows them all, shared by the commands and the benchmarks.
//
// It decides nothing else and starts nothing: [Open] returns a node, and
// [OpenCluster] several with real Raft between them, that their caller runs and
// stops. A [DataDir] is the directory of a process: its nodes, broker and
// pseudonym key, for one process at a time.
//
// Start at [Open].
package assembly
