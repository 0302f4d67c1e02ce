package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
)

// Nodes are upgraded one by one, and work together meanwhile at the feature level
// in force, which all of them know. Only when all know a higher one may a person
// put that in force, group by group; a node goes back to an older build only
// before.

// level is the highest feature level in force in a group, as far as this node's
// replicas have it applied.
func (n *Node) level() uint64 {
	level := uint64(core.FirstLevel)
	n.each(func(_ int, g *group.Group) { level = max(level, g.Level()) })
	return level
}

// inForce is the same as another node says.
func (h *hello) inForce() uint64 {
	level := max(core.FirstLevel, h.Level)
	for i := range h.Replicas {
		level = max(level, h.Replicas[i].Level)
	}
	return level
}

// firstLevel is the level that a cluster is formed at, 0 for the first. One whose
// nodes were restored has that of the snapshot.
func (id *identity) firstLevel(knows uint64) uint64 {
	if id.Snapshot != "" || knows <= core.FirstLevel {
		return 0
	}
	return knows
}

// Upgrade implements [connectors.Cluster].
func (n *Node) Upgrade(ctx context.Context) (connectors.Upgraded, error) {
	if !n.isFormed() {
		return connectors.Upgraded{}, fmt.Errorf("%w: %s", connectors.ErrUnavailable, waitingForInit)
	}
	if err := errors.Join(n.askMembers(ctx), n.greetAll(ctx)); err != nil {
		return connectors.Upgraded{}, err
	}
	to := n.cfg.knows
	for _, m := range n.dir.now().Members {
		if v := n.peers.of(m.ID); v.fresh() {
			to = max(to, v.said.Knows)
		}
	}
	u := connectors.Upgraded{Before: int(n.lowestLevel()), Level: int(to)}
	if err := n.allKnow(to); err != nil {
		return u, err
	}
	for id := range n.cfg.Groups {
		q := &raiseRequest{Group: uint64(id), Level: to}
		if _, err := forward(ctx, n, id, callRaise, writes, q, func() (*nothing, error) { return &nothing{}, n.raiseHere(ctx, q) }); err != nil {
			return u, fmt.Errorf("group %d: %w", id, err)
		}
	}
	return u, nil
}

// lowestLevel is the lowest feature level in force in a group, as far as this
// node's replicas have it applied.
func (n *Node) lowestLevel() uint64 {
	level := uint64(0)
	n.each(func(_ int, g *group.Group) {
		if l := g.Level(); level == 0 || l < level {
			level = l
		}
	})
	return max(level, core.FirstLevel)
}

// raiseHere puts a level in force in a group that this node leads, if all know it
// who may ever apply the group's log.
func (n *Node) raiseHere(ctx context.Context, q *raiseRequest) error {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return err
	}
	return n.atLeader(int(q.Group), func(g *group.Group) error {
		if g.Level() >= q.Level {
			return nil
		}
		if err := errors.Join(n.greetAll(ctx), n.allKnow(q.Level)); err != nil {
			return err
		}
		replicas, _ := g.Members()
		id := n.dir.now()
		for _, r := range replicas {
			if node := peer.NodeOf(r.Replica); id.member(node) == nil {
				return fmt.Errorf("replica %s of the group is of no member: wait until it is out", r.Replica)
			}
		}
		return g.Raise(ctx, q.Level)
	})
}

// allKnow names the members that do not know a feature level, or of which that is
// not known.
func (n *Node) allKnow(level uint64) error {
	var faults []string
	for _, m := range n.dir.now().Members {
		switch v := n.peers.of(m.ID); {
		case m.ID == n.cfg.ID && n.cfg.knows < level:
			faults = append(faults, fmt.Sprintf("node %s knows feature level %d", m.ID, n.cfg.knows))
		case m.ID == n.cfg.ID:
		case !v.fresh():
			faults = append(faults, fmt.Sprintf("node %s does not answer", m.ID))
		case v.said.Knows < level:
			faults = append(faults, fmt.Sprintf("node %s knows feature level %d", m.ID, v.said.Knows))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("feature level %d can't be put in force: %s; every node must run a build that knows it", level, strings.Join(faults, ", "))
}
