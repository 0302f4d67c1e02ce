// Package node is one process of a cluster: its data directory, its peer port,
// its groups, and the sources that feed them. It implements
// [connectors.Cluster], which is all that the API knows of it.
//
// The data directory belongs to one process at a time and to one cluster for
// good; what was fixed when the cluster was made (shards, groups, clock, the
// pseudonym key) is refused when it differs, by name.
//
// All inputs of the node are read over one connection, by one goroutine, which
// decodes what it fetches and hands it to the group that owns the partition.
// What is to be read is decided by the log: see inputs.go.
//
// [Node.Run] owns every goroutine. An orderly stop ends the sources first, then
// the groups, each of which waits for what it has in flight.
//
// Start at [Open]; the directory is in identity.go, questions and commands are
// in cluster.go.
package node
