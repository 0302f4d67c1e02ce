package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

// The list of members is a row of the first group, changed by one entry after
// the other, each made from the list that the one before it left. A node that
// applies a change, or hears of one that it has missed, keeps it in node.json:
// that is the list it goes by. So a node may be behind the others for a while,
// and what must not be decided by an old list asks the first group's leader.
//
// A change is decided first and carried out afterwards, by whoever leads then
// (membershiptend.go): nothing hangs on the node that was asked, and asking
// again goes on.

// States of a member. One that takes full part has none.
const (
	memberJoining  = "joining"  // its replicas are on their way into the groups
	memberDraining = "draining" // leads nothing
	memberLeaving  = "leaving"  // and its replicas are being removed
)

// stateWord is a member's state for people.
func stateWord(state string) string {
	if state == "" {
		return "member"
	}
	return state
}

// ErrRemoved: the node is no member of the cluster any more.
var ErrRemoved = errors.New("node was removed from the cluster")

// goneKept is how many removed nodes are remembered, so that they can be told.
const goneKept = 64

// errUnchanged ends a change of the identity that would change nothing.
var errUnchanged = errors.New("unchanged")

// founders are the nodes that formed the cluster.
func (id *identity) founders() []string {
	if id.Founders != nil {
		return id.Founders
	}
	return memberIDs(id.Members)
}

// list is the list of members as the first group keeps it.
func (id *identity) list() *core.Members {
	m := &core.Members{ClusterID: id.ClusterID, Version: id.Version, Gone: slices.Clone(id.Gone)}
	for _, one := range id.Members {
		m.List = append(m.List, core.Member{ID: one.ID, Peer: one.Peer, HTTP: one.HTTP, State: one.State})
	}
	return m
}

// learn takes a newer list. Where a member is now is known better here than by
// the list, which says where it was when the list was changed.
func (id *identity) learn(m *core.Members) {
	if id.Founders == nil {
		id.Founders = memberIDs(id.Members)
	}
	var next []member
	for _, one := range m.List {
		to := member{ID: one.ID, Peer: one.Peer, HTTP: one.HTTP, State: one.State}
		if old := id.member(one.ID); old != nil {
			to.Peer, to.HTTP = old.Peer, old.HTTP
		}
		next = append(next, to)
	}
	id.Members, id.Gone, id.Version = next, slices.Clone(m.Gone), m.Version
	if id.member(id.Node) == nil {
		id.Stage = stageRemoved
	}
}

// learn keeps a list if it is newer. An error means that this node's directory
// can't be written.
func (n *Node) learn(m *core.Members) error {
	newer := func(id *identity) bool {
		return id.Stage == stageFormed && m.ClusterID == id.ClusterID && m.Version > id.Version
	}
	if id := n.dir.now(); !newer(&id) {
		return nil
	}
	err := n.dir.change(func(id *identity) error {
		if !newer(id) {
			return errUnchanged
		}
		id.learn(m)
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	id := n.dir.now()
	n.peers.keep(id.Members)
	n.cfg.Log.Info("members changed", "version", m.Version, "members", id.describe())
	n.changed()
	return nil
}

// describe lists the members with their states.
func (id *identity) describe() (list []string) {
	for _, m := range id.Members {
		if m.State != "" {
			m.ID += " (" + m.State + ")"
		}
		list = append(list, m.ID)
	}
	return list
}

// learnFrom takes the list that another node has, if it is newer.
func (n *Node) learnFrom(h *hello) error {
	if h.Stage != string(stageFormed) {
		return nil
	}
	said := identity{ClusterID: h.ClusterID, Version: h.Changes, Members: h.Members, Gone: h.Gone}
	return n.learn(said.list())
}

// keep forgets all but the members.
func (p *peers) keep(members []member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node := range p.views {
		if !slices.ContainsFunc(members, func(m member) bool { return m.ID == node }) {
			delete(p.views, node)
		}
	}
}

// mayLead says whether a node may get leaderships.
func (n *Node) mayLead(node string) bool {
	id := n.dir.now()
	m := id.member(node)
	return m != nil && m.State != memberDraining && m.State != memberLeaving
}

// isLeaving says whether this node is to be out of all groups.
func (n *Node) isLeaving() bool {
	id := n.dir.now()
	m := id.member(n.cfg.ID)
	return m == nil || m.State == memberLeaving
}

// joinsFirst is the group in front of one that a joining node's replica is let
// into first, -1 for none: one after the other, each while it can spare a leader.
func (n *Node) joinsFirst(id int) int {
	identity := n.dir.now()
	if m := identity.member(n.cfg.ID); m == nil || m.State != memberJoining {
		return -1
	}
	for first := range id {
		if g := n.group(first); g == nil || !g.VotesHere() {
			return first
		}
	}
	return -1
}

// belongs says whether a node may have replicas: it is a member, and to stay
// one. One that this node does not know may be newer than its list.
func (n *Node) belongs(ctx context.Context, node string) (bool, error) {
	id := n.dir.now()
	if id.member(node) == nil {
		if err := n.askMembers(ctx); err != nil {
			return false, fmt.Errorf("whether node %s is a member: %w", node, err)
		}
		id = n.dir.now()
	}
	m := id.member(node)
	return m != nil && m.State != memberLeaving, nil
}

// askMembers learns the list from the first group's leader.
func (n *Node) askMembers(ctx context.Context) error {
	q := &membersRequest{}
	a, err := forward(ctx, n, 0, callMembers, reads, q, func() (*membersAnswer, error) { return n.membersHere(ctx, q) })
	if err != nil {
		return err
	}
	return n.learn(&a.Members)
}

// giveUp hands a leadership to a member that may lead, if there is one that is
// fit for it, else to any other that answers.
func (n *Node) giveUp(ctx context.Context, id int, g *group.Group) error {
	members := n.dir.now().Members
	if !slices.ContainsFunc(members, func(m member) bool { return !n.mayLead(m.ID) }) {
		return g.Transfer(ctx, "")
	}
	for _, m := range members {
		if m.ID == n.cfg.ID || !n.couldLead(m.ID, id) {
			continue
		}
		if err := g.Transfer(ctx, m.ID); err == nil {
			return nil
		}
	}
	return g.Transfer(ctx, "")
}
