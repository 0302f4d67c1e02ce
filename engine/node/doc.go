// Package node is one process of a cluster: its data directory, its peer port,
// its replicas, and the sources that feed the groups it leads. It implements
// [connectors.Cluster], which is all that the API knows of it.
//
// The data directory belongs to one process at a time and to one cluster for
// good; what was fixed when the cluster was made (shards, groups, clock, the
// pseudonym key) is refused when it differs, by name. How several nodes become
// one cluster, exactly once, is in forming.go; peers.go keeps each node informed
// of the others: where they are, how far, what their clocks say.
//
// The members of a cluster change while it runs: a node is added, drained and
// removed (membership.go). Their list is a row of the first group, so that all
// changes have one order; a node goes by the newest it knows, and one that is
// not on it ends with [ErrRemoved].
//
// Every node answers everything: what only a group's leader may do is carried
// out there (forward.go), and an error keeps what it is on the way back. What
// was not carried out for certain is tried again until there is a leader; what
// may have been is reported as unknown.
//
// A replica in a [slot] may be replaced while the node runs: when its files are
// damaged or its digest is in the minority, and a majority of the other members
// have all that it promised (replace.go). Then it leaves the group, its files
// are put aside, and a new one comes in under a new id. Without that majority
// nothing is touched.
//
// A snapshot of all groups is one cut of them (backup.go). A directory made of one,
// or of what a lost majority has left, begins a new incarnation (reborn.go,
// recover.go); nodes of different ones don't talk to each other.
//
// All inputs of the node are read over one connection, by one goroutine, which
// decodes what it fetches and hands it to the group that owns the partition.
// What is to be read is decided by the log: see inputs.go and, for topics that a
// group has not open yet, opened.go.
//
// [Node.Run] owns every goroutine. An orderly stop hands leaderships over, ends
// the sources, then the groups, each of which waits for what it has in flight.
// A disk that hangs is the exception: see [ErrStalled].
//
// Start at [Open] and [Node.Run]; the directory is in identity.go, questions and
// commands are in cluster.go.
package node
