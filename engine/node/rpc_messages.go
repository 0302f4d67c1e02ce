package node

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Calls between nodes.
const (
	callHello        = "hello"
	callForm         = "form"
	callFormed       = "formed"
	callAdmit        = "admit"
	callRemove       = "remove"
	callDigests      = "digests"
	callStatus       = "status"
	callShards       = "shards"
	callAsk          = "ask"
	callSubmit       = "submit"
	callFindDecision = "find_decision"
	callDeadLetters  = "dead_letters"
	callDeadLetter   = "dead_letter"
	callRedrive      = "redrive"
	callSkip         = "skip"
	callTransfer     = "transfer"
	callMove         = "move"
	callMoving       = "moving"
	callImport       = "import"
	callLanes        = "lanes"
	callAdvance      = "advance"
	callMembers      = "members"
	callOpened       = "opened"
	callRaise        = "raise"
)

// hello is what a node says of itself, both when it asks and when it is asked.
type hello struct {
	Node      string        `v:"node"`
	Instance  string        `v:"instance"` // of the process, made when it starts
	Peer      string        `v:"peer"`     // where it can be reached; empty if it does not know
	HTTP      string        `v:"http"`
	Version   string        `v:"version"`
	Wall      int64         `v:"wall"` // its clock, microseconds since 1970
	Settings  settings      `v:"settings"`
	Stage     string        `v:"stage"`
	ClusterID string        `v:"cluster_id"`
	Members   []member      `v:"members"`
	Replicas  []replicaView `v:"replicas"`
	Changes   uint64        `v:"changes"` // of the members, since the cluster was formed
	Gone      []string      `v:"gone"`    // ids of removed members
	// Incarnation and Snapshot say which life of the cluster its data are of.
	Incarnation uint64 `v:"incarnation"`
	Snapshot    string `v:"snapshot"`
	Knows       uint64 `v:"knows"` // the highest feature level that its build knows
	Level       uint64 `v:"level"` // feature level that the cluster was formed at, 0 if that is not known
}

// settings are what all nodes of a cluster must agree on.
type settings struct {
	Cluster     string   `v:"cluster"`
	Topology    string   `v:"topology"`
	Shards      int64    `v:"shards"`
	Groups      int64    `v:"groups"`
	Clock       string   `v:"clock"`
	Durability  string   `v:"durability"`
	Delivery    string   `v:"delivery"`
	OnGap       string   `v:"on_gap"`
	Lateness    int64    `v:"lateness"` // microseconds
	Fingerprint string   `v:"fingerprint"`
	Topics      []string `v:"topics"` // alias=name, sorted
}

// replicaView is a replica as its node says.
type replicaView struct {
	Group   uint64 `v:"group"`
	Replica string `v:"replica"`
	Leader  string `v:"leader"`  // replica that leads, as far as known there
	Serves  bool   `v:"serves"`  // it leads, and decides
	Healthy bool   `v:"healthy"` // it runs, and nothing is wrong with it
	Votes   bool   `v:"votes"`
	Damaged string `v:"damaged"` // why its files are not used
	Applied uint64 `v:"applied"`
	Commit  uint64 `v:"commit"`
	// FirstRead: it leads, and has read the topics that others refer to.
	FirstRead bool `v:"first_read"`
	// Members are the replicas of the group as of Index.
	Members []string `v:"members"`
	Index   uint64   `v:"index"`
	// Level is the feature level in force.
	Level uint64 `v:"level"`
}

// formRequest asks a node to promise that it will be a member of a cluster, or
// tells it that the cluster is formed.
type formRequest struct {
	ClusterID   string   `v:"cluster_id"`
	Members     []member `v:"members"`
	Settings    settings `v:"settings"`
	Changes     uint64   `v:"changes"` // of the members: 0 while the cluster is formed
	Gone        []string `v:"gone"`
	Incarnation uint64   `v:"incarnation"` // as in hello
	Snapshot    string   `v:"snapshot"`
	Level       uint64   `v:"level"`    // as in hello
	InForce     uint64   `v:"in_force"` // the highest feature level in force, that a member must know
}

// membersRequest asks for a change of the list of members, or with no action for
// the list as it is.
type membersRequest struct {
	Action string `v:"action"`
	Node   string `v:"node"`
	Peer   string `v:"peer"`
	Force  bool   `v:"force"`
}

type membersAnswer struct {
	Members core.Members `v:"members"`
}

// replicaRequest is about a replica: let it in, or remove it.
type replicaRequest struct {
	Group   uint64 `v:"group"`
	Replica string `v:"replica"`
	Applied uint64 `v:"applied"`
}

type admitAnswer struct {
	Admission string `v:"admission"`
}

// nothing is a request or an answer without content.
type nothing struct{}

// Visit lists no fields.
func (*nothing) Visit(state.Visitor) {}

// digestsRequest asks for the sums of a group's last digests, or for the
// digests of all shards at one index.
type digestsRequest struct {
	Group uint64 `v:"group"`
	Index uint64 `v:"index"` // 0: the sums of all
}

type digestsAnswer struct {
	Replica string        `v:"replica"`
	Sums    []digestSum   `v:"sums"`
	Shards  []shardDigest `v:"shards"`
}

type digestSum struct {
	Index uint64 `v:"index"`
	Hi    uint64 `v:"hi"`
	Lo    uint64 `v:"lo"`
}

