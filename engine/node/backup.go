package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
	"anabranch.dev/state"
)

// A snapshot of all groups is one consistent cut: nothing that one group has for
// another lies between their moments. First every group's leader keeps what comes
// from other groups, messages and acknowledgements, out of its log; when all do,
// every group's copy is begun, which only fixes its index; then all let go. A
// leader that changes meanwhile, or a hold that lasts too long, ends the attempt:
// each leader is asked at the end whether it has held all the time. Why this is
// enough is in the documentation of engine/backup.

const (
	// holdLimit is how long groups may keep from hearing each other.
	holdLimit = 3 * time.Second
	cutTries  = 3
)

// TakeSnapshot implements [connectors.Snapshots].
func (n *Node) TakeSnapshot(ctx context.Context) (connectors.Snapshot, error) {
	for try := 1; ; try++ {
		s, err := n.cut(ctx)
		if err == nil {
			return s, nil
		}
		// What is left by an attempt must not stand in the way of the next.
		if dropped := n.DropSnapshot(context.WithoutCancel(ctx), s.ID); dropped != nil {
			n.cfg.Log.Warn("parts of a snapshot are left until they are unused for long", "id", s.ID, "err", dropped)
		}
		if !errors.Is(err, group.ErrHoldLost) {
			return connectors.Snapshot{}, fmt.Errorf("take snapshot: %w", err)
		}
		if try == cutTries || ctx.Err() != nil {
			return connectors.Snapshot{}, fmt.Errorf("take snapshot: %w: %d times in a row: %w", connectors.ErrUnavailable, try, err)
		}
		n.cfg.Log.Info("snapshot is tried again", "err", err)
	}
}

// cut tries once.
func (n *Node) cut(ctx context.Context) (connectors.Snapshot, error) {
	s := n.snapshot(rand.Text())
	if err := n.onAllGroups(ctx, callHoldLanes, s.ID, nil); err != nil {
		return s, err
	}
	begun := n.onAllGroups(ctx, callBeginCopy, s.ID, func(id int, a *copyAnswer) {
		s.Parts[id] = partOf(id, a)
	})
	released := n.onAllGroups(ctx, callReleaseLanes, s.ID, nil)
	return s, errors.Join(begun, released)
}

// snapshot is what there is to say of one of this cluster.
func (n *Node) snapshot(id string) connectors.Snapshot {
	cfg := &n.cfg
	return connectors.Snapshot{ID: id, Cluster: cfg.Cluster, Incarnation: n.dir.now().Incarnation, Topology: cfg.Plan.Name,
		FeatureLevel: int(n.level()), Version: cfg.Version, Shards: cfg.Shards, Groups: cfg.Groups, Clock: cfg.Clock, Lateness: cfg.Lateness,
		Fingerprint: cfg.Fingerprint, Parts: make([]connectors.SnapshotPart, cfg.Groups)}
}

func partOf(id int, a *copyAnswer) connectors.SnapshotPart {
	p := connectors.SnapshotPart{Group: id, Node: a.Node, Index: a.Index, Term: a.Term, LogTime: a.LogTime}
	for _, f := range a.Files {
		p.Files = append(p.Files, connectors.SnapshotFile{Name: f.Name, Size: f.Size})
	}
	return p
}

// onAllGroups makes a call to the leaders of all groups, side by side.
func (n *Node) onAllGroups(ctx context.Context, method, id string, take func(group int, a *copyAnswer)) error {
	answers := make([]*copyAnswer, n.cfg.Groups)
	var calls errgroup.Group
	for i := range n.cfg.Groups {
		calls.Go(func() (err error) {
			q := &copyRequest{Group: uint64(i), ID: id}
			answers[i], err = forward(ctx, n, i, method, reads, q, func() (*copyAnswer, error) { return n.copyHere(ctx, method, q) })
			if err != nil {
				return fmt.Errorf("group %d: %w", i, err)
			}
			return nil
		})
	}
	if err := calls.Wait(); err != nil || take == nil {
		return err
	}
	for i, a := range answers {
		take(i, a)
	}
	return nil
}

// copyHere does on the leader what all leaders are asked to.
func (n *Node) copyHere(ctx context.Context, method string, q *copyRequest) (*copyAnswer, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	a := &copyAnswer{Node: n.cfg.ID}
	return a, n.atLeader(int(q.Group), func(g *group.Group) error {
		switch method {
		case callHoldLanes:
			return g.HoldLanes(ctx, q.ID, holdLimit)
		case callReleaseLanes:
			return g.ReleaseLanes(ctx, q.ID)
		}
		c, err := g.BeginCopy(q.ID)
		a.take(c)
		return err
	})
}

func (a *copyAnswer) take(c group.Copy) {
	a.Index, a.Term, a.LogTime = c.Index, c.Term, c.LogTime
	for _, f := range c.Files {
		a.Files = append(a.Files, copiedFile{Name: f.Name, Size: f.Size})
	}
}

