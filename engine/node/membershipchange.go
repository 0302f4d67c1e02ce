package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

// Changes of the list of members.
const (
	actionAdd    = "add"
	actionDrain  = "drain"
	actionUndo   = "undo" // a drain
	actionRemove = "remove"
	actionJoined = "joined" // by the leader: a joining node votes everywhere
	actionGone   = "gone"   // by the leader: a leaving node has no replica any more
)

// membersTries is how often a change is made anew because another came between.
const membersTries = 10

// AddNode implements [connectors.Cluster].
func (n *Node) AddNode(ctx context.Context, node, peer string) (connectors.Membership, error) {
	return n.changeMembers(ctx, &membersRequest{Action: actionAdd, Node: node, Peer: peer})
}

// DrainNode implements [connectors.Cluster].
func (n *Node) DrainNode(ctx context.Context, node string, undo bool) (connectors.Membership, error) {
	q := &membersRequest{Action: actionDrain, Node: node}
	if undo {
		q.Action = actionUndo
	}
	return n.changeMembers(ctx, q)
}

// RemoveNode implements [connectors.Cluster].
func (n *Node) RemoveNode(ctx context.Context, node string, force bool) (connectors.Membership, error) {
	return n.changeMembers(ctx, &membersRequest{Action: actionRemove, Node: node, Force: force})
}

// changeMembers has the first group's leader change the list. All changes are
// such that asking again is safe.
func (n *Node) changeMembers(ctx context.Context, q *membersRequest) (connectors.Membership, error) {
	a, err := forward(ctx, n, 0, callMembers, writes, q, func() (*membersAnswer, error) { return n.membersHere(ctx, q) })
	if err != nil {
		return connectors.Membership{}, err
	}
	m := connectors.Membership{Node: q.Node, State: "removed", Members: len(a.Members.List), Version: a.Members.Version}
	if i := find(&a.Members, q.Node); i >= 0 {
		m.State = stateWord(a.Members.List[i].State)
	}
	return m, n.learn(&a.Members)
}

func find(m *core.Members, node string) int {
	return slices.IndexFunc(m.List, func(one core.Member) bool { return one.ID == node })
}

// membersHere changes the list on the node that leads the first group. Without
// an action, or one that has been carried out, it is as it is.
func (n *Node) membersHere(ctx context.Context, q *membersRequest) (*membersAnswer, error) {
	for range membersTries {
		now, err := n.newestMembers(ctx)
		if err != nil {
			return nil, err
		}
		next := now.Clone()
		if err := n.changeList(ctx, next, q); errors.Is(err, errUnchanged) {
			return &membersAnswer{Members: *now}, n.learn(now)
		} else if err != nil {
			return nil, err
		}
		next.Version++
		taken, err := n.propose(ctx, next)
		if err != nil {
			return nil, err
		}
		if taken {
			return &membersAnswer{Members: *next}, n.learn(next)
		}
	}
	return nil, fmt.Errorf("%w: the members change all the time", connectors.ErrUnavailable)
}

// newestMembers is the list with all changes that were ever acknowledged. Before
// the first, all nodes have the one that they formed the cluster with.
func (n *Node) newestMembers(ctx context.Context) (list *core.Members, err error) {
	err = n.atLeader(0, func(g *group.Group) error {
		if err := g.Fresh(ctx, connectors.Linearizable); err != nil {
			return err
		}
		list, err = g.Nodes()
		return err
	})
	if id := n.dir.now(); err == nil && (list == nil || list.ClusterID != id.ClusterID) {
		if list = id.list(); list.Version > 0 {
			err = fmt.Errorf("members are at change %d, the first group knows of none", list.Version)
		}
	}
	return list, err
}

// propose has the first group take a list. It returns false if another came
// before it.
func (n *Node) propose(ctx context.Context, next *core.Members) (taken bool, err error) {
	err = n.atLeader(0, func(g *group.Group) error {
		r, err := g.Control(ctx, core.Control{Kind: core.ControlMembers, Members: next})
		if err == nil && r.Outcome != core.OutcomeApplied && r.Code != core.CodeMembersChanged {
			err = fmt.Errorf("change of members refused: %s", r.Code)
		}
		taken = r.Outcome == core.OutcomeApplied
		return err
	})
	return taken, err
}

// changeList makes the change, or says why it must not be.
func (n *Node) changeList(ctx context.Context, list *core.Members, q *membersRequest) error {
	if q.Action == "" {
		return errUnchanged
	}
	at := find(list, q.Node)
	if q.Action == actionAdd {
		return n.addTo(ctx, list, at, q)
	}
	if at < 0 {
		if q.Action == actionRemove && slices.Contains(list.Gone, q.Node) || q.Action == actionGone {
			return errUnchanged
		}
		return fmt.Errorf("%w: node %s is not a member", connectors.ErrNotFound, q.Node)
	}
	m := &list.List[at]
	switch q.Action {
	case actionDrain:
		return n.drain(list, m)
	case actionUndo:
		return turn(m, memberDraining, "")
	case actionJoined:
		return turn(m, memberJoining, "")
	case actionRemove:
		return n.removeFrom(list, m, q.Force)
	case actionGone:
		if m.State != memberLeaving {
			return errUnchanged
		}
		list.List = slices.Delete(list.List, at, at+1)
		list.Gone = append(list.Gone, q.Node)
		list.Gone = list.Gone[max(0, len(list.Gone)-goneKept):]
		return nil
	}
	return fmt.Errorf("no change of members is named %s in this version", q.Action)
}

