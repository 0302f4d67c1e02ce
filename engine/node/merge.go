package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"anabranch.dev/engine/group"
	"anabranch.dev/state"
)

const (
	// mergePause is how long the merge waits while groups are busy, and
	// mergeIdle while something is missing: a leader, or the next record of
	// some partition.
	mergePause = time.Millisecond
	mergeIdle  = 20 * time.Millisecond
)

// mergeGroups is the part of the replay clock's merge that goes over all groups,
// on the node that leads the first one: no group passes a log time before all
// have reached it, and before nothing is under way between them. Two nodes that
// take themselves for that one do no harm: what either lets pass may pass.
func (n *Node) mergeGroups(ctx context.Context) {
	if n.cfg.Clock != ClockReplay || n.cfg.Groups == 1 {
		return
	}
	limit, pause := state.Time(0), mergeIdle
	for wait(ctx, pause) {
		if n.leaderOf(0) != n.cfg.ID {
			limit, pause = 0, mergeIdle
			continue
		}
		limit, pause = n.mergeStep(ctx, limit)
	}
}

// mergeStep lets all groups pass up to a limit, and finds the next one.
func (n *Node) mergeStep(ctx context.Context, limit state.Time) (next state.Time, pause time.Duration) {
	first := n.advance(ctx, limit)
	if first == nil || slices.ContainsFunc(first, func(a advanceAnswer) bool { return !a.Known }) {
		return limit, mergeIdle
	}
	if slices.ContainsFunc(first, func(a advanceAnswer) bool { return !a.Quiet }) {
		return limit, mergePause
	}
	if again := n.advance(ctx, limit); !slices.Equal(first, again) {
		return limit, mergePause
	}
	next = slices.MinFunc(first, func(a, b advanceAnswer) int { return int(min(max(a.Head-b.Head, -1), 1)) }).Head
	return next, 0
}

// advance asks all groups, side by side. It returns nil if not all answered.
func (n *Node) advance(ctx context.Context, limit state.Time) []advanceAnswer {
	answers := make([]*advanceAnswer, n.cfg.Groups)
	var asked sync.WaitGroup
	for id := range answers {
		asked.Go(func() {
			q := &advanceRequest{Group: uint64(id), Limit: limit}
			// An error is a leader that is missing: it is asked again soon.
			answers[id], _ = forward(ctx, n, id, callAdvance, reads, q, func() (*advanceAnswer, error) { return n.advanceHere(ctx, q) })
		})
	}
	asked.Wait()
	list := make([]advanceAnswer, 0, len(answers))
	for _, a := range answers {
		if a == nil {
			return nil
		}
		list = append(list, *a)
	}
	return list
}

func (n *Node) advanceHere(ctx context.Context, q *advanceRequest) (*advanceAnswer, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	var a advanceAnswer
	return &a, n.atLeader(int(q.Group), func(g *group.Group) error {
		s, leads, err := g.Advance(ctx, q.Limit)
		if err == nil && !leads {
			err = errNotLeader
		}
		a = advanceAnswer{Tenure: s.Tenure, Index: s.Index, Head: s.Head, Known: s.Known, Quiet: s.Quiet}
		return err
	})
}
