package group

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/raftlog"
)

// watchDisk notices a leader's disk that hangs. Raft's own loop hangs with it
// while its heartbeats go on, so nobody else would ever take over: the streams
// are cut, so that the followers elect, and nothing is written, applied or
// acknowledged here any more. The only voter of a group waits for its disk.
func (g *Group) watchDisk(ctx context.Context) {
	every := g.cfg.Stall / 10
	tick := time.NewTicker(every)
	defer tick.Stop()
	hang, last := hanging{most: 2 * every}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.failed:
			return
		case <-tick.C:
		}
		now := time.Now()
		access := g.log.Pending()
		hang.seen(access, now.Sub(last))
		last = now
		if hang.watched < g.patience(access.Op) || g.raft.State() != raft.Leader || len(g.voters()) < 2 {
			continue
		}
		err := fmt.Errorf("log: %s has been hanging for %v", access.Op, access.Age.Round(time.Millisecond))
		g.stalled.Store(true)
		g.log.Refuse(err)
		g.fail("stall", err)
		g.abdicate()
		g.cfg.Stalled(err)
		return
	}
}

// hanging adds up how long this process has watched an access hang. A process
// that is stopped, or gets no processor, does not watch: the access may well have
// ended meanwhile, and nobody has had the chance to note it.
type hanging struct {
	most    time.Duration // of watching between two looks
	access  uint64
	watched time.Duration
}

// seen takes what a look has found, some time after the look before.
func (h *hanging) seen(oldest raftlog.Access, since time.Duration) {
	switch oldest.ID {
	case 0:
		h.access, h.watched = 0, 0
	case h.access:
		h.watched += min(since, h.most)
	default:
		h.access, h.watched = oldest.ID, min(oldest.Age, since, h.most)
	}
}

// patience is how long an access to the disk may hang. In memory durability
// nothing waits for a sync, so that one which takes long, as on a disk that is
// kept busy, is no reason yet to part with the leadership.
func (g *Group) patience(op raftlog.Op) time.Duration {
	if op == raftlog.OpSync && g.cfg.Durability == raftlog.Memory {
		return 10 * g.cfg.Stall
	}
	return g.cfg.Stall
}

// abdicate tells a follower to stand for election, without waiting long for an
// answer, and cuts the streams. Raft can't be asked to: its loop hangs.
func (g *Group) abdicate() {
	told := make(chan struct{})
	g.waits.Go(func() {
		defer close(told)
		for _, s := range g.streams.byContact(g.voters(), g.cfg.Timeout) {
			if g.trans.TimeoutNow(s.ID, s.Address, g.timeoutNow(), new(raft.TimeoutNowResponse)) == nil {
				return
			} // else there is an election when the streams are cut
		}
	})
	limit := time.NewTimer(g.cfg.Timeout)
	defer limit.Stop()
	select {
	case <-told:
	case <-limit.C:
	}
	if err := g.streams.Close(); err != nil {
		g.cfg.Log.Debug("streams cut", "group", g.cfg.Core.Group, "err", err)
	}
}

// scrubEvery is how often the whole state is read through, the first time being
// scrubFirst after the start, at scrubRate bytes a second.
const (
	scrubFirst = 30 * time.Second
	scrubEvery = 24 * time.Hour
	scrubRate  = 32 << 20
)

// scrub reads everything through now and then: a bad block is found while other
// replicas still have a good one.
func (g *Group) scrub(ctx context.Context) {
	timer := time.NewTimer(g.cfg.scrubFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.failed:
			return
		case <-timer.C:
		}
		timer.Reset(scrubEvery)
		g.readThrough(ctx, scrubRate)
	}
}
