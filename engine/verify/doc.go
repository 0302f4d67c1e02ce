// Package verify looks at the data directory of a stopped node, as a doctor
// would: everything is read, everything that is off is listed, nothing is
// changed.
//
// It finds what a running node would find when it opens its files or reads them
// through, and more: a node stops at the first fault, this goes on. Of each
// replica it reads every record of the log, every file of every snapshot, every
// block of every table and every row; it recomputes the digests of all shards
// from the rows, compares the log with the state, the core's rows with each
// other, and has the topology's own invariants checked.
//
// What it can't see: a bit that changed in space that nothing uses, and entries
// that were lost together with everything that tells of them. It compares the
// nodes of one directory with each other, but no others; a running cluster does.
//
// It holds the directory's lock, so that no node opens it meanwhile. It starts
// no goroutine. Start at [Directory]; what findings mean is in meaning.go.
package verify
