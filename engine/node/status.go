package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
)

// statusTimeout bounds how long another node may take to describe itself.
const statusTimeout = 2 * time.Second

// Roles of a replica beside Raft's.
const (
	roleDamaged = "damaged"
	roleJoining = "joining"
)

// Status implements [connectors.Cluster].
func (n *Node) Status(ctx context.Context) (connectors.Status, error) {
	cfg, id := &n.cfg, n.dir.now()
	s := connectors.Status{
		Node: cfg.ID, Cluster: cfg.Cluster, Version: cfg.Version, Durability: cfg.Durability, Clock: cfg.Clock,
		FeatureLevel: int(n.cfg.knows), LevelInForce: int(n.lowestLevel()), Incarnation: id.Incarnation, Fingerprint: cfg.Fingerprint, Started: n.started,
	}
	s.NotReady = n.notReady()
	s.Ready = s.NotReady == ""
	if !n.isFormed() {
		return s, nil
	}
	inputs := newInputList(n)
	for _, slot := range n.slots {
		one, err := slot.status(ctx)
		if err != nil {
			return s, err
		}
		s.Groups = append(s.Groups, one.GroupStatus)
		inputs.add(&one)
	}
	s.Inputs = inputs.finish()
	return s, nil
}

// status describes the replica, or why there is none.
func (s *slot) status(ctx context.Context) (group.Status, error) {
	s.mu.Lock()
	g, damaged, doing := s.g, s.damaged, s.doing
	s.mu.Unlock()
	if g == nil {
		var one group.Status
		one.Group, one.Replica, one.Role = s.id, s.replica(), roleDamaged
		one.Leader = s.n.peers.serving(s.id)
		if one.Damaged = damaged + "; " + doing; damaged == "" {
			one.Role, one.Damaged = roleJoining, "being opened"
		}
		return one, nil
	}
	one, err := g.Status(ctx)
	one.Replica = s.replica()
	for _, d := range g.Digests() {
		one.Digests = append(one.Digests, connectors.DigestStatus{Index: d.Index, Digest: d.Sum.String()})
	}
	if g.Err() == nil && s.state().Generation != founding && !g.VotesHere() {
		one.Role, one.Damaged = roleJoining, doing
	}
	return one, err
}

// Nodes implements [connectors.Cluster].
func (n *Node) Nodes(ctx context.Context) ([]connectors.NodeStatus, error) {
	if !n.isFormed() {
		return n.candidates(ctx), nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	members := n.dir.now().Members
	list := make([]connectors.NodeStatus, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() {
			a, err := n.statusOf(ctx, m.ID)
			if err != nil {
				list[i] = connectors.NodeStatus{Node: m.ID, Peer: m.Peer, HTTP: m.HTTP, State: stateWord(m.State), Unreachable: err.Error()}
				return
			}
			list[i] = a.status(m)
			if v := n.peers.of(m.ID); v.fresh() {
				list[i].ClockAhead, list[i].Differs = v.ahead, v.differs
			}
		})
	}
	asked.Wait()
	return list, nil
}

func (n *Node) statusOf(ctx context.Context, node string) (*statusAnswer, error) {
	if node == n.cfg.ID {
		return n.ownStatus(ctx)
	}
	return call[statusAnswer](ctx, n, node, callStatus, &nothing{})
}

// candidates are the nodes that are to join a cluster which is not formed.
func (n *Node) candidates(ctx context.Context) (list []connectors.NodeStatus) {
	for _, f := range n.meet(ctx) {
		if f.err != nil {
			list = append(list, connectors.NodeStatus{Peer: f.address, Unreachable: f.err.Error()})
			continue
		}
		list = append(list, connectors.NodeStatus{Node: f.said.Node, Peer: f.address, HTTP: f.said.HTTP, Version: f.said.Version, NotReady: waitingForInit})
	}
	slices.SortFunc(list, func(a, b connectors.NodeStatus) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Peer, b.Peer))
	})
	return list
}

// ownStatus is what this node answers to Nodes.
func (n *Node) ownStatus(ctx context.Context) (*statusAnswer, error) {
	s, err := n.Status(ctx)
	if err != nil {
		return nil, err
	}
	a := &statusAnswer{Peer: n.advertised(), HTTP: n.cfg.HTTP, Version: s.Version, Ready: s.Ready, NotReady: s.NotReady, Knows: n.cfg.knows}
	for i := range s.Groups {
		g := &s.Groups[i]
		a.Groups = append(a.Groups, groupStatus{
			Group: int64(g.Group), Replica: g.Replica, Leader: g.Leader, Role: g.Role, Damaged: g.Damaged,
			Term: g.Term, Commit: g.Commit, Applied: g.Applied, Written: g.Written, LogTime: g.LogTime,
			OutboxRecords: int64(g.OutboxRecords), LaneMessages: int64(g.LaneMessages), OutboxOldest: g.OutboxOldest, Delivery: g.Delivery, Halted: g.Halted,
			SnapshotIndex: g.SnapshotIndex, Voters: int64(g.Voters), DeadLettered: int64(g.DeadLettered), ShardsFrozen: int64(g.ShardsFrozen), Level: g.Level,
		})
	}
	return a, nil
}

