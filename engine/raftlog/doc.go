// Package raftlog keeps one group's Raft log, votes and snapshots on disk.
//
// It is raft-wal with what that library leaves out: a checksum per record over
// group, index and bytes; a mark below which the log may never end; a named
// durability; and tails that were cut off in the moment of sealing a segment.
// A log that lost or changed a record is refused when it is opened, with
// [ErrCorrupt], [ErrBehind] or [ErrUnclean]; it is never read past.
//
// After the first failed write, sync or commit of metadata every later write
// fails with the same error, which is also reported to Options.OnFault: what a
// disk did to data whose sync failed is not known ([ErrDisk]), so the replica
// must stop. A full disk stops it too, but leaves what is there good. How long
// an access has been hanging is told by [Log.Pending].
//
// [Log] owns one goroutine, the syncer of [Memory] durability, and a second one
// inside raft-wal; Close ends both. Snapshots are directories that hold a
// checkpoint of the state as it lies on disk; see [Snapshots].
//
// Start at [Open]; records are in codec.go, files in disk.go, the mark in
// mark.go.
package raftlog
