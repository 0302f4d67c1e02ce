package node

import (
	"context"
	"slices"
	"time"

	"anabranch.dev/engine/group"
)

const (
	// clockLimit is how far a leader's clock may be off the median of all.
	clockLimit = time.Second
	// clocksNeeded is how many clocks it takes to tell which one is off.
	clocksNeeded = 3
)

// clockOff is how far this node's clock is ahead of the median of all members'
// clocks, as far as they answered a moment ago. ok is false if too few did.
func (n *Node) clockOff() (off time.Duration, ok bool) {
	ahead := []time.Duration{0} // of ours
	id := n.dir.now()
	for _, m := range id.Members {
		if v := n.peers.of(m.ID); m.ID != n.cfg.ID && v.fresh() {
			ahead = append(ahead, v.ahead)
		}
	}
	if len(ahead) < clocksNeeded {
		return 0, false
	}
	return -median(ahead), true
}

// median sorts what it is given.
func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	mid := len(list) / 2
	if len(list)%2 == 1 {
		return list[mid]
	}
	return (list[mid-1] + list[mid]) / 2
}

// watchClock gives leaderships up while this node's clock is off: the leader's
// clock is what log time follows. A leadership that comes back, because nobody
// else takes it, is given up again at the next look.
func (n *Node) watchClock(ctx context.Context) {
	off, ok := n.clockOff()
	if !ok || off.Abs() <= clockLimit {
		return
	}
	n.each(func(id int, g *group.Group) {
		if !g.Leading() {
			return
		}
		n.cfg.Log.Error("clock is off, leadership is given up", "group", id, "off", off)
		ctx, cancel := context.WithTimeout(ctx, transferTimeout)
		defer cancel()
		if err := n.giveUp(ctx, id, g); err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("nobody takes the leadership", "group", id, "err", err)
		}
	})
}

// handOver gives up all leaderships before this node stops: that takes
// milliseconds, an election does not.
func (n *Node) handOver() {
	if n.isAlone() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), transferTimeout)
	defer cancel()
	n.each(func(id int, g *group.Group) {
		if !g.Leading() {
			return
		}
		if err := n.giveUp(ctx, id, g); err != nil {
			n.cfg.Log.Warn("leadership not handed over", "group", id, "err", err)
		}
	})
}
