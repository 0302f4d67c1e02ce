package group

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// probes of a leader whose streams broke, and the time between them.
	probes     = 5
	probeEvery = 10 * time.Millisecond
	// standAfter is by how much each voter lets the one before it go first, so
	// that they don't split the vote.
	standAfter = 40 * time.Millisecond
)

// suspect has this replica stand for election as soon as the leader's process
// is seen to have died, instead of when its heartbeats have been missing for
// long enough to be sure. Its streams break at once then, and nobody listens at
// its address any more; a leader that is merely slow still does. A machine that
// dies, or a network that goes silent, is left to the heartbeats.
func (g *Group) suspect(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.failed:
			return
		case <-g.streams.lost:
		}
		leader := g.Leader()
		if leader == "" || !g.follows(leader) || !g.isGone(ctx, leader) || !g.waitTurn(ctx, leader) || !g.follows(leader) {
			continue
		}
		g.cfg.Log.Info("leader has died, standing for election", "group", g.cfg.Core.Group, "leader", leader)
		if err := g.trans.TimeoutNow(raft.ServerID(g.cfg.Replica), raft.ServerAddress(g.cfg.Replica), g.timeoutNow(), new(raft.TimeoutNowResponse)); err != nil {
			g.cfg.Log.Warn("not standing for election", "group", g.cfg.Core.Group, "err", err)
		}
	}
}

// follows reports whether this replica votes and takes another for its leader.
func (g *Group) follows(leader string) bool {
	return g.raft.State() == raft.Follower && g.Leader() == leader && leader != g.cfg.Replica && g.VotesHere()
}

// isGone probes the leader's address until nobody listens there.
func (g *Group) isGone(ctx context.Context, leader string) bool {
	for range probes {
		c, err := g.streams.layer.Dial(leader, g.cfg.Timeout)
		if err == nil {
			return c.Close() != nil // it answers
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
		if !sleep(ctx, probeEvery) { // it may be about to stop
			return false
		}
	}
	return false
}

// waitTurn lets the voters before this one try first.
func (g *Group) waitTurn(ctx context.Context, leader string) bool {
	voters := slices.DeleteFunc(g.voters(), func(s raft.Server) bool { return string(s.ID) == leader })
	slices.SortFunc(voters, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	turn := slices.IndexFunc(voters, func(s raft.Server) bool { return string(s.ID) == g.cfg.Replica })
	return sleep(ctx, time.Duration(max(turn, 0))*standAfter)
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// timeoutNow asks a replica to stand for election at once.
func (g *Group) timeoutNow() *raft.TimeoutNowRequest {
	return &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax,
		ID: []byte(g.cfg.Replica), Addr: []byte(g.cfg.Replica)}}
}
