package group

import (
	"log/slog"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/metrics"
	"anabranch.dev/operators"
)

// Config of a group. All fields are required unless a default is given.
type Config struct {
	Dir     string // of this group on this node
	Cluster string
	Replica string // id of this replica; one that rejoins after a loss gets a new one
	// Voters are the replicas of a new group, the same on each; ignored once
	// the group has a configuration. Empty: this replica joins a group that
	// exists, and waits to be admitted; see [Group.Admit].
	Voters []string

	Core core.Config
	// Level is the feature level that the cluster was formed at: a group below it
	// is raised before anything else is decided. 0: none.
	Level      uint64
	Durability raftlog.Durability

	// OpenStore opens (or makes) the state in a directory. A copy is opened only
	// to be read through.
	OpenStore func(dir string, copy bool) (Store, error)
	NewSink   func() (connectors.Sink, error)
	Encoder   connectors.Encoder
	Gap       leader.GapPolicy
	First     func(alias string) bool
	Limits    leader.Limits
	// MaxRequests bounds the callers that wait for a reply. Default 5,000.
	MaxRequests int

	Port *peer.Port // the node's

	// Timeout is how long a leader may be silent: Raft's heartbeat and election
	// timeout. Default 500 ms, so that a busy machine deposes nobody; one whose
	// process has died is replaced sooner, and a group of one voter elects
	// itself sooner.
	Timeout time.Duration
	// SnapshotBytes and SnapshotEntries of log since the last snapshot make
	// another one due. Default 64 MiB and 500,000.
	SnapshotBytes   int64
	SnapshotEntries uint64
	// TrailingEntries of log stay behind a snapshot, for followers that were
	// away for a while: they need no snapshot. Default 50,000, or as many as
	// make twice SnapshotBytes if that is fewer.
	TrailingEntries uint64
	// Drain is how long an orderly stop waits for what is in flight. Default 5 s.
	Drain time.Duration
	// Stall is how long the disk of a leader may hang before others take over,
	// and ten times that for a sync in memory durability, for which nothing
	// waits. Default 1 s.
	Stall time.Duration
	// Stalled is told of a leader's disk that hangs. The group's streams are cut
	// by then; the process must exit, as Run may never return. May be nil.
	Stalled func(err error)

	// Records is told every outgoing record as it is replicated, from the
	// apply goroutine: it must not block.
	Records func(records []*operators.Record)
	// Fetch tells the fetcher what the sources of a tenure want; see
	// [Group.Tenure]. It must not block.
	Fetch func(tenure uint64, actions []leader.Action)
	// SendLane and SendLaneAck take messages and acknowledgements to the leader
	// of the group that owns Lane.To and LaneAck.From. They must not block and
	// may lose what they are given: it is sent again.
	SendLane    func(l *core.Lane)
	SendLaneAck func(a core.LaneAck)
	// Placed is told where shards are, as this replica's state says: when it is
	// opened, and whenever that changes. It must not block.
	Placed func(placements []core.Placement)
	// Changed is told, without detail, that leadership, readiness or the
	// reading of first topics may have changed. It must not block.
	Changed func()

	Log     *slog.Logger
	Metrics *metrics.Group

	// Disk replaces the log's disk, for tests.
	Disk func(o *raftlog.Options)

	// For tests: when to begin, and how far the clock is ahead.
	scrubFirst, ahead time.Duration
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 500 * time.Millisecond
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = 64 << 20
	}
	if c.SnapshotEntries == 0 {
		c.SnapshotEntries = 500_000
	}
	if c.TrailingEntries == 0 {
		c.TrailingEntries = 50_000
	}
	if c.Stall == 0 {
		c.Stall = time.Second
	}
	if c.Placed == nil {
		c.Placed = func([]core.Placement) {}
	}
	if c.Stalled == nil {
		c.Stalled = func(error) {}
	}
	if c.Drain == 0 {
		c.Drain = 5 * time.Second
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 5000
	}
	if c.scrubFirst == 0 {
		c.scrubFirst = scrubFirst
	}
	if c.Disk == nil {
		c.Disk = func(*raftlog.Options) {}
	}
	return c
}
