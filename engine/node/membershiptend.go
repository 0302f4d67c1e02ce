package node

import (
	"context"
	"fmt"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
)

const (
	tendEvery   = 200 * time.Millisecond // while a change of members is carried out
	tendTimeout = 2 * time.Second        // for one step of it
)

// tendMembers follows the list of members and carries out what this node has to
// do about it. An error means that the node was removed, or that its directory
// can't be written.
func (n *Node) tendMembers(ctx context.Context) error {
	t := tending{n: n}
	for ctx.Err() == nil {
		change := n.change()
		if err := n.follow(); err != nil {
			return err
		}
		if id := n.dir.now(); id.Stage == stageRemoved {
			return fmt.Errorf("%w: %s is no member since change %d of it; its data is of no use any more", ErrRemoved, n.cfg.ID, id.Version)
		}
		t.step(ctx)
		rest(ctx, change)
	}
	return nil
}

// rest waits for a change, but no shorter than a moment and no longer than the
// next look is due.
func rest(ctx context.Context, change <-chan struct{}) {
	if !wait(ctx, tendEvery) {
		return
	}
	t := time.NewTimer(greetEvery - tendEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-change:
	case <-t.C:
	}
}

// follow takes the list that this node's replica of the first group has applied.
func (n *Node) follow() error {
	g := n.group(0)
	if g == nil {
		return nil
	}
	list, err := g.Nodes()
	if err != nil || list == nil {
		return nil // between two states, or stopped: again soon
	}
	return n.learn(list)
}

// tending is one node's part in carrying changes out.
type tending struct {
	n    *Node
	said string // the last fault that was logged
}

// step does what there is to do. What fails is tried again.
func (t *tending) step(ctx context.Context) {
	n := t.n
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	own := n.mayLead(n.cfg.ID)
	n.each(func(id int, g *group.Group) {
		if !g.Leading() {
			return
		}
		if !own && t.othersCould(id) {
			n.cfg.Log.Info("handing over, as the node is drained", "group", id)
			t.note("leadership not handed over", n.giveUp(ctx, id, g))
			return
		}
		t.prune(ctx, g)
	})
	if g := n.group(0); g == nil || !g.Leading() {
		return
	}
	for _, m := range n.dir.now().Members {
		switch {
		case m.State == memberJoining && n.isSound(m.ID):
			t.note("member not let in", t.finish(ctx, actionJoined, m.ID))
		case m.State == memberJoining:
			t.welcome(ctx, m)
		case m.State == memberLeaving && t.isOut(m.ID):
			t.note("member not taken out", t.finish(ctx, actionGone, m.ID))
		}
	}
}

// note logs why something is still to be done, when that changes.
func (t *tending) note(what string, err error) {
	if err == nil || t.said == err.Error() {
		return
	}
	t.said = err.Error()
	t.n.cfg.Log.Warn(what, "err", err)
}

func (t *tending) finish(ctx context.Context, action, node string) error {
	_, err := t.n.membersHere(ctx, &membersRequest{Action: action, Node: node})
	return err
}

// othersCould says whether a member is fit to take a leadership: without one a
// drained node keeps it, which is better than that nobody leads.
func (t *tending) othersCould(id int) bool {
	for _, m := range t.n.dir.now().Members {
		if m.ID != t.n.cfg.ID && t.n.couldLead(m.ID, id) {
			return true
		}
	}
	return false
}

// prune takes the replicas of nodes that leave out of a group that is led here,
// and those that a leader with an old list has let in.
func (t *tending) prune(ctx context.Context, g *group.Group) {
	n := t.n
	members, _ := g.Members()
	for _, r := range members {
		node := peer.NodeOf(r.Replica)
		if node == n.cfg.ID {
			continue
		}
		belongs, err := n.belongs(ctx, node)
		if err == nil && !belongs {
			err = g.Remove(ctx, r.Replica)
		}
		t.note("replica not removed", err)
	}
}

// welcome tells a joining node that it is a member. It may not know where to ask.
func (t *tending) welcome(ctx context.Context, m member) {
	n := t.n
	if v := n.peers.of(m.ID); v.fresh() && v.said.Stage == string(stageFormed) {
		return
	}
	id := n.dir.now()
	q := &formRequest{ClusterID: id.ClusterID, Members: id.Members, Settings: settingsOf(&n.cfg), Changes: id.Version, Gone: id.Gone,
		Incarnation: id.life().incarnation, Snapshot: id.life().snapshot, Level: id.Level, InForce: n.level()}
	if _, err := callAddress[nothing](ctx, n, m.Peer, callFormed, q); err != nil {
		t.note("node that is to join does not take it", fmt.Errorf("%w: node %s: %w", connectors.ErrUnavailable, m.ID, err))
	}
}

// isOut says whether no group has a replica of a node, as the leaders say.
func (t *tending) isOut(node string) bool {
	n := t.n
	for id := range n.slots {
		var replicas []string
		if g := n.group(id); g != nil && g.Leading() {
			members, _ := g.Members()
			for _, m := range members {
				replicas = append(replicas, m.Replica)
			}
		} else if r := n.peers.of(n.peers.serving(id)).replicaOf(id); r != nil && r.Serves {
			replicas = r.Members
		}
		if len(replicas) == 0 {
			return false // nobody knows
		}
		for _, r := range replicas {
			if peer.NodeOf(r) == node {
				return false
			}
		}
	}
	return true
}
