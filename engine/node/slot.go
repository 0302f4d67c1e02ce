package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
)

// slot is this node's place for a replica of one group. The replica in it may
// be replaced by another one while the node runs.
type slot struct {
	n  *Node
	id int // of the group

	mu      sync.Mutex   // guards what follows
	g       *group.Group // nil: not formed yet, or damaged
	damaged string       // why its files are not used
	doing   string       // what is being done about it
	unclear bool         // digests differ, and nobody can tell whose are right
	moves   int          // directories put into quarantine

	disputed time.Time // since when digests differ without a verdict; used by compareDigests only
}

// group is this node's replica of a group, nil if there is none now.
func (n *Node) group(id int) *group.Group {
	s := n.slots[id]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.g
}

// each calls fn with the groups that this node has replicas of.
func (n *Node) each(fn func(id int, g *group.Group)) {
	for id := range n.slots {
		if g := n.group(id); g != nil {
			fn(id, g)
		}
	}
}

// state is what node.json says of the replica.
func (s *slot) state() replicaState { return s.n.dir.now().Replicas[s.id] }

// replica is the id of the replica.
func (s *slot) replica() string { return replicaID(s.n.cfg.ID, s.state().Generation) }

// view is what this node tells the others of its replica.
func (s *slot) view() replicaView {
	s.mu.Lock()
	g, damaged := s.g, s.damaged
	s.mu.Unlock()
	v := replicaView{Group: uint64(s.id), Replica: s.replica(), Damaged: damaged}
	if g == nil {
		return v
	}
	members, index := g.Members()
	for _, m := range members {
		v.Members = append(v.Members, m.Replica)
	}
	v.Index = index
	v.Leader, v.Serves = g.Leader(), g.Leading()
	v.Healthy, v.Votes = g.Err() == nil, g.VotesHere()
	v.Applied, v.Commit, v.Level = g.Applied(), g.Commit(), g.Level()
	v.FirstRead = s.n.inputs.firstRead(s.id, g)
	return v
}

// errGone: a replica's files are not where they were.
var errGone = errors.New("its files are gone")

// open opens the replica. One that can't be trusted is kept out, to be replaced
// by Run, unless this node is the whole cluster.
func (s *slot) open() error {
	err := s.openFiles()
	if err == nil || s.n.isAlone() || !errors.Is(err, group.ErrDamaged) && !errors.Is(err, errGone) {
		return err
	}
	s.condemn(err)
	return nil
}

func (s *slot) openFiles() error {
	dir := s.n.dir.groupDir(s.id)
	if s.state().Made {
		if entries, err := os.ReadDir(dir); errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
			return fmt.Errorf("group %d: %w: %s", s.id, errGone, dir)
		}
	}
	g, err := group.Open(s.n.groupConfig(s.id))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g, s.damaged, s.doing = g, "", ""
	return nil
}

// condemn takes the replica out of use.
func (s *slot) condemn(err error) {
	s.mu.Lock()
	s.g, s.damaged, s.doing = nil, err.Error(), "asking the other members"
	s.mu.Unlock()
	s.n.cfg.Log.Error("replica is damaged", "group", s.id, "replica", s.replica(), "err", err, "files", s.n.dir.groupDir(s.id))
	s.n.changed()
}

// run runs the replica, and the ones that replace it, until ctx ends. An error
// is a fault that the node must stop for.
func (s *slot) run(ctx context.Context) error {
	for ctx.Err() == nil {
		g := s.n.group(s.id)
		if g == nil {
			if err := s.replace(ctx); err != nil {
				return err
			}
			continue
		}
		err := s.serve(ctx, g)
		switch {
		case err == nil:
			return nil
		case s.n.isAlone() || !errors.Is(err, group.ErrDamaged):
			return err
		}
		s.condemn(err)
	}
	if g := s.n.group(s.id); g != nil { // the node was stopped before the replica was run
		return g.Close()
	}
	return nil
}

// serve runs one replica.
func (s *slot) serve(ctx context.Context, g *group.Group) error {
	settle, cancel := context.WithCancel(ctx)
	settled := make(chan error, 1)
	go func() {
		err := s.settle(settle, g)
		if err != nil {
			cancel()
		}
		settled <- err
	}()
	err := g.Run(settle)
	cancel()
	return errors.Join(err, <-settled)
}

const (
	foundEvery  = 10 * time.Millisecond  // whether a new replica has its files
	settleEvery = 200 * time.Millisecond // a replica that does not vote asks to be let in
)