// turn moves a member from one state on. In another it stays.
func turn(m *core.Member, from, to string) error {
	switch {
	case m.State == from:
		m.State = to
		return nil
	case m.State == memberLeaving:
		return fmt.Errorf("node %s is being removed", m.ID)
	}
	return errUnchanged
}

// addTo lets a node in that answers, is new, and fits the cluster.
func (n *Node) addTo(ctx context.Context, list *core.Members, at int, q *membersRequest) error {
	if at >= 0 {
		switch m := &list.List[at]; {
		case m.State == memberLeaving:
			return fmt.Errorf("node %s is being removed; wait until it is out", q.Node)
		case m.State == memberJoining && m.Peer != q.Peer:
			return fmt.Errorf("node %s is joining already, at %s; remove it first if that is wrong", q.Node, m.Peer)
		}
		return errUnchanged
	}
	for _, m := range n.dir.now().Members {
		if m.Peer == q.Peer {
			return fmt.Errorf("%s is the address of node %s, a member", q.Peer, m.ID)
		}
	}
	h, err := n.newcomer(ctx, q)
	if err != nil {
		return err
	}
	list.List = append(list.List, core.Member{ID: q.Node, Peer: q.Peer, HTTP: h.HTTP, State: memberJoining})
	slices.SortFunc(list.List, func(a, b core.Member) int { return cmp.Compare(a.ID, b.ID) })
	list.Gone = slices.DeleteFunc(list.Gone, func(node string) bool { return node == q.Node })
	return nil
}

// newcomer looks at the node that is to be added.
func (n *Node) newcomer(ctx context.Context, q *membersRequest) (*hello, error) {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	h, err := callAddress[hello](ctx, n, q.Peer, callHello, n.hello())
	if err != nil {
		return nil, fmt.Errorf("node %s can't be added: it does not answer: %v", q.Node, err) // what it was is of no use to the caller
	}
	ours := settingsOf(&n.cfg)
	id := n.dir.now()
	switch d := ours.differences(&h.Settings); {
	case h.Node != q.Node:
		return nil, fmt.Errorf("node %s can't be added: node %s is at %s", q.Node, h.Node, q.Peer)
	case h.ClusterID == id.ClusterID && h.Stage != string(stageNew):
		return nil, fmt.Errorf("node %s can't be added: it was a member before and still has its data; start it with an empty directory", q.Node)
	case h.Stage != string(stageNew):
		return nil, fmt.Errorf("node %s can't be added: it is of another cluster, or being made a member of one; start it with an empty directory, and with the members' addresses and its own to join", q.Node)
	case h.Knows < n.level():
		return nil, fmt.Errorf("node %s can't be added: it knows feature level %d, the cluster is at %d", q.Node, h.Knows, n.level())
	case len(d) > 0:
		return nil, fmt.Errorf("node %s does not fit the cluster: %s", q.Node, strings.Join(d, ", "))
	}
	return h, nil
}

// drain takes the leaderships from a member, if another one remains for them.
func (n *Node) drain(list *core.Members, m *core.Member) error {
	switch m.State {
	case memberDraining:
		return errUnchanged
	case memberJoining, memberLeaving:
		return fmt.Errorf("node %s is %s: it can't be drained", m.ID, m.State)
	}
	if !slices.ContainsFunc(list.List, func(o core.Member) bool { return o.ID != m.ID && o.State == "" && n.isSound(o.ID) }) {
		return fmt.Errorf("node %s can't be drained: no other member could lead", m.ID)
	}
	m.State = memberDraining
	return nil
}

// removeFrom begins to take a member out: one that is drained, or does not count
// yet, or is dead, and without which the others are still a quorum.
func (n *Node) removeFrom(list *core.Members, m *core.Member, force bool) error {
	answers := m.ID == n.cfg.ID || n.peers.of(m.ID).fresh()
	switch {
	case m.State == memberLeaving:
		return errUnchanged
	case m.State == "" && answers:
		return fmt.Errorf("node %s is not drained: run `anabranch cluster drain %s` first", m.ID, m.ID)
	case m.State == "" && !force:
		return fmt.Errorf("node %s does not answer: if it never comes back, remove it with --force", m.ID)
	}
	remain, sound := 0, 0
	var others []string
	for _, o := range list.List {
		switch {
		case o.ID == m.ID:
		case o.State == memberLeaving:
			return fmt.Errorf("node %s is being removed; wait until it is out", o.ID)
		case n.isSound(o.ID):
			remain, sound = remain+1, sound+1
		case o.State != memberJoining: // one that joins does not count before it votes
			remain++
			others = append(others, o.ID)
		}
	}
	if need := remain/2 + 1; sound < need {
		return fmt.Errorf("node %s can't be removed: of the %d that would remain %d answer and vote in every group, %d have to%s",
			m.ID, remain, sound, need, named("; not so ", others))
	}
	m.State = memberLeaving
	return nil
}

func named(before string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return before + strings.Join(list, ", ")
}

// isSound says whether a member answers, and its replicas vote in every group.
func (n *Node) isSound(node string) bool {
	if node == n.cfg.ID {
		for id := range n.slots {
			if g := n.group(id); g == nil || g.Err() != nil || !g.VotesHere() {
				return false
			}
		}
		return true
	}
	v := n.peers.of(node)
	if !v.fresh() || v.said.Stage != string(stageFormed) {
		return false
	}
	for id := range n.slots {
		if r := v.said.replica(id); r == nil || !r.Healthy || !r.Votes {
			return false
		}
	}
	return true
}