// DescribeSnapshot implements [connectors.Snapshots].
func (n *Node) DescribeSnapshot(ctx context.Context, id string) (connectors.Snapshot, error) {
	s := n.snapshot(id)
	for i := range n.cfg.Groups {
		q := &copyRequest{Group: uint64(i), ID: id}
		a, err := whereCopied(ctx, n, i, callCopied, q, func() (*copyAnswer, error) { return n.copiedHere(ctx, q) })
		if err != nil {
			return connectors.Snapshot{}, fmt.Errorf("snapshot %s: group %d: %w", id, i, err)
		}
		s.Parts[i] = partOf(i, a)
	}
	return s, nil
}

// ReadSnapshot implements [connectors.Snapshots].
func (n *Node) ReadSnapshot(ctx context.Context, id string, group int, file string, offset int64) ([]byte, error) {
	if err := n.checkGroup(group); err != nil {
		return nil, err
	}
	q := &copyRequest{Group: uint64(group), ID: id, File: file, Offset: offset}
	a, err := whereCopied(ctx, n, group, callReadCopy, q, func() (*copyBytes, error) { return n.readCopyHere(ctx, q) })
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return a.Data, nil
}

// DropSnapshot implements [connectors.Snapshots].
func (n *Node) DropSnapshot(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	errs := []error{n.dropCopies(id)}
	for _, m := range n.dir.now().Members {
		if m.ID == n.cfg.ID {
			continue
		}
		if _, err := call[nothing](ctx, n, m.ID, callDropCopy, &copyRequest{ID: id}); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", connectors.ErrUnavailable, err))
		}
	}
	return errors.Join(errs...)
}

func (n *Node) dropCopies(id string) error {
	var errs []error
	n.each(func(_ int, g *group.Group) { errs = append(errs, g.DropCopy(id)) })
	return errors.Join(errs...)
}

// whereCopied asks the node that has a group's copy: this one, or the others in
// turn. Most don't.
func whereCopied[A any, P visitable[A]](ctx context.Context, n *Node, id int, method string, q state.Visitable, here func() (*A, error)) (*A, error) {
	a, err := here()
	if !errors.Is(err, connectors.ErrNotFound) {
		return a, err
	}
	var silent error
	for _, m := range n.dir.now().Members {
		if m.ID == n.cfg.ID {
			continue
		}
		switch a, err := call[A, P](ctx, n, m.ID, method, q); {
		case err == nil:
			return a, nil
		case !errors.Is(err, connectors.ErrNotFound):
			silent = errors.Join(silent, err)
		}
	}
	if silent != nil { // a node that does not answer may have it
		return nil, fmt.Errorf("%w: %w", connectors.ErrUnavailable, silent)
	}
	return nil, err
}

func (n *Node) copiedHere(ctx context.Context, q *copyRequest) (*copyAnswer, error) {
	g, err := n.groupWithCopy(q)
	if err != nil {
		return nil, err
	}
	a := &copyAnswer{Node: n.cfg.ID}
	c, err := g.Copied(ctx, q.ID)
	a.take(c)
	return a, err
}

func (n *Node) readCopyHere(ctx context.Context, q *copyRequest) (*copyBytes, error) {
	g, err := n.groupWithCopy(q)
	if err != nil {
		return nil, err
	}
	b, err := g.ReadCopy(ctx, q.ID, q.File, q.Offset)
	return &copyBytes{Data: b}, err
}

func (n *Node) groupWithCopy(q *copyRequest) (*group.Group, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	g := n.group(int(q.Group))
	if g == nil {
		return nil, fmt.Errorf("%w: group %d does not run on node %s", connectors.ErrNotFound, q.Group, n.cfg.ID)
	}
	return g, nil
}

// dispatchCopy answers calls about copies.
func (n *Node) dispatchCopy(ctx context.Context, method string, b []byte) ([]byte, error) {
	switch method {
	case callCopied:
		return serve(n, method, b, func(q *copyRequest) (*copyAnswer, error) { return n.copiedHere(ctx, q) })
	case callReadCopy:
		return serve(n, method, b, func(q *copyRequest) (*copyBytes, error) { return n.readCopyHere(ctx, q) })
	case callDropCopy:
		return serve(n, method, b, func(q *copyRequest) (*nothing, error) { return &nothing{}, n.dropCopies(q.ID) })
	}
	return serve(n, method, b, func(q *copyRequest) (*copyAnswer, error) { return n.copyHere(ctx, method, q) })
}

// Calls about copies.
const (
	callHoldLanes    = "hold_lanes"
	callBeginCopy    = "begin_copy"
	callReleaseLanes = "release_lanes"
	callCopied       = "copied"
	callReadCopy     = "read_copy"
	callDropCopy     = "drop_copy"
)

// copyRequest is about a group's copy, or a file of it.
type copyRequest struct {
	Group  uint64 `v:"group"`
	ID     string `v:"id"`
	File   string `v:"file"`
	Offset int64  `v:"offset"`
}

// copyAnswer is a group.Copy, and where it is.
type copyAnswer struct {
	Node    string       `v:"node"`
	Index   uint64       `v:"index"`
	Term    uint64       `v:"term"`
	LogTime state.Time   `v:"log_time"`
	Files   []copiedFile `v:"files"`
}

type copiedFile struct {
	Name string `v:"name"`
	Size int64  `v:"size"`
}

type copyBytes struct {
	Data []byte `v:"data"`
}
