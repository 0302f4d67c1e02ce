package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
)

// Node is one process of a cluster. It implements [connectors.Cluster].
type Node struct {
	cfg      Config
	dir      *directory
	port     *group.Port
	groups   []*group.Group
	inputs   *inputs
	watchers watchers
	started  time.Time

	changeMu sync.Mutex    // guards changes
	changes  chan struct{} // closed and renewed when anything may have changed
}

var _ connectors.Cluster = (*Node)(nil)

// Open checks the configuration, takes the data directory and opens what is in
// it. Nothing runs before [Node.Run]; a node that is not run must be closed.
func Open(cfg Config) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: time.Now(), changes: make(chan struct{})}
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
	if n.port, err = group.Listen(n.cfg.Peer, n.cfg.Cluster, n.resolve, n.cfg.Log); err != nil {
		return err
	}
	n.inputs = newInputs(n)
	for id := range n.cfg.Groups {
		g, err := group.Open(n.groupConfig(id))
		if err != nil {
			return err
		}
		n.groups = append(n.groups, g)
	}
	return nil
}

// resolve says where a replica can be reached. A cluster of one node has no
// other replicas.
func (n *Node) resolve(replica string) (string, error) {
	if group.NodeOf(replica) == n.cfg.ID {
		return n.PeerAddr(), nil
	}
	return "", fmt.Errorf("no node of this cluster has replica %s", replica)
}

// groupOf is the placement: shards lie in the groups in equal stretches.
func (n *Node) groupOf(s state.Shard) int {
	if int(s) >= n.cfg.Shards { // a group's own shard
		return int(s) - n.cfg.Shards
	}
	return int(s) * n.cfg.Groups / n.cfg.Shards
}

// groupOfKey is the group that a key belongs to.
func (n *Node) groupOfKey(key string) *group.Group {
	return n.groups[n.groupOf(state.ShardOf(key, n.cfg.Shards))]
}

// shardsOf lists a group's shards, its own one last.
func (n *Node) shardsOf(id int) (list []state.Shard) {
	for s := range n.cfg.Shards {
		if n.groupOf(state.Shard(s)) == id {
			list = append(list, state.Shard(s))
		}
	}
	return append(list, core.GroupShard(n.cfg.Shards, id))
}

func (n *Node) groupConfig(id int) group.Config {
	cfg := &n.cfg
	tables := core.Tables(cfg.Plan)
	first := map[string]bool{}
	for _, t := range cfg.Plan.Topics {
		first[t.Alias] = t.First
	}
	return group.Config{
		Dir: n.dir.groupDir(id), Cluster: cfg.Cluster, Replica: n.dir.replica(), Voters: []string{n.dir.replica()},
		Core: core.Config{
			Plan: cfg.Plan, Codec: cfg.Codec, Shards: cfg.Shards, Group: id, Groups: cfg.Groups, GroupOf: n.groupOf,
			Incarnation: n.dir.Incarnation, Lateness: state.Time(cfg.Lateness.Microseconds()), Clock: core.Clock(cfg.Clock),
			Fields: cfg.Fields,
		},
		Shards: n.shardsOf(id), Durability: raftlog.Durability(cfg.Durability),
		OpenStore: func(dir string) (group.Store, error) {
			return cfg.OpenStore(StoreOptions{Group: id, Dir: dir, Tables: tables, HotMemory: cfg.HotMemory / int64(cfg.Groups)})
		},
		NewSink: func() (connectors.Sink, error) {
			return cfg.NewSink(SinkOptions{Cluster: cfg.Cluster, Incarnation: n.dir.Incarnation, Group: id, Groups: cfg.Groups})
		},
		Encoder: cfg.Encoder, Gap: leader.GapPolicy(cfg.OnGap), First: func(alias string) bool { return first[alias] },
		Limits: leader.Limits{OutboxBytes: cfg.MaxOutboxBytes}, MaxRequests: cfg.MaxRequests,
		Port: n.port, Records: n.watchers.publish, Fetch: n.inputs.tell, Changed: n.changed,
		SendLane:    func(l *core.Lane) { n.groups[n.groupOf(state.Shard(l.To))].Lane(l) },
		SendLaneAck: func(a core.LaneAck) { n.groups[n.groupOf(state.Shard(a.From))].LaneAcked(a) },
		Log:         cfg.Log, Metrics: cfg.Metrics.Group(id), Disk: cfg.disk,
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

// Run serves until ctx ends, then stops in order: sources, proposals in
// flight, log and state. It returns nil after an orderly stop, otherwise why
// the node had to stop. It closes the node.
func (n *Node) Run(ctx context.Context) error {
	var (
		groups  sync.WaitGroup
		mu      sync.Mutex // guards faults
		faults  []error
		stopped = make(chan struct{}, len(n.groups)+1)
	)
	groupCtx, stopGroups := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGroups()
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			faults = append(faults, err)
		}
		stopped <- struct{}{}
	}
	for _, g := range n.groups {
		groups.Go(func() { note(g.Run(groupCtx)) })
	}
	inputCtx, stopInputs := context.WithCancel(ctx)
	defer stopInputs()
	inputsDone := make(chan struct{})
	go func() {
		defer close(inputsDone)
		if err := n.inputs.run(inputCtx); err != nil {
			note(err)
		}
	}()
	select {
	case <-ctx.Done():
	case <-stopped:
	}
	stopInputs()
	<-inputsDone
	stopGroups()
	groups.Wait()
	return errors.Join(append(faults, n.release())...)
}

// Close releases a node that was never run.
func (n *Node) Close() error {
	var errs []error
	for _, g := range n.groups {
		errs = append(errs, g.Close())
	}
	return errors.Join(append(errs, n.release())...)
}

// release gives port and directory back.
func (n *Node) release() error {
	var errs []error
	if n.port != nil {
		errs = append(errs, n.port.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}

// Ready waits until this node can decide: every group leads and has applied
// its log, and the topics that others refer to have been read. It returns early
// with ctx's error.
func (n *Node) Ready(ctx context.Context) error {
	for {
		change := n.change()
		why := n.notReady()
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %s: %w", why, ctx.Err())
		case <-change:
		}
	}
}

// notReady says what is missing, "" for nothing.
func (n *Node) notReady() string {
	for id, g := range n.groups {
		if err := g.Err(); err != nil {
			return fmt.Sprintf("group %d stopped: %v", id, err)
		}
		if g.Halted() {
			return fmt.Sprintf("group %d is halted", id)
		}
		if !g.Leading() {
			return fmt.Sprintf("group %d has no leader", id)
		}
	}
	return n.inputs.notReady()
}
