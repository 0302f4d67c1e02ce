package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/peer"
)

// errNobody: no other voter answers.
var errNobody = errors.New("no other replica that votes answers")

// Transfer hands the leadership to the replica on a node, or with "" to any
// other that answers, and waits until this replica doesn't lead any more. It
// works on the leader only.
func (g *Group) Transfer(ctx context.Context, node string) error {
	if !g.joined.Load() || g.stopped() || g.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	done := make(chan error, 1)
	g.waits.Go(func() { done <- g.transfer(node) })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		return err
	}
}

// transfer tries the voters in turn, those first that were heard of last. Raft
// brings each up to date before it hands over.
func (g *Group) transfer(node string) error {
	err := errNobody
	for _, s := range g.streams.byContact(g.voters(), g.cfg.Timeout) {
		if string(s.ID) == g.cfg.Replica || node != "" && peer.NodeOf(string(s.ID)) != node {
			continue
		}
		if err = g.raft.LeadershipTransferToServer(s.ID, s.Address).Error(); err == nil {
			return nil
		}
		if g.raft.State() != raft.Leader {
			return nil
		}
		err = fmt.Errorf("transfer to %s: %w", s.ID, err)
	}
	return err
}
