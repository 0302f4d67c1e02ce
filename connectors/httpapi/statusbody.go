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
	FeatureLevel int         `json:"feature_level" doc:"the highest that the build of the node that answers knows"`
	LevelInForce int         `json:"level_in_force" doc:"feature level that is in force in all groups, as far as this node sees"`
	Incarnation  uint64      `json:"incarnation"`
	Fingerprint  string      `json:"fingerprint" doc:"of the pseudonym key"`
	Started      time.Time   `json:"started"`
	Ready        bool        `json:"ready"`
	NotReady     string      `json:"not_ready,omitempty" doc:"why it is not ready"`
	Groups       []groupBody `json:"groups" doc:"as this node sees them"`
	Inputs       []inputBody `json:"inputs"`
	Nodes        []nodeBody  `json:"nodes" doc:"every member, as itself says"`
	NodesUnknown string      `json:"nodes_unknown,omitempty" doc:"why the members can't be listed"`
}

type nodeBody struct {
	Node         string      `json:"node"`
	Peer         string      `json:"peer"`
	HTTP         string      `json:"http" doc:"where its API can be reached"`
	State        string      `json:"state,omitempty" enum:"member,joining,draining,leaving" doc:"where it stands in the cluster; a draining one leads nothing"`
	Unreachable  string      `json:"unreachable,omitempty" doc:"why it does not answer; then the rest is empty"`
	Version      string      `json:"version,omitempty"`
	FeatureLevel int         `json:"feature_level,omitempty" doc:"the highest that its build knows"`
	Ready        bool        `json:"ready"`
	NotReady     string      `json:"not_ready,omitempty" doc:"why it is not ready"`
	ClockAheadUS int64       `json:"clock_ahead_us" doc:"of its wall clock against that of the node that answers, in microseconds"`
	Differs      string      `json:"differs,omitempty" doc:"settings in which it differs from the node that answers, though all must agree"`
	Groups       []groupBody `json:"groups"`
}

type groupBody struct {
	Group         int    `json:"group"`
	Replica       string `json:"replica,omitempty" doc:"id of the node's replica"`
	Leader        string `json:"leader" doc:"node id, empty if there is none"`
	Role          string `json:"role" doc:"leader, follower, candidate, joining, damaged or stopped"`
	Damaged       string `json:"damaged,omitempty" doc:"why the replica does not take part, and what is done about it"`
	Term          uint64 `json:"term"`
	Commit        uint64 `json:"commit"`
	Applied       uint64 `json:"applied"`
	Written       uint64 `json:"written" doc:"index up to which the state is in Pebble"`
	LogTime       string `json:"log_time,omitempty" format:"date-time"`
	OutboxRecords int    `json:"outbox_records"`
	LaneMessages  int    `json:"lane_messages" doc:"messages to other shards that are not known to be applied there"`
	OutboxOldest  string `json:"outbox_oldest,omitempty" format:"date-time" doc:"log time of the oldest undelivered record"`
	Delivery      string `json:"delivery" doc:"sending, waiting, or stopped with the reason"`
	Halted        string `json:"halted,omitempty" doc:"why, with entry and message"`
	SnapshotIndex uint64 `json:"snapshot_index"`
	Voters        int    `json:"voters"`
	DeadLettered  int    `json:"dead_lettered"`
	ShardsFrozen  int    `json:"shards_frozen,omitempty" doc:"shards on their way to another group"`
	Level         uint64 `json:"level,omitempty" doc:"feature level in force"`

	Digests []digestBody `json:"digests,omitempty" doc:"of the state of the node that answers, oldest first; all replicas take theirs after the same entries"`
}

type digestBody struct {
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
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
}

func clusterOf(s connectors.Status, nodes []connectors.NodeStatus, nodesErr error) clusterBody {
	b := clusterBody{Node: s.Node, Cluster: s.Cluster, Version: s.Version, Durability: s.Durability, Clock: s.Clock,
		FeatureLevel: s.FeatureLevel, LevelInForce: s.LevelInForce, Incarnation: s.Incarnation, Fingerprint: s.Fingerprint, Started: s.Started,
		Ready: s.Ready, NotReady: s.NotReady,
		Groups: groupsOf(s.Groups), Inputs: make([]inputBody, len(s.Inputs)), Nodes: make([]nodeBody, len(nodes))}
	for i, in := range s.Inputs {
		b.Inputs[i] = inputBody(in)
	}
	for i, n := range nodes {
		b.Nodes[i] = nodeBody{Node: n.Node, Peer: n.Peer, HTTP: n.HTTP, State: n.State, Unreachable: n.Unreachable, Version: n.Version, FeatureLevel: n.FeatureLevel,
			Ready: n.Ready, NotReady: n.NotReady, ClockAheadUS: n.ClockAhead.Microseconds(), Differs: n.Differs, Groups: groupsOf(n.Groups)}
	}
	if nodesErr != nil {
		b.NodesUnknown = nodesErr.Error()
	}
	return b
}

func groupsOf(list []connectors.GroupStatus) []groupBody {
	groups := make([]groupBody, len(list))
	for i, g := range list {
		groups[i] = groupOf(g)
	}
	return groups
}

func groupOf(g connectors.GroupStatus) groupBody {
	var digests []digestBody
	for _, d := range g.Digests {
		digests = append(digests, digestBody(d))
	}
	return groupBody{Group: g.Group, Replica: g.Replica, Leader: g.Leader, Role: g.Role, Damaged: g.Damaged, Term: g.Term, Commit: g.Commit, Applied: g.Applied,
		Written: g.Written, LogTime: timeText(g.LogTime), OutboxRecords: g.OutboxRecords, LaneMessages: g.LaneMessages, OutboxOldest: timeText(g.OutboxOldest),
		Delivery: g.Delivery, Halted: g.Halted, SnapshotIndex: g.SnapshotIndex, Voters: g.Voters, DeadLettered: g.DeadLettered, ShardsFrozen: g.ShardsFrozen, Level: g.Level,
		Digests: digests}
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
