// Package bench is the harness: it generates load, measures, and reports.
//
// Load is open loop: events arrive by a schedule that does not wait for
// answers, so that a stall counts against every event that it delays. Two
// clocks are never mixed: an event in memory → its decision replicated
// ([Decide]), and an event produced → its decision visible on Kafka. A report
// names what is needed to judge a figure: commit, machine, durability, the
// disk's own fdatasync, GC settings and the exact command.
//
// bench/replay brings public data sets in.
package bench
