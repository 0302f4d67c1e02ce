package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"

	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
)

// transport is Raft's, which says when a follower could not use a snapshot, and
// since when others follow.
type transport struct {
	*raft.NetworkTransport
	refused   chan struct{}
	confirmed confirmations
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	err := t.NetworkTransport.InstallSnapshot(id, to, req, resp, data)
	if err != nil {
		select {
		case t.refused <- struct{}{}:
		default:
		}
	}
	return err
}

// recheck looks at what a follower could not install: the fault may be ours. It
// does so once per snapshot.
func (g *Group) recheck(ctx context.Context) {
	checked := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.failed:
			return
		case <-g.trans.refused:
		}
		if newest, _ := g.snaps.Newest(); newest != checked {
			checked = newest
			g.readThrough(ctx, scrubRate)
		}
	}
}

// readThrough reads the state and the newest snapshot whole, at most so many
// bytes a second. A bad state is damage; a bad snapshot of a good one is made
// anew.
func (g *Group) readThrough(ctx context.Context, bytesPerSecond int64) {
	g.reading.Lock()
	defer g.reading.Unlock()
	g.mu.Lock()
	store := g.store
	g.mu.Unlock()
	if store == nil {
		return // a snapshot is being installed, which reads it
	}
	err := store.Scrub(ctx, bytesPerSecond)
	if errors.Is(err, state.ErrDamaged) {
		g.fail("scrub", fmt.Errorf("state: %w", err))
		return
	}
	if err == nil {
		if err = g.scrubSnapshot(ctx, bytesPerSecond); errors.Is(err, state.ErrDamaged) {
			g.cfg.Metrics.Fault("snapshot")
			g.cfg.Log.Error("snapshot is damaged and made anew", "group", g.cfg.Core.Group, "err", err)
			err = g.replaceSnapshot(ctx)
		}
	}
	if err != nil && ctx.Err() == nil && !g.stopped() {
		// The store was replaced under it, or fails: then it says so itself.
		g.cfg.Log.Warn("state not read through", "group", g.cfg.Core.Group, "err", err)
	}
}

// scrubSnapshot reads a copy of the newest snapshot, made of links.
func (g *Group) scrubSnapshot(ctx context.Context, bytesPerSecond int64) (err error) {
	if newest, _ := g.snaps.Newest(); newest == 0 {
		return nil
	}
	dir := filepath.Join(g.cfg.Dir, "recheck")
	if err := faultdisk.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, faultdisk.RemoveAll(dir)) }()
	if err := g.snaps.Extract(dir); err != nil {
		return err
	}
	return g.scrubCopy(ctx, dir, bytesPerSecond)
}

// scrubCopy reads a copy of a snapshot's state whole.
func (g *Group) scrubCopy(ctx context.Context, dir string, bytesPerSecond int64) error {
	store, err := g.cfg.OpenStore(dir, true)
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- store.Run(runCtx) }()
	err = store.Scrub(ctx, bytesPerSecond)
	stop()
	return errors.Join(err, <-done, store.Close())
}

// replaceSnapshot takes another snapshot, at an index of its own.
func (g *Group) replaceSnapshot(ctx context.Context) error {
	if g.raft.State() == raft.Leader {
		if err := g.barrier(ctx); err != nil {
			return err
		}
	}
	return g.Snapshot()
}
