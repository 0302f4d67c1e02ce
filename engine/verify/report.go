package verify

import (
	"fmt"

	"anabranch.dev/state"
)

// Part is what a finding is about.
type Part string

// Parts of a data directory.
const (
	Identity  Part = "identity"  // node.json, and what lies beside it
	Record    Part = "record"    // of the log
	Log       Part = "log"       // its files and its end
	Mark      Part = "mark"      // below which the log may not end
	Meta      Part = "meta"      // term, vote and segments of the log
	Snapshot  Part = "snapshot"  //
	Manifest  Part = "manifest"  // the state's list of tables
	Table     Part = "table"     // a file of the state
	Row       Part = "row"       // of the state
	Digest    Part = "digest"    // of a shard's rows
	Applied   Part = "applied"   // how far the state is, against the log
	Note      Part = "note"      // left by an earlier run
	Core      Part = "core"      // outbox, lanes, timers, positions
	Invariant Part = "invariant" // of the topology
	Replicas  Part = "replicas"  // of one group, compared
)

// Finding is one thing that is off.
type Finding struct {
	Node    string `json:"node"`
	Group   int    `json:"group"` // -1: of the node
	Part    Part   `json:"part"`
	Place   string `json:"place"`
	Text    string `json:"text"`
	Meaning string `json:"meaning"`
}

// Replica is what was looked at of one replica.
type Replica struct {
	Node     string `json:"node"`
	Group    int    `json:"group"`
	Replica  string `json:"replica"`
	First    uint64 `json:"log_first"` // records in the log
	Last     uint64 `json:"log_last"`
	Records  int64  `json:"records"` // that could be read
	Snapshot uint64 `json:"snapshot"`
	Applied  uint64 `json:"applied"`
	Tables   int    `json:"tables"`
	Bytes    int64  `json:"bytes"` // of tables
	Rows     int64  `json:"rows"`

	digests []state.ShardDigest
}

// Report is what was looked at and what was found.
type Report struct {
	Directory string    `json:"directory"`
	Replicas  []Replica `json:"replicas"`
	Findings  []Finding `json:"findings"`
	// Left is how many findings are not listed: one cause often shows in many
	// places.
	Left int `json:"left"`

	counts map[string]int // findings by node, group and part
}

// maxFindings are listed of one part of a replica.
const maxFindings = 50

func (r *Report) add(node string, group int, part Part, place, text string) {
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	of := fmt.Sprintf("%s %d %s", node, group, part)
	if r.counts[of]++; r.counts[of] > maxFindings {
		r.Left++
		return
	}
	r.Findings = append(r.Findings, Finding{Node: node, Group: group, Part: part, Place: place, Text: text, Meaning: meanings[part]})
}
