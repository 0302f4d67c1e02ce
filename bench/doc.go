// Package bench is the harness: it generates load, measures, and reports.
//
// Load is open loop: events arrive by a schedule that does not wait for
// answers, so that a stall counts against every event that it delays. Two
// clocks are never mixed: an event in memory → its decision replicated
// ([Decide], [HotSKU]), and an event produced → its decision visible to a
// read_committed consumer ([Kafka]). [Failover] measures how long no decision
// comes when the leader goes, [Restart] how long a node takes from its start,
// [Move] what orders notice when shards move between groups. A report names what
// is needed to judge a figure: commit, machine, durability, the disk's own
// fdatasync, GC settings and the exact command.
//
// Every run checks its answers too: nothing oversold, lost or doubled. What a
// run starts (nodes, brokers, processes, topics) it ends, also after a fault.
//
// Start at decide.go for a cluster in this process with Kafka in memory
// (memory.go), at kafka.go for one on a Kafka, at failover.go, move.go and
// server.go for one of processes. When events are due is in pacer.go, what is
// reported in report.go.
//
// bench/replay brings public data sets in.
package bench
