package group

import (
	"context"
	"crypto/rand"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// placed tells the node what an entry has changed about shards. The caller holds
// the apply mutex.
func (g *Group) placed(changes []core.ShardChange) {
	if len(changes) == 0 {
		return
	}
	var list []core.Placement
	for i := range changes {
		switch ch := &changes[i]; ch.Change {
		case core.ShardPlaced:
			list = append(list, core.Placement{Shard: ch.Shard, Group: ch.Group, Version: ch.Version})
		case core.ShardLeft:
			g.replies.loseShard(ch.Shard)
		}
	}
	g.shardChanges.Add(1)
	g.cfg.Placed(list)
	g.cfg.Changed()
}

// ShardChanges counts how often the shards that the group serves have changed.
func (g *Group) ShardChanges() uint64 { return g.shardChanges.Load() }

// Import has the group take the next step of taking a shard in.
func (g *Group) Import(ctx context.Context, im *core.Import) (connectors.Reply, error) {
	im.ID = rand.Text()
	return g.step(ctx, im.ID, core.Item{Import: im})
}

// Sweep has rows deleted that a shard has left behind.
func (g *Group) Sweep(ctx context.Context, w *core.Sweep) (connectors.Reply, error) {
	w.ID = rand.Text()
	return g.step(ctx, w.ID, core.Item{Sweep: w})
}

func (g *Group) step(ctx context.Context, id string, it core.Item) (connectors.Reply, error) {
	w, err := g.enqueue(replyKey{control: true, id: id}, noShard, ofMove, func(in *inbox, _ *waiter) { in.moves = append(in.moves, it) })
	if err != nil {
		return connectors.Reply{}, err
	}
	defer g.replies.remove(w)
	r, err := w.next(ctx)
	return connectors.Reply{Outcome: r.Outcome, Code: r.Code, Index: r.index}, err
}

// Moves lists the moves that the group has a part in.
func (g *Group) Moves() []core.Move {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil {
		return nil
	}
	return g.core.Moves()
}

// MoveOf is the move of a shard that the group has a part in, if there is one.
func (g *Group) MoveOf(s state.Shard) (mv core.Move, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil {
		return mv, false
	}
	return g.core.MoveOf(s)
}

// Serves says whether messages for a shard are applied here now.
func (g *Group) Serves(s state.Shard) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core != nil && g.core.Serves(s)
}

// Frozen says whether a shard of the group is on its way to another, as far as
// this replica knows.
func (g *Group) Frozen(s state.Shard) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core != nil && g.core.Frozen(s)
}

// Departure is what the new group of a frozen shard must know.
func (g *Group) Departure(s state.Shard) (d core.Departure, err error) {
	_, err = g.read(func() error {
		d = g.core.Departure(s)
		return nil
	})
	return d, err
}

// Stored reads a shard's rows as they are stored, at one index that is not
// before what was acknowledged.
func (g *Group) Stored(ctx context.Context, s state.Shard) (rows []state.StoredRow, err error) {
	view, err := g.View(ctx, connectors.Linearizable)
	if err != nil {
		return nil, err
	}
	err = view.Stored(s, func(r state.StoredRow) bool {
		rows = append(rows, r)
		return ctx.Err() == nil
	})
	if closed := view.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = ctx.Err()
	}
	return rows, err
}
