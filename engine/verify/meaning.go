package verify

import "strings"

// What several findings mean.
const (
	replace = "Start the node: it sets the replica aside and takes another from the other nodes. " +
		"A node that is the whole cluster does not start: restore a backup."
	bug = "The bytes are as they were written: what wrote them was wrong, on all replicas alike. " +
		"Keep the directory and report it; 'anabranch verify ADDR' tells whether the other replicas have it."
)

// meanings say what a finding means for whoever runs the node, and what to do.
var meanings = map[Part]string{
	Identity: "The node will not start, or not as who it was. Restore node.json from a backup of this node, or give the node an empty directory " +
		"and another id.",
	Record:   "Entries can't be read any more. " + replace,
	Log:      "Entries are missing or can't be reached. " + replace,
	Mark:     "How far the log must reach is not known for sure. " + replace,
	Meta:     "The replica may have forgotten whom it voted for. " + replace,
	Snapshot: "It can't be sent to another replica, or restored. A running node whose state is good makes another by itself.",
	Manifest: "The list of tables is not what it was: an older state would be read. " + replace,
	Table:    "A part of the state can't be read. " + replace,
	Row:      "A row can't be read. " + replace,
	Digest:   "The rows are not those that were written. " + replace,
	Applied:  "Log and state are not of one life: entries between them are missing. " + replace,
	Note:     "An earlier run found the replica damaged, and it stays out of use. " + replace,
	Core:     bug, Invariant: bug,
	Replicas: "Replicas at one index must be equal; the one that differs from the majority is wrong. " + replace,
}

// logPart is the part that a place in a log belongs to.
func logPart(place string) Part {
	switch {
	case strings.HasPrefix(place, "log record"):
		return Record
	case place == "log/mark":
		return Mark
	case place == "log/wal-meta.db":
		return Meta
	}
	return Log
}

// statePart is the part that a place in a state belongs to.
func statePart(place string) Part {
	switch {
	case place == "state manifest":
		return Manifest
	case strings.HasPrefix(place, "state shard"):
		return Digest
	case strings.HasPrefix(place, "state row"):
		return Row
	}
	return Table
}