type shardDigest struct {
	Shard uint64 `v:"shard"`
	Hi    uint64 `v:"hi"`
	Lo    uint64 `v:"lo"`
}

type askRequest struct {
	Stage       string       `v:"stage"`
	Query       string       `v:"query"`
	Key         string       `v:"key"`
	Consistency string       `v:"consistency"`
	Question    state.Nested `v:"question"`
}

type askAnswer struct {
	Index  uint64       `v:"index"`
	Answer state.Nested `v:"answer"`
}

type submitRequest struct {
	Event  operators.Event `v:"event"`
	Answer bool            `v:"answer"`
}

// replyAnswer is a connectors.Reply.
type replyAnswer struct {
	Outcome    string `v:"outcome"`
	Code       string `v:"code"`
	DeadLetter string `v:"dead_letter"`
	Decision   string `v:"decision"`
	Index      uint64 `v:"index"`
}

// idRequest names a decision or a dead letter.
type idRequest struct {
	ID string `v:"id"`
}

type decisionAnswer struct {
	Stage string `v:"stage"`
	Key   string `v:"key"`
}

type lettersRequest struct {
	Group  uint64                `v:"group"`
	Code   string                `v:"code"`
	Type   string                `v:"type"`
	After  *operators.DeadLetter `v:"after"` // only its id and log time
	Limit  int64                 `v:"limit"`
	Shards []byte                `v:"shards"` // a shardSet
}

type lettersAnswer struct {
	Letters []operators.DeadLetter `v:"letters"`
	More    bool                   `v:"more"`   // there are more than fit into an answer
	Shards  []byte                 `v:"shards"` // a shardSet: those asked for that the group serves; the letters are theirs
}

type skipRequest struct {
	Group   uint64 `v:"group"`
	Index   uint64 `v:"index"`
	Message uint64 `v:"message"`
}

type transferRequest struct {
	Group uint64 `v:"group"`
	Node  string `v:"node"`
}

// raiseRequest asks for a feature level to be put in force in a group.
type raiseRequest struct {
	Group uint64 `v:"group"`
	Level uint64 `v:"level"`
}

// advanceRequest lets a group's merge pass everything up to a log time.
type advanceRequest struct {
	Group uint64     `v:"group"`
	Limit state.Time `v:"limit"`
}

// advanceAnswer is a group.MergeState.
type advanceAnswer struct {
	Tenure uint64     `v:"tenure"`
	Index  uint64     `v:"index"`
	Head   state.Time `v:"head"`
	Known  bool       `v:"known"`
	Quiet  bool       `v:"quiet"`
}

// lanesRequest carries what groups have for groups that the other node leads.
type lanesRequest struct {
	Lanes []core.Lane    `v:"lanes"`
	Acks  []core.LaneAck `v:"acks"`
}

type groupRequest struct {
	Group uint64 `v:"group"`
}

// openedAnswer is which topics a group has open in its log, and which shards it
// believes to have moved.
type openedAnswer struct {
	Topics []openTopic  `v:"topics"`
	Moved  []movedShard `v:"moved"`
}

type openTopic struct {
	Alias string `v:"alias"`
	ID    string `v:"id"`
}

// movedShard is a core.Placement.
type movedShard struct {
	Shard   uint64 `v:"shard"`
	Group   uint64 `v:"group"`
	Version uint64 `v:"version"`
}

type shardsAnswer struct {
	Shards []shardStatus `v:"shards"`
}

// shardStatus is a connectors.ShardStatus.
type shardStatus struct {
	Shard  int64  `v:"shard"`
	Group  int64  `v:"group"`
	Index  uint64 `v:"index"`
	Digest string `v:"digest"`
}

// moveRequest begins to move a shard to a group, or asks the group whether it
// is moving one.
type moveRequest struct {
	Shard uint64 `v:"shard"`
	Group uint64 `v:"group"`
}

// importRequest is a step of taking a shard in.
type importRequest struct {
	Group  uint64      `v:"group"`
	Import core.Import `v:"import"`
}

// statusAnswer is a connectors.NodeStatus.
type statusAnswer struct {
	Peer     string        `v:"peer"`
	HTTP     string        `v:"http"`
	Version  string        `v:"version"`
	Ready    bool          `v:"ready"`
	NotReady string        `v:"not_ready"`
	Groups   []groupStatus `v:"groups"`
	Knows    uint64        `v:"knows"`
}

// groupStatus is a connectors.GroupStatus.
type groupStatus struct {
	Group         int64      `v:"group"`
	Replica       string     `v:"replica"`
	Leader        string     `v:"leader"`
	Role          string     `v:"role"`
	Damaged       string     `v:"damaged"`
	Term          uint64     `v:"term"`
	Commit        uint64     `v:"commit"`
	Applied       uint64     `v:"applied"`
	Written       uint64     `v:"written"`
	LogTime       state.Time `v:"log_time"`
	OutboxRecords int64      `v:"outbox_records"`
	LaneMessages  int64      `v:"lane_messages"`
	OutboxOldest  state.Time `v:"outbox_oldest"`
	Delivery      string     `v:"delivery"`
	Halted        string     `v:"halted"`
	SnapshotIndex uint64     `v:"snapshot_index"`
	Voters        int64      `v:"voters"`
	DeadLettered  int64      `v:"dead_lettered"`
	ShardsFrozen  int64      `v:"shards_frozen"`
	Level         uint64     `v:"level"`
}
