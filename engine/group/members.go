package group

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/peer"
)

// Errors of changing a group's members.
var (
	ErrNotLeader = errors.New("this replica does not lead the group")
	// ErrNoQuorum: the change would leave a group that can't decide. It stays
	// as it is.
	ErrNoQuorum = errors.New("too few replicas would remain that answer")
	// ErrSuperseded: the node has a newer replica in the group.
	ErrSuperseded = errors.New("replica was replaced by a newer one")
)

// Member is a replica of the group.
type Member struct {
	Replica string
	Voter   bool
}

// Admission is how far a replica is on its way into the group.
type Admission string

// Steps of an admission.
const (
	AdmitAdded      Admission = "added"
	AdmitCatchingUp Admission = "catching_up"
	AdmitVoter      Admission = "voter"
)

const (
	// admitLag is how far behind a replica may be, in entries, to be promoted.
	admitLag = 2000
	// changeTimeout bounds how long a change waits for the one before it.
	changeTimeout = 2 * time.Second
)

// configuration is the newest one that was applied, and the index of its entry.
type configuration struct {
	index   uint64
	servers []raft.Server
}

// setConfiguration takes note of an applied configuration.
func (g *Group) setConfiguration(index uint64, c raft.Configuration) {
	if old := g.members.Load(); old == nil || index > old.index {
		g.members.Store(&configuration{index: index, servers: c.Servers})
		g.cfg.Changed()
	}
}

// Members lists the replicas of the newest configuration that this replica
// has applied, and the index of its entry. There are none before that.
func (g *Group) Members() (members []Member, index uint64) {
	c := g.members.Load()
	if c == nil {
		return nil, 0
	}
	for _, s := range c.servers {
		members = append(members, Member{Replica: string(s.ID), Voter: s.Suffrage == raft.Voter})
	}
	return members, c.index
}

// Nodes is the list of the cluster's nodes that this replica has applied, nil if
// it has none. It must not be written to.
func (g *Group) Nodes() (list *core.Members, err error) {
	_, err = g.read(func() error { list = g.core.Members(); return nil })
	return list, err
}

// Leader is the replica that leads, as far as known here, or "".
func (g *Group) Leader() string {
	if !g.joined.Load() {
		return ""
	}
	_, id := g.raft.LeaderWithID()
	return string(id)
}

// voters lists the replicas that vote, in the newest configuration in the log,
// committed or not.
func (g *Group) voters() []raft.Server {
	if !g.joined.Load() {
		return nil
	}
	f := g.raft.GetConfiguration()
	if f.Error() != nil {
		return nil // never: it reads a copy
	}
	var list []raft.Server
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			list = append(list, s)
		}
	}
	return list
}

// VotesHere reports whether this replica votes, as far as its own log says.
func (g *Group) VotesHere() bool {
	for _, s := range g.voters() {
		if string(s.ID) == g.cfg.Replica {
			return true
		}
	}
	return false
}

// Admit takes the next step of letting a replica in, which has applied the log
// up to an index. It is asked again until the replica votes; steps that were
// taken are not taken again. It works on the leader only.
//
// Other replicas of the same node are removed first: a node that comes back
// under a new id has lost what the old one had promised. Then the replica is
// added without a vote, and once it has caught up it gets one.
func (g *Group) Admit(ctx context.Context, replica string, applied uint64) (Admission, error) {
	c, err := g.leaderConfiguration()
	if err != nil {
		return "", err
	}
	suffrage, member := raft.Nonvoter, false
	for _, s := range c.servers {
		switch id := string(s.ID); {
		case id == replica:
			suffrage, member = s.Suffrage, true
		case peer.NodeOf(id) == peer.NodeOf(replica):
			if generation(id) > generation(replica) {
				return "", fmt.Errorf("admit %s: %w: %s", replica, ErrSuperseded, id)
			}
			if err := g.Remove(ctx, id); err != nil {
				return "", err
			}
		}
	}
	if c, err = g.leaderConfiguration(); err != nil {
		return "", err
	}
	id, address := raft.ServerID(replica), raft.ServerAddress(replica)
	switch {
	case !member:
		return AdmitAdded, g.change(ctx, "add "+replica, func() raft.IndexFuture {
			return g.raft.AddNonvoter(id, address, c.index, changeTimeout)
		})
	case suffrage == raft.Voter:
		return AdmitVoter, nil
	case applied+admitLag < g.raft.CommitIndex():
		return AdmitCatchingUp, nil
	}
	return AdmitVoter, g.change(ctx, "promote "+replica, func() raft.IndexFuture {
		return g.raft.AddVoter(id, address, c.index, changeTimeout)
	})
}

// Remove removes a replica from the group, unless too few of those that vote
// would be left. It works on the leader only.
func (g *Group) Remove(ctx context.Context, replica string) error {
	c, err := g.leaderConfiguration()
	if err != nil {
		return err
	}
	member, voters, alive := false, 0, 0
	for _, s := range c.servers {
		switch {
		case string(s.ID) == replica:
			member = true
		case s.Suffrage == raft.Voter:
			voters++
			if string(s.ID) == g.cfg.Replica || g.streams.heard(string(s.ID), g.cfg.Timeout) {
				alive++
			}
		}
	}
	switch {
	case !member:
		return nil
	case alive <= voters/2:
		return fmt.Errorf("remove %s: %w: %d of %d", replica, ErrNoQuorum, alive, voters)
	}
	return g.change(ctx, "remove "+replica, func() raft.IndexFuture {
		return g.raft.RemoveServer(raft.ServerID(replica), c.index, changeTimeout)
	})
}

// leaderConfiguration is the configuration that a change may be based on. If
// it is not the newest, Raft refuses the change.
func (g *Group) leaderConfiguration() (*configuration, error) {
	c := g.members.Load()
	if !g.joined.Load() || g.stopped() || g.raft.State() != raft.Leader || c == nil {
		return nil, ErrNotLeader
	}
	return c, nil
}

// change carries out a change of the configuration and waits until it is
// applied here. After ctx's error it may still come about.
func (g *Group) change(ctx context.Context, what string, begin func() raft.IndexFuture) error {
	done := make(chan error, 1)
	var index uint64
	g.waits.Go(func() {
		f := begin()
		err := f.Error()
		if err == nil {
			index = f.Index()
		}
		done <- err
	})
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case <-g.failed:
		return fmt.Errorf("%s: %w", what, g.Err())
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		g.cfg.Log.Info("group changed", "group", g.cfg.Core.Group, "change", what)
		return g.waitApplied(ctx, index)
	}
}

// generation is the number in a replica's id.
func generation(replica string) uint64 {
	n, err := strconv.ParseUint(replica[strings.LastIndexByte(replica, '.')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
