package connectors

import (
	"context"
	"errors"
	"time"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Errors of a Cluster.
var (
	// ErrUnavailable: no leader, or not ready yet; try again.
	ErrUnavailable = errors.New("not available now")
	// ErrUnknown: the outcome is not known; ask again with the same id.
	ErrUnknown = errors.New("outcome unknown, ask again with the same id")
	// ErrNotFound: there is nothing under this key.
	ErrNotFound = errors.New("not found")
	// ErrOverloaded: the node is above its request or memory limit.
	ErrOverloaded = errors.New("overloaded, try again later")
)

// Consistency of a query.
type Consistency string

const (
	// Linearizable answers from the leader, after everything acknowledged.
	Linearizable Consistency = "linearizable"
	// Stale answers from this node's replica, which may be behind.
	Stale Consistency = "stale"
)

// Cluster is what the API may do, implemented by engine/node.
type Cluster interface {
	Snapshots
	// Ask answers a query of a stage for one key, and the log index the
	// answer is good for. ErrNotFound if there is nothing.
	Ask(ctx context.Context, stage, query, key string, question state.Visitable, c Consistency) (answer state.Visitable, index uint64, err error)
	// Submit brings an event in, idempotent by (source, id). With answer it
	// waits for the decision and its id is in the reply.
	Submit(ctx context.Context, e operators.Event, answer bool) (Reply, error)
	// FindDecision says which stage and key made a decision. ErrNotFound if
	// it is unknown or its index row has expired.
	FindDecision(ctx context.Context, id string) (stage, key string, err error)
	// DeadLetters lists dead letters, oldest first.
	DeadLetters(ctx context.Context, f DeadLetterFilter) ([]operators.DeadLetter, error)
	// DeadLetter reads one.
	DeadLetter(ctx context.Context, id string) (operators.DeadLetter, error)
	// Redrive tries a dead letter again.
	Redrive(ctx context.Context, id string) (Reply, error)
	// Skip steps over the message that halts a group.
	Skip(ctx context.Context, group int, index, message uint64) error
	// Init forms a new cluster of the nodes that this one was told to join: all
	// must be reachable, new, and agree on the cluster's settings. Doing it again
	// completes what was interrupted, and changes nothing in a formed cluster.
	Init(ctx context.Context) error
	// Transfer hands the leadership of a group to a node, or with "" to any
	// other that is caught up.
	Transfer(ctx context.Context, group int, node string) error
	// Move moves a shard to another group and waits until it is there. Commands
	// and queries for its keys wait meanwhile, and nothing is decided for them.
	Move(ctx context.Context, shard, group int) error
	// AddNode lets a node that waits with an empty directory at a peer address
	// into the running cluster. It returns once that is decided; replicas follow
	// by themselves. Asking again changes nothing.
	AddNode(ctx context.Context, node, peer string) (Membership, error)
	// DrainNode takes the leaderships from a node for good, or with undo allows
	// them to it again. Its replicas go on following.
	DrainNode(ctx context.Context, node string, undo bool) (Membership, error)
	// RemoveNode takes a node out that is drained, or still joins, or with force
	// one that does not answer. It returns once that is decided.
	RemoveNode(ctx context.Context, node string, force bool) (Membership, error)
	// Upgrade puts the highest feature level in force that a node of the cluster
	// knows. It is refused while one of them does not know it, or does not answer,
	// and can't be taken back. Asking again goes on with what is left to do.
	Upgrade(ctx context.Context) (Upgraded, error)
	// Status describes the cluster as this node sees it, from this node alone.
	Status(ctx context.Context) (Status, error)
	// Nodes asks every member for its own view. A node that does not answer in
	// time is listed with the reason.
	Nodes(ctx context.Context) ([]NodeStatus, error)
	// Shards lists every shard with its digest, all of one group at one index.
	Shards(ctx context.Context) ([]ShardStatus, error)
	// Watch delivers outgoing records as they are replicated on this node
	// until ctx ends. A slow watcher loses records and is told how many.
	Watch(ctx context.Context) <-chan Watched
}

// Reply is the outcome of a submitted event.
type Reply struct {
	Outcome    string // core.OutcomeApplied and so on
	Code       string // why it was dead-lettered or refused
	DeadLetter string // id of the dead letter
	Decision   string // decision id, when asked for
	Index      uint64 // log index at which it was known
}

// DeadLetterFilter limits a list of dead letters.
type DeadLetterFilter struct {
	Code  string // empty: any
	Type  string // empty: any
	After string // id to go on after
	Limit int    // 0: 100
}

// Watched is one record of a Watch.
type Watched struct {
	Record *operators.Record
	Lost   int // records dropped before this one
}

// Membership is where a node stands in the cluster.
type Membership struct {
	Node    string
	State   string // as in NodeStatus; "removed" for one that is no member
	Members int    // nodes of the cluster, this one included if it is a member
	Version uint64 // changes of the list since the cluster was formed
}

// Upgraded says which feature level was in force, and which is now.
type Upgraded struct{ Before, Level int }

// Status is a node's view of the cluster.
type Status struct {
	Node, Cluster string
	Version       string
	Durability    string
	Clock         string
	FeatureLevel  int // the highest that this node's build knows
	LevelInForce  int // in all groups, as far as this node sees
	Incarnation   uint64
	Fingerprint   string // of the pseudonym key
	Started       time.Time
	Ready         bool
	NotReady      string // why not
	Groups        []GroupStatus
	Inputs        []InputStatus
}

// NodeStatus is one member of the cluster, as itself says.
type NodeStatus struct {
	Node        string
	Peer, HTTP  string // addresses
	State       string // member, joining, draining (leads nothing), leaving; empty before the cluster is formed
	Unreachable string // why it does not answer; then the rest is empty
	Version     string
	Ready       bool
	NotReady    string        // why not
	ClockAhead  time.Duration // of its wall clock against the asking node's
	Differs     string        // in which settings it differs from the asking node, though all must agree
	Groups      []GroupStatus
	// FeatureLevel is the highest that its build knows.
	FeatureLevel int
}

// GroupStatus is one group, as one of its replicas sees it.
type GroupStatus struct {
	Group                int
	Replica              string // id of the replica on this node
	Leader               string // node id, empty if none
	Role                 string // leader, follower, candidate, joining (does not vote yet), damaged, stopped
	Damaged              string // why the replica does not take part, and what is being done about it
	Term                 uint64
	Commit, Applied      uint64
	Written              uint64 // index up to which Pebble has the state
	LogTime              state.Time
	OutboxRecords        int
	LaneMessages         int        // to other shards and not known to be applied there
	OutboxOldest         state.Time // log time of the oldest undelivered record, 0 if none
	Delivery             string     // what delivery does: sending, waiting, stopped: why
	Halted               string     // why, with entry and message; empty if not
	SnapshotIndex        uint64
	Voters, DeadLettered int
	ShardsFrozen         int    // shards on their way to another group
	Level                uint64 // feature level in force
	// Digests of this replica's whole state, oldest first: all replicas take
	// theirs after the same entries. Only a node itself tells them.
	Digests []DigestStatus
}

// DigestStatus is the digest of a group's state after an entry.
type DigestStatus struct {
	Index  uint64
	Digest string
}

// InputStatus is one input partition.
type InputStatus struct {
	Topic                            string // alias
	Name                             string // Kafka's name
	Partition                        int32
	Next                             int64 // applied up to
	End                              int64 // last stable offset seen
	Events, Applied, Duplicates, Bad int64
	State                            string // reading, idle, paused, waiting, stopped: why
}

// ShardStatus is one shard.
type ShardStatus struct {
	Shard  int
	Group  int
	Index  uint64
	Digest string
}
