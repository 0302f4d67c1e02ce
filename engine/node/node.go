package node

import (
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
)

// Node is one process of a cluster. It implements [connectors.Cluster].
type Node struct {
	cfg       Config
	dir       *directory
	port      *peer.Port
	slots     []*slot // by group
	slotsOpen bool    // used by Open, then by Run
	inputs    *inputs
	lanes     *lanes
	places    places
	mover     *mover
	watchers  watchers
	peers     peers
	started   time.Time
	instance  string        // of this process
	opened    chan struct{} // closed when the node can answer calls

	initMu     sync.Mutex // held by Init
	formOnce   sync.Once
	isMember   chan struct{}          // closed when this node is a member of a formed cluster
	outside    atomic.Pointer[string] // why it is not one yet
	ownAddress atomic.Pointer[string] // that of the addresses to join which is this node's
	met        atomic.Bool            // it was looked for

	requests  atomic.Int64 // that wait for a leader or for another node
	forwarded callCounter
	stalled   chan error // told of a disk that hangs

	changeMu sync.Mutex    // guards changes
	changes  chan struct{} // closed and renewed when anything may have changed
}

var _ connectors.Cluster = (*Node)(nil)

// ErrStalled is wrapped by what Run returns when a disk hangs: some goroutines
// may never return then, and the process must exit.
var ErrStalled = errors.New("disk hangs")

// Open checks the configuration, takes the data directory and opens what is in
// it. Nothing runs before [Node.Run], but other nodes get answers; a node that
// is not run must be closed.
func Open(cfg Config) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: time.Now(), instance: rand.Text(), opened: make(chan struct{}), isMember: make(chan struct{}),
		stalled: make(chan error, 1), changes: make(chan struct{})}
	n.peers.views = map[string]*view{}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	cfg.Metrics.Watch("node", n.scrape)
	return n, nil
}

func (n *Node) open() (err error) {
	if n.dir, err = openDirectory(&n.cfg); err != nil {
		return err
	}
	n.places.init(n.cfg.Shards, n.cfg.Groups)
	n.mover = &mover{n: n, busy: map[part]bool{}}
	for id := range n.cfg.Groups {
		n.slots = append(n.slots, &slot{n: n, id: id})
	}
	if n.port, err = peer.Listen(peer.Options{Address: n.cfg.Peer, Listener: n.cfg.Listener, Cluster: n.cfg.Cluster, Node: n.cfg.ID,
		Resolve: n.resolve, Admits: n.admits, Knew: n.knew, Incarnation: n.incarnation, Handle: n.handle, TLS: n.cfg.PeerTLS, Dial: n.cfg.Dial, Log: n.cfg.Log}); err != nil {
		return err
	}
	n.inputs, n.lanes = newInputs(n), newLanes(n)
	if id := n.dir.now(); id.Stage != stageFormed && len(n.cfg.Join) <= 1 {
		if err := n.formAlone(); err != nil {
			return err
		}
	}
	if id := n.dir.now(); id.Stage == stageFormed {
		n.formed()
		if err := n.openSlots(); err != nil {
			return err
		}
	}
	close(n.opened)
	return nil
}

// openSlots opens the replicas, once this node is a member.
func (n *Node) openSlots() error {
	n.slotsOpen = true
	for _, s := range n.slots {
		if err := s.open(); err != nil {
			return err
		}
	}
	return nil
}

// isAlone says whether this node is the whole cluster.
func (n *Node) isAlone() bool { return len(n.dir.now().Members) == 1 }

func (n *Node) groupConfig(id int) group.Config {
	cfg := &n.cfg
	tables := core.Tables(cfg.Plan)
	first := map[string]bool{}
	for _, t := range cfg.Plan.Topics {
		first[t.Alias] = t.First
	}
	identity := n.dir.now()
	var founders []string // of which this replica is one
	if r := identity.Replicas[id]; r.Generation == founding && (!r.Made || len(identity.Members) == 1) {
		for _, node := range identity.founders() {
			founders = append(founders, replicaID(node, founding))
		}
	}
	return group.Config{
		Dir: n.dir.groupDir(id), Cluster: cfg.Cluster, Replica: n.slots[id].replica(), Voters: founders, Level: identity.Level,
		Core: core.Config{
			Plan: cfg.Plan, Codec: cfg.Codec, Shards: cfg.Shards, Group: id, Groups: cfg.Groups,
			GroupOf:     func(s state.Shard) int { return firstGroup(s, cfg.Shards, cfg.Groups) },
			Incarnation: identity.Incarnation, Lateness: state.Time(cfg.Lateness.Microseconds()), Clock: core.Clock(cfg.Clock),
			Fields: cfg.Fields, Knows: cfg.knows,
		},
		Durability: raftlog.Durability(cfg.Durability),
		OpenStore: func(dir string, copy bool) (group.Store, error) {
			return cfg.OpenStore(StoreOptions{Group: id, Dir: dir, Copy: copy, Tables: tables, HotMemory: cfg.HotMemory / int64(cfg.Groups)})
		},
		NewSink: func() (connectors.Sink, error) {
			return cfg.NewSink(SinkOptions{Cluster: cfg.Cluster, Incarnation: identity.Incarnation, Group: id, Groups: cfg.Groups})
		},
		Encoder: cfg.Encoder, Gap: leader.GapPolicy(cfg.OnGap), First: func(alias string) bool { return first[alias] },
		Limits: leader.Limits{OutboxBytes: cfg.MaxOutboxBytes}, MaxRequests: cfg.MaxRequests,
		SnapshotBytes: cfg.SnapshotBytes,
		Port:          n.port, Records: n.watchers.publish, Placed: n.places.take, Changed: n.changed,
		Fetch:    func(tenure uint64, actions []leader.Action) { n.inputs.tell(id, tenure, actions) },
		SendLane: n.lanes.send, SendLaneAck: n.lanes.acknowledge,
		Stalled: n.stall, Log: cfg.Log, Metrics: cfg.Metrics.Group(id), Disk: cfg.Disk,
	}
}

// changed wakes all who wait for a change.
func (n *Node) changed() {
	n.changeMu.Lock()
	defer n.changeMu.Unlock()
	close(n.changes)
	n.changes = make(chan struct{})
}

// change is closed at the next change.
func (n *Node) change() <-chan struct{} {
	n.changeMu.Lock()
	defer n.changeMu.Unlock()
	return n.changes
}

// PeerAddr is the address that the nodes' Raft traffic listens on.
func (n *Node) PeerAddr() string { return n.port.Addr().String() }

// advertised is where other nodes can reach this one, "" if it can't tell.
func (n *Node) advertised() string {
	if own := n.ownAddress.Load(); own != nil {
		return *own
	}
	a, ok := n.port.Addr().(*net.TCPAddr)
	if ok && a.IP.IsUnspecified() || len(n.cfg.Join) > 0 && !n.met.Load() {
		return ""
	}
	return n.PeerAddr()
}
