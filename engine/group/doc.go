// Package group runs one replica of a Raft group: it replicates entries, applies
// them to the core, and, while it leads, proposes and delivers.
//
// Everything is driven by the state machines of engine/core and engine/leader;
// this package gives them a clock, a log, a sink and goroutines. Raft itself is
// hashicorp/raft over raftlog; all groups of a node share one [peer.Port].
//
// A new group begins with the same list of voters on each of its first replicas.
// Any other replica opens empty and waits to be let in ([Group.Admit]): without
// a vote until it has caught up, by the log or by a snapshot, which is read
// through before it counts. A replica whose files can't be trusted stops with
// [ErrDamaged], and stays stopped: another one, with another id, replaces it.
//
// A leader hands over before it stops ([Group.Transfer]), and when its disk
// hangs. One whose process dies is missed at once (suspect.go), one that only
// falls silent after Config.Timeout.
//
// Goroutines, all owned by [Group.Run], which waits for them: Raft's own; the
// lead loop (lead.go), which is the only one to touch a tenure's machines; one
// per tenure that waits for proposals' outcomes, and one that talks to the
// sink; housekeeping (the mark, snapshots); and those that watch the disk, the
// files and the leader. Raft's apply goroutine calls [fsm.ApplyBatch], which
// holds the apply mutex entry by entry; queries take the same mutex between
// entries.
//
// What is not known is never reported as failed: a proposal whose outcome Raft
// can't tell ends the tenure, and its callers are told to ask again.
//
// A fault of log, state or core stops the replica: Run returns it. A halt (a
// broken invariant in the core) is kept and shown; the group goes on receiving
// entries and waits for a skip.
//
// A snapshot of the whole cluster is made of copies ([Group.BeginCopy]), while the
// lanes are held back ([Group.HoldLanes]). A group of a new incarnation begins with
// a seed ([MakeSeed]) in place of nothing.
//
// Start at [Open] and [Group.Run]; members are in members.go, damage in
// damage.go, what Raft is given as its log in records.go, as its network in
// streams.go.
package group
