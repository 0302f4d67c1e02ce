package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// errNotLeader: the group is led by another node, or by none. Nothing was done.
var errNotLeader = fmt.Errorf("%w: this node does not lead the group", connectors.ErrUnavailable)

const (
	// leaderPatience is how long a request waits for a leader at most.
	leaderPatience = 5 * time.Second
	// leaderPause is how often it looks for one.
	leaderPause = 20 * time.Millisecond
	// frozenPause is how often a request asks for a shard that is on the move
	// though no change was heard of.
	frozenPause = 500 * time.Millisecond
)

// effect says what is known of a request whose answer was lost.
type effect bool

const (
	reads  effect = false // it has done nothing
	writes effect = true  // it may have been carried out
)

// forward has a request carried out by a group's leader: here, or on the node
// that leads. While none does, it waits. A request whose answer was lost is not
// made again: what writes is reported as unknown.
func forward[A any, P visitable[A]](ctx context.Context, n *Node, id int, method string, e effect, q state.Visitable, here func() (*A, error)) (*A, error) {
	return forwardTo[A, P](ctx, n, core.GroupShard(n.cfg.Shards, id), method, e, q, here)
}

// forwardTo forwards to the group of a shard, which may be another one by the
// time that a leader is found: it waits, too, while the shard is on the move.
func forwardTo[A any, P visitable[A]](ctx context.Context, n *Node, s state.Shard, method string, e effect, q state.Visitable, here func() (*A, error)) (*A, error) {
	if g := n.group(n.groupOf(s)); g != nil && g.Leading() {
		if a, err := here(); !astray(err) {
			return a, err
		}
	}
	if !n.isFormed() {
		return nil, fmt.Errorf("%w: %s", connectors.ErrUnavailable, waitingForInit)
	}
	if n.requests.Add(1) > int64(n.cfg.MaxRequests) {
		n.requests.Add(-1)
		return nil, connectors.ErrOverloaded
	}
	defer n.requests.Add(-1)
	return carry[A, P](ctx, n, s, method, e, q, here)
}

// carry has a request carried out, however many wait already.
func carry[A any, P visitable[A]](ctx context.Context, n *Node, s state.Shard, method string, e effect, q state.Visitable, here func() (*A, error)) (*A, error) {
	patient, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	for {
		id := n.groupOf(s)
		leader, err := n.awaitLeader(patient, id)
		if err != nil {
			return nil, err
		}
		var a *A
		if leader == n.cfg.ID {
			a, err = here()
		} else {
			a, err = call[A, P](ctx, n, leader, method, q)
			n.forwarded.count(method, err)
		}
		if !astray(err) && !errors.Is(err, peer.ErrUnreachable) {
			return a, lost(err, e)
		}
		if !n.awaitPlace(patient, s) {
			return nil, fmt.Errorf("%w: group %d: %w", connectors.ErrUnavailable, id, err)
		}
	}
}

// awaitPlace waits until a request for a shard may have better luck. While the
// shard is on the move, as far as is known here, that is when it has arrived or
// its move was called off; the leader is asked again now and then, since the
// replica here may not hear of that. It returns false if ctx ended.
func (n *Node) awaitPlace(ctx context.Context, s state.Shard) bool {
	if !n.isFrozen(s) {
		return n.pause(ctx)
	}
	t := time.NewTimer(frozenPause)
	defer t.Stop()
	for {
		change := n.change()
		if !n.isFrozen(s) {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case <-change:
		}
	}
}

// isFrozen says whether a shard is on the move, as far as the replica of its
// group on this node knows.
func (n *Node) isFrozen(s state.Shard) bool {
	g := n.group(n.groupOf(s))
	return g != nil && g.Err() == nil && g.Frozen(s)
}

// astray says whether an error is that of a request which has come to the wrong
// node, or to the wrong group. Nothing was done.
func astray(err error) bool { return errors.Is(err, errNotLeader) || errors.Is(err, core.ErrElsewhere) }

// lost says what a call comes to whose answer never came.
func lost(err error, e effect) error {
	var remote *remoteError
	switch {
	case err == nil || errors.As(err, &remote):
		return err
	case e == writes && errors.Is(err, peer.ErrBroken) && planted.Is("node: lost answer taken for nothing done"):
		return fmt.Errorf("%w: %w", connectors.ErrUnavailable, err)
	case e == writes && (errors.Is(err, peer.ErrBroken) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && !errors.Is(err, connectors.ErrUnknown):
		return fmt.Errorf("%w: %w", connectors.ErrUnknown, err)
	case errors.Is(err, peer.ErrBroken):
		return fmt.Errorf("%w: %w", connectors.ErrUnavailable, err)
	}
	return err
}

// awaitLeader waits until a group has a leader, and names its node.
func (n *Node) awaitLeader(ctx context.Context, id int) (node string, err error) {
	for {
		if node := n.leaderOf(id); node != "" {
			return node, nil
		}
		if !n.pause(ctx) {
			return "", fmt.Errorf("%w: group %d has no leader", connectors.ErrUnavailable, id)
		}
	}
}

// pause waits until something has changed, or a moment. It returns false if
// ctx ended.
func (n *Node) pause(ctx context.Context) bool {
	t := time.NewTimer(leaderPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-n.change():
	}
	return ctx.Err() == nil
}

// leaderOf names the node that leads a group and decides, "" for none. A
// replica that takes no part in the group, or not yet, believes the others.
func (n *Node) leaderOf(id int) string {
	g := n.group(id)
	if g == nil || !g.VotesHere() {
		return n.peers.serving(id)
	}
	node := peer.NodeOf(g.Leader())
	if node == n.cfg.ID && !g.Leading() && !g.Halted() {
		return "" // about to
	}
	return node
}

// atLeader has fn called with this node's replica of a group, if it leads. What
// the group could not do for now was not done.
func (n *Node) atLeader(id int, fn func(g *group.Group) error) error {
	g := n.group(id)
	switch {
	case g == nil || g.Err() != nil:
		return errNotLeader
	case g.Halted():
		return fmt.Errorf("%w: group %d is halted", connectors.ErrUnavailable, id)
	case !g.Leading():
		return errNotLeader
	}
	err := fn(g)
	if errors.Is(err, connectors.ErrUnavailable) || errors.Is(err, group.ErrNotLeader) {
		return fmt.Errorf("%w: %w", errNotLeader, err)
	}
	return err
}

// atOwner is [Node.atLeader] for the group of a shard. While the shard is on the
// move, or has left, nothing is proposed: whoever asks waits, not the log.
func (n *Node) atOwner(s state.Shard, fn func(g *group.Group) error) error {
	return n.atLeader(n.groupOf(s), func(g *group.Group) error {
		if !g.Serves(s) {
			return fmt.Errorf("shard %d is on the move, or has moved: %w", s, core.ErrElsewhere)
		}
		return fn(g)
	})
}
