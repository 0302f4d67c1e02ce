package group

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// Ask answers a point query, and says for which index the answer is good. It
// runs between two entries.
func (g *Group) Ask(ctx context.Context, stage, query, key string, question state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
	if err := g.Fresh(ctx, c); err != nil {
		return nil, 0, err
	}
	var answer state.Visitable
	index, err := g.read(func() (err error) {
		ask := g.core.Query
		if c == connectors.Stale {
			ask = g.core.QueryStale
		}
		answer, err = ask(stage, query, key, question)
		return err
	})
	if err == nil && answer == nil {
		err = connectors.ErrNotFound
	}
	if c == connectors.Stale && planted.Is("group: stale read names a newer index") {
		index++
	}
	return answer, index, err
}

// FindDecision says which stage and key made a decision.
func (g *Group) FindDecision(ctx context.Context, id string) (stage, key string, err error) {
	if err := g.Fresh(ctx, connectors.Linearizable); err != nil {
		return "", "", err
	}
	_, err = g.read(func() error {
		var ok bool
		var err error
		if stage, key, ok, err = g.core.FindDecision(id); err == nil && !ok {
			err = connectors.ErrNotFound
		}
		return err
	})
	return stage, key, err
}

// Opened reads which partitions' positions the group keeps, and which shards it
// believes to have moved, not before what was acknowledged.
func (g *Group) Opened(ctx context.Context) (partitions []core.PartitionState, moved []core.Placement, err error) {
	if err := g.Fresh(ctx, connectors.Linearizable); err != nil {
		return nil, nil, err
	}
	_, err = g.read(func() error {
		partitions = g.core.Partitions()
		moved = slices.DeleteFunc(g.core.Placements(), func(p core.Placement) bool { return p.Version == 0 })
		return nil
	})
	return partitions, moved, err
}

// View returns the whole state at one index, for scans.
func (g *Group) View(ctx context.Context, c connectors.Consistency) (state.Reader, error) {
	if err := g.Fresh(ctx, c); err != nil {
		return nil, err
	}
	g.mu.Lock()
	store := g.store
	g.mu.Unlock()
	if store == nil || g.stopped() {
		return nil, connectors.ErrUnavailable
	}
	return store.View(ctx)
}

// read runs fn between two entries, and says at which index. A fault of the
// state stops the replica.
func (g *Group) read(fn func() error) (index uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil || g.stopped() {
		return 0, connectors.ErrUnavailable
	}
	defer func() {
		if r := recover(); r != nil {
			err = connectors.ErrUnavailable
			g.fail("query", faultOf(g.store.Applied(), r))
		}
	}()
	// An entry may be applied whose index is not noted yet, and after a start the
	// state may be ahead of the log that is being replayed.
	return max(g.appliedIndex.Load(), g.store.Applied()), fn()
}

// Fresh waits until this replica's state includes all that was acknowledged
// before the call. For a stale read it doesn't wait.
func (g *Group) Fresh(ctx context.Context, c connectors.Consistency) error {
	switch c {
	case connectors.Stale:
		return nil
	case connectors.Linearizable, "":
	default:
		return fmt.Errorf("consistency is %q; want %s or %s", c, connectors.Linearizable, connectors.Stale)
	}
	t := g.serving() // an entry of its term is applied
	if g.stopped() || t == nil || t.term != g.raft.CurrentTerm() {
		return connectors.ErrUnavailable
	}
	index := g.raft.CommitIndex()
	if planted.Is("group: deposed leader reads without asking") {
		return g.waitApplied(ctx, index)
	}
	switch term, err := g.verify.lead(ctx, g); {
	case err != nil:
		return err
	case term != t.term: // it led before and leads again: another may have led between
		return connectors.ErrUnavailable
	}
	return g.waitApplied(ctx, index)
}

// waitApplied waits until the log is applied up to an index.
func (g *Group) waitApplied(ctx context.Context, index uint64) error {
	if g.appliedIndex.Load() >= index {
		return nil
	}
	defer context.AfterFunc(ctx, g.wakeReaders)()
	g.movedMu.Lock()
	defer g.movedMu.Unlock()
	for g.appliedIndex.Load() < index {
		if g.stopped() {
			return connectors.ErrUnavailable
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		g.moved.Wait()
	}
	return nil
}

// wakeReaders has all who wait for the log look again. It takes the mutex, so
// that none of them is between looking and waiting.
func (g *Group) wakeReaders() {
	g.movedMu.Lock()
	g.moved.Broadcast()
	g.movedMu.Unlock()
}

// verifier shares one check of the leadership among all reads that wait for
// one. A read may only use a check that began after it came.
type verifier struct {
	mu   sync.Mutex // guards what follows
	next *check     // not begun yet
	busy bool       // one is under way
}

type check struct {
	done chan struct{}
	term uint64 // in which this replica led
	err  error
}

// lead returns once it is certain that this replica led after the call, and says
// in which term.
func (v *verifier) lead(ctx context.Context, g *Group) (term uint64, err error) {
	v.mu.Lock()
	if v.next == nil {
		v.next = &check{done: make(chan struct{})}
	}
	c := v.next
	if !v.busy {
		v.busy = true
		g.waits.Go(func() { v.run(g) })
	}
	v.mu.Unlock()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.done:
		return c.term, c.err
	}
}

// run carries out checks until nobody waits for one.
func (v *verifier) run(g *Group) {
	for {
		v.mu.Lock()
		c := v.next
		v.next = nil
		if c == nil {
			v.busy = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		c.term = g.raft.CurrentTerm()
		c.err = g.confirm(c.term)
		close(c.done)
	}
}
