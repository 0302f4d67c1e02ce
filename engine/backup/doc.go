// Package backup is the format of a snapshot of a whole cluster: a folder with a
// manifest and, per group, the files of its state.
//
//	manifest.json
//	group-0/000012.sst …
//	group-1/…
//
// # Why it is one cut
//
// The groups' states are of different entries of different logs, but nothing that
// passes between groups lies between them. What passes goes over lanes: ordered
// messages from a shard of group A to a shard of group B, numbered from 1. A
// remembers up to where B has acknowledged and forgets what is below; B remembers
// the last number it has applied. A cut is consistent if for every lane
//
//	acknowledged at A ≤ applied at B ≤ sent by A
//
// If the first failed, A would have forgotten a message that B does not have: it
// would be lost. If the second failed, B would have a message that A has not sent
// yet: A would give its number to another one, which B would drop as a duplicate.
//
// Shards pass between groups too, row by row. They come to their new group by steps
// in its log, and leave the old one when a message on a lane has said so.
//
// A save therefore has every group's leader hold back all of it, messages that
// arrive, acknowledgements and steps of moves, from the log. A hold is complete once
// no entry with any of it is on its way. When all holds are complete, at T₀, every
// group's state is copied at its own entry, after T₀. Then all holds are released,
// each leader saying whether its hold has lasted without a break.
//
// Whatever acknowledgement A has applied before its copy, it had applied before its
// own hold was complete, so before T₀; B had applied the message before it sent the
// acknowledgement, and B's copy is later. Whatever message B has applied before its
// copy, it had applied before T₀ in the same way; A had sent it before, and A's copy
// is later. A hold belongs to one tenure of one leader: if the leader changes, or
// the hold ends by its limit, its release fails and the whole cut is dropped. So no
// other leader has applied anything in between.
//
// Nothing else waits: events from Kafka, commands, timers and deliveries go on, and
// with them every decision that concerns one group only. What concerns several waits
// for the few milliseconds of the hold.
//
// # What is promised
//
// A folder appears under its name only when everything is in it, on disk. Its
// manifest has a checksum over itself, and the length and SHA-256 of every file.
// [Open] refuses a folder in which anything is missing, changed, cut off or added,
// and names it. This package copies no rows and knows none.
//
// Start at [Save] and [Open]; the manifest is in manifest.go.
package backup