// status is what a member says of itself, in the API's words.
func (a *statusAnswer) status(m member) connectors.NodeStatus {
	s := connectors.NodeStatus{Node: m.ID, Peer: cmp.Or(a.Peer, m.Peer), HTTP: a.HTTP, State: stateWord(m.State), Version: a.Version, Ready: a.Ready, NotReady: a.NotReady, FeatureLevel: int(a.Knows)}
	for i := range a.Groups {
		g := &a.Groups[i]
		s.Groups = append(s.Groups, connectors.GroupStatus{
			Group: int(g.Group), Replica: g.Replica, Leader: g.Leader, Role: g.Role, Damaged: g.Damaged,
			Term: g.Term, Commit: g.Commit, Applied: g.Applied, Written: g.Written, LogTime: g.LogTime,
			OutboxRecords: int(g.OutboxRecords), LaneMessages: int(g.LaneMessages), OutboxOldest: g.OutboxOldest, Delivery: g.Delivery, Halted: g.Halted,
			SnapshotIndex: g.SnapshotIndex, Voters: int(g.Voters), DeadLettered: int(g.DeadLettered), ShardsFrozen: int(g.ShardsFrozen), Level: g.Level,
		})
	}
	return s
}

// Shards implements [connectors.Cluster]: of this node's replicas where they
// vote, of the leaders' where not.
func (n *Node) Shards(ctx context.Context) ([]connectors.ShardStatus, error) {
	var all []connectors.ShardStatus
	for id := range n.cfg.Groups {
		var a *shardsAnswer
		var err error
		q := &groupRequest{Group: uint64(id)}
		if g := n.group(id); g != nil && g.VotesHere() {
			a, err = n.shardsHere(ctx, q)
		} else {
			a, err = forward(ctx, n, id, callShards, reads, q, func() (*shardsAnswer, error) { return n.shardsHere(ctx, q) })
		}
		if err != nil {
			return nil, err
		}
		for _, s := range a.Shards {
			all = append(all, connectors.ShardStatus{Shard: int(s.Shard), Group: int(s.Group), Index: s.Index, Digest: s.Digest})
		}
	}
	return all, nil
}

func (n *Node) shardsHere(ctx context.Context, q *groupRequest) (*shardsAnswer, error) {
	g, err := n.groupAsked(q.Group)
	if err != nil {
		return nil, err
	}
	list, err := g.Shards(ctx)
	if err != nil {
		return nil, err
	}
	a := &shardsAnswer{}
	for _, s := range list {
		a.Shards = append(a.Shards, shardStatus{Shard: int64(s.Shard), Group: int64(s.Group), Index: s.Index, Digest: s.Digest})
	}
	return a, nil
}

// Ready waits until this node does its part: the cluster is formed, every group
// has a leader, this node's replicas vote and are caught up, and of the groups
// led here the topics that others refer to have been read. It returns early
// with ctx's error.
func (n *Node) Ready(ctx context.Context) error {
	for {
		why := n.notReady()
		if why == "" {
			return nil
		}
		if !n.pause(ctx) {
			return fmt.Errorf("not ready: %s: %w", why, ctx.Err())
		}
	}
}

// notReady says what is missing, "" for nothing.
func (n *Node) notReady() string {
	if !n.isFormed() {
		if why := n.outside.Load(); why != nil {
			return *why
		}
		return waitingForInit
	}
	for _, s := range n.slots {
		if why := s.notReady(); why != "" {
			return why
		}
	}
	return n.inputs.notReady()
}

func (s *slot) notReady() string {
	s.mu.Lock()
	g, doing := s.g, s.doing
	s.mu.Unlock()
	switch {
	case g == nil && doing == "":
		return fmt.Sprintf("group %d is being opened", s.id)
	case g == nil:
		return fmt.Sprintf("group %d is damaged on this node: %s", s.id, doing)
	case g.Err() != nil:
		return fmt.Sprintf("group %d stopped: %v", s.id, g.Err())
	case g.Halted():
		return fmt.Sprintf("group %d is halted", s.id)
	case g.Leading():
		return ""
	case !g.VotesHere() && s.state().Generation != founding:
		return fmt.Sprintf("group %d has a new replica on this node: %s", s.id, cmp.Or(doing, "joining"))
	case s.n.leaderOf(s.id) == "":
		return fmt.Sprintf("group %d has no leader", s.id)
	}
	committed, ok := s.n.peers.committed(s.id)
	switch applied := g.Applied(); {
	case !ok:
		return fmt.Sprintf("group %d: the other members are being asked how far they are", s.id)
	case applied < committed:
		return fmt.Sprintf("group %d is catching up: %d of %d entries", s.id, applied, committed)
	}
	return ""
}
