// Package group runs one Raft group on this node: it replicates entries, applies
// them to the core, and, while it leads, proposes and delivers.
//
// Everything is driven by the state machines of engine/core and engine/leader;
// this package gives them a clock, a log, a sink and goroutines. Raft itself is
// hashicorp/raft over raftlog; all groups of a node share one [Port].
//
// Goroutines, all owned by [Group.Run], which waits for them: Raft's own; the
// lead loop (lead.go), which is the only one to touch a tenure's machines; one
// per tenure that waits for proposals' outcomes, and one that talks to the
// sink; and housekeeping (the mark, snapshots). Raft's apply goroutine calls
// [fsm.ApplyBatch], which holds the apply mutex entry by entry; queries take
// the same mutex between entries.
//
// What is not known is never reported as failed: a proposal whose outcome Raft
// can't tell ends the tenure, and its callers are told to ask again.
//
// A fault of log, state or core stops the replica: Run returns it, and the
// process must exit. A halt (a broken invariant in the core) is kept and shown;
// the group goes on receiving entries and waits for a skip.
//
// Start at [Open] and [Group.Run].
package group
