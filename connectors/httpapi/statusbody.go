package httpapi

import (
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/state"
)

type clusterBody struct {
	Node         string      `json:"node"`
	Cluster      string      `json:"cluster"`
	Version      string      `json:"version"`
	Durability   string      `json:"durability" enum:"disk,memory"`
	Clock        string      `json:"clock" enum:"wall,replay"`
	FeatureLevel int         `json:"feature_level"`
	Incarnation  uint64      `json:"incarnation"`
	Fingerprint  string      `json:"fingerprint" doc:"of the pseudonym key"`
	Started      time.Time   `json:"started"`
	Ready        bool        `json:"ready"`
	NotReady     string      `json:"not_ready,omitempty" doc:"why it is not ready"`
	Groups       []groupBody `json:"groups"`
	Inputs       []inputBody `json:"inputs"`
}

type groupBody struct {
	Group         int    `json:"group"`
	Leader        string `json:"leader" doc:"node id, empty if there is none"`
	Role          string `json:"role"`
	Term          uint64 `json:"term"`
	Commit        uint64 `json:"commit"`
	Applied       uint64 `json:"applied"`
	Written       uint64 `json:"written" doc:"index up to which the state is in Pebble"`
	LogTime       string `json:"log_time,omitempty" format:"date-time"`
	OutboxRecords int    `json:"outbox_records"`
	OutboxOldest  string `json:"outbox_oldest,omitempty" format:"date-time" doc:"log time of the oldest undelivered record"`
	Delivery      string `json:"delivery" doc:"sending, waiting, or stopped with the reason"`
	Halted        string `json:"halted,omitempty" doc:"why, with entry and message"`
	SnapshotIndex uint64 `json:"snapshot_index"`
	Voters        int    `json:"voters"`
	DeadLettered  int    `json:"dead_lettered"`
}

type inputBody struct {
	Topic      string `json:"topic" doc:"alias"`
	Name       string `json:"name" doc:"Kafka's name"`
	Partition  int32  `json:"partition"`
	Next       int64  `json:"next" doc:"applied up to"`
	End        int64  `json:"end" doc:"last stable offset seen"`
	Events     int64  `json:"events"`
	Applied    int64  `json:"applied"`
	Duplicates int64  `json:"duplicates"`
	Bad        int64  `json:"dead_letters"`
	State      string `json:"state"`
}

type shardBody struct {
	Shard  int    `json:"shard"`
	Group  int    `json:"group"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
	Rows   int64  `json:"rows"`
}

func clusterOf(s connectors.Status) clusterBody {
	b := clusterBody{Node: s.Node, Cluster: s.Cluster, Version: s.Version, Durability: s.Durability, Clock: s.Clock,
		FeatureLevel: s.FeatureLevel, Incarnation: s.Incarnation, Fingerprint: s.Fingerprint, Started: s.Started,
		Ready: s.Ready, NotReady: s.NotReady,
		Groups: make([]groupBody, len(s.Groups)), Inputs: make([]inputBody, len(s.Inputs))}
	for i, g := range s.Groups {
		b.Groups[i] = groupOf(g)
	}
	for i, in := range s.Inputs {
		b.Inputs[i] = inputBody(in)
	}
	return b
}

func groupOf(g connectors.GroupStatus) groupBody {
	return groupBody{Group: g.Group, Leader: g.Leader, Role: g.Role, Term: g.Term, Commit: g.Commit, Applied: g.Applied,
		Written: g.Written, LogTime: timeText(g.LogTime), OutboxRecords: g.OutboxRecords, OutboxOldest: timeText(g.OutboxOldest),
		Delivery: g.Delivery, Halted: g.Halted, SnapshotIndex: g.SnapshotIndex, Voters: g.Voters, DeadLettered: g.DeadLettered}
}

// timeText is the time as it appears in JSON, "" when not set.
func timeText(t state.Time) string {
	if t == 0 {
		return ""
	}
	return t.String()
}

// appliedOf is the lowest applied index of the groups: whatever is read after
// the status includes at least that much.
func appliedOf(s connectors.Status) uint64 {
	var low uint64
	for i, g := range s.Groups {
		if i == 0 || g.Applied < low {
			low = g.Applied
		}
	}
	return low
}
