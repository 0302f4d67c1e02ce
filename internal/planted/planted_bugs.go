//go:build plantedbugs

// Package planted puts known bugs into test builds, to check that the checkers
// find them. In every other build its functions are constants and what they
// guard is compiled away.
package planted

import "os"

// Bugs are the names of the bugs in the engine, and where.
var Bugs = []string{
	"core: duplicate not recognised",
	"core: position one short",
	"log time goes back",
	"core: timer fires twice",
	"core: timers fire in map order",
	"core: acknowledgement trims one too many",
	"core: lane number not checked",
	"core: applied again after a restore",
	"core: failed call keeps its rows",
	"core: gap applied twice",
	"core: topic made anew taken for the old one",
	"core: frozen shard goes on",
	"core: lane message taken for a shard that has left",
	"leader: stale fetch accepted",
	"leader: failed entry forgotten",
	"leader: progress not read back",
	"leader: unknown outcome taken for success",
	"leader: unknown outcome sent again at once",
	"leader: lane acknowledged too far",
	"leader: merge does not wait for a missing head",
	"leader: gap reaches too far",
	"leader: topic made anew read for the old one",
	"leader: sources of a frozen shard go on",
}

// LevelBugs show only where builds of two feature levels are mixed.
var LevelBugs = []string{
	"core: row format changed before its level is in force",
	"core: sizes as the build would write",
}

// RetailBugs are the names of those in the operators of the retail topology.
var RetailBugs = []string{
	"policy: shadow in force",
	"allocation: rules of the version before",
	"allocation: policy changes in an attempt",
}

// ClusterBugs are the names of those that only several nodes at once can show.
var ClusterBugs = []string{
	"group: reads before an entry of the own term",
	"group: deposed leader reads without asking",
	"group: late answers count for a check of the leadership",
	"group: idempotency key forgotten after a leader change",
	"group: stale read names a newer index",
	"node: follower answers as the leader",
	"node: lost answer taken for nothing done",
}

// DiskBugs are the names of those in what lies on the disk.
var DiskBugs = []string{
	"disk: a sync is dropped",
	"disk: a failed sync is tried again",
	"disk: snapshot labelled ahead of its content",
	"disk: progress written before the rows",
	"disk: a checksum is not compared",
	"disk: a removed snapshot may come back in part",
}

var name = os.Getenv("ANABRANCH_PLANTED_BUG")

// Plant chooses the bug to have from now on, "" for none.
func Plant(bug string) { name = bug }

// Is reports whether the bug with this name is planted.
func Is(bug string) bool { return bug == name }

// MapOrder reports whether the bug with this name is planted, and if so leaves
// the list in the order that ranging over a map would give.
func MapOrder[T any](bug string, list []T) bool {
	if !Is(bug) {
		return false
	}
	m := map[int]T{}
	for i, x := range list {
		m[i] = x
	}
	i := 0
	for _, x := range m {
		list[i] = x
		i++
	}
	return true
}