// settle sees to it that the replica gets in and stays in.
func (s *slot) settle(ctx context.Context, g *group.Group) error {
	state := s.state()
	voted := state.Generation == founding
	every, added := foundEvery, false
	for wait(ctx, every) {
		members, index := g.Members()
		if len(members) == 0 && state.Generation == founding && !state.Made {
			continue // it is being founded
		}
		if len(members) > 0 && !state.Made {
			state.Made = true
			if err := s.keep(state); err != nil {
				return err
			}
		}
		every = settleEvery
		switch votes := g.VotesHere(); {
		case votes && !voted:
			voted = true
			s.n.cfg.Log.Info("replica votes", "group", s.id, "replica", s.replica())
			s.n.changed()
		case votes:
			if by := s.removed(index); by != "" && s.n.isLeaving() {
				s.note("removed from the group, as the node is from the cluster")
			} else if by != "" {
				g.Damage(fmt.Errorf("replica %s is not in the group any more, says node %s", s.replica(), by))
			}
		case len(members) > 0 || !added:
			// Once it is added it waits for the group's first word, so that it
			// never votes before it is known here that its files are there.
			added = s.askIn(ctx, g) || added
		}
	}
	return nil
}

// keep writes down what there is to know of the replica.
func (s *slot) keep(state replicaState) error {
	return s.n.dir.change(func(id *identity) error {
		id.Replicas[s.id] = state
		return nil
	})
}

// removed names a node that leads the group under a newer configuration than
// ours, in which this replica is not: an old disk was put back.
func (s *slot) removed(index uint64) string {
	leader := s.n.peers.serving(s.id)
	if leader == "" {
		return ""
	}
	v := s.n.peers.of(leader)
	r := v.said.replica(s.id)
	if r == nil || r.Index <= index || slices.Contains(r.Members, s.replica()) {
		return ""
	}
	return leader
}

// askIn asks the leader to let the replica in, one step further. It reports
// whether the leader took a step.
func (s *slot) askIn(ctx context.Context, g *group.Group) (taken bool) {
	if s.n.isLeaving() {
		s.note("the node is being removed from the cluster")
		return false
	}
	if first := s.n.joinsFirst(s.id); first >= 0 {
		s.note(fmt.Sprintf("waiting for group %d to let this node in", first))
		return false
	}
	doing := "waiting for a leader to let it in"
	if leader := s.n.leaderElsewhere(s.id, g); leader != "" {
		ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
		defer cancel()
		q := &replicaRequest{Group: uint64(s.id), Replica: s.replica(), Applied: g.Applied()}
		a, err := call[admitAnswer](ctx, s.n, leader, callAdmit, q)
		switch {
		case errors.Is(err, group.ErrSuperseded):
			g.Damage(err) // the next one gets a newer id
			return false
		case err != nil:
			doing = "waiting to be let in: " + err.Error()
		default:
			doing, taken = string(a.Admission), true
		}
	}
	s.note(doing)
	return taken
}

// note keeps and logs what is being done, when that changes.
func (s *slot) note(doing string) {
	s.mu.Lock()
	news := s.doing != doing
	s.doing = doing
	s.mu.Unlock()
	if news && doing != "" {
		s.n.cfg.Log.Info("replica is on its way into the group", "group", s.id, "replica", s.replica(), "state", doing)
	}
}

// leaderElsewhere is the node that leads, as far as a replica that does not
// vote, or the others, can tell.
func (n *Node) leaderElsewhere(id int, g *group.Group) string {
	if leader := n.peers.serving(id); leader != "" {
		return leader
	}
	if leader := g.Leader(); leader != "" && peer.NodeOf(leader) != n.cfg.ID {
		return peer.NodeOf(leader)
	}
	return ""
}

// admit lets a replica into a group that this node leads.
func (n *Node) admit(ctx context.Context, q *replicaRequest) (*admitAnswer, error) {
	g, err := n.groupAsked(q.Group)
	if err != nil {
		return nil, err
	}
	if belongs, err := n.belongs(ctx, peer.NodeOf(q.Replica)); err != nil {
		return nil, err
	} else if !belongs {
		return nil, fmt.Errorf("node %s is not a member, or is being removed", peer.NodeOf(q.Replica))
	}
	how, err := g.Admit(ctx, q.Replica, q.Applied)
	return &admitAnswer{Admission: string(how)}, err
}

// remove takes a replica out of a group that this node leads.
func (n *Node) remove(ctx context.Context, q *replicaRequest) error {
	g, err := n.groupAsked(q.Group)
	if err != nil {
		return err
	}
	return g.Remove(ctx, q.Replica)
}

func (n *Node) groupAsked(id uint64) (*group.Group, error) {
	if err := n.checkGroup(int(id)); err != nil {
		return nil, err
	}
	g := n.group(int(id))
	if g == nil {
		return nil, fmt.Errorf("%w: group %d does not run on node %s", connectors.ErrUnavailable, id, n.cfg.ID)
	}
	return g, nil
}
