package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/internal/planted"
)

// lead serves one tenure after the other, as Raft makes this replica leader.
func (g *Group) lead(ctx context.Context) {
	for ctx.Err() == nil && !g.stopped() {
		if g.raft.State() != raft.Leader {
			select {
			case <-ctx.Done():
			case <-g.failed:
			case <-g.raft.LeaderCh():
			}
			continue
		}
		err := g.serve(ctx)
		g.cfg.Changed()
		if err != nil && ctx.Err() == nil && !g.stopped() {
			g.cfg.Log.Info("leadership ended", "group", g.cfg.Core.Group, "err", err)
			g.pause(ctx)
		}
	}
}

// pause waits a moment, or for something to change.
func (g *Group) pause(ctx context.Context) {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-g.failed:
	case <-g.raft.LeaderCh():
	case <-t.C:
	}
}

// errNotLeader ends a tenure.
var errNotLeader = errors.New("not leader any more")

// serve is one tenure: from the first applied entry of the own term until the
// leadership is lost, the group halts, or ctx ends. It returns why it ended.
func (g *Group) serve(ctx context.Context) error {
	term := g.raft.CurrentTerm()
	if err := g.barrier(ctx); err != nil {
		return err
	}
	if term != g.raft.CurrentTerm() {
		return errNotLeader // and again since
	}
	if g.halted.Load() {
		return g.sitOut(ctx)
	}
	sink, err := g.cfg.NewSink()
	if err != nil {
		g.fail("sink", fmt.Errorf("sink: %w", err))
		return err
	}
	g.mu.Lock()
	if g.core == nil { // another leader's snapshot is being installed
		g.mu.Unlock()
		sink.Close()
		return errNotLeader
	}
	t := g.newTenure(term, sink.Slots())
	g.tenure.Store(t)
	g.mu.Unlock()
	g.waits.Go(t.awaitFutures)
	opCtx, cancelOps := context.WithCancel(context.Background())
	go t.deliver(opCtx, sink)
	g.cfg.Metrics.Elected()
	g.cfg.Changed()

	err = t.run(ctx)
	if ctx.Err() != nil {
		t.finish(g.cfg.Drain)
	}

	g.mu.Lock()
	g.tenure.Store(nil)
	g.mu.Unlock()
	g.replies.lose()
	close(t.ops)
	cancelOps()
	<-t.opDone
	close(t.futures)
	var gone []leader.Action
	for _, s := range t.machines.Intake.Sources() {
		gone = append(gone, leader.Action{Kind: leader.Remove, Partition: s.ID()})
	}
	g.cfg.Fetch(t.nonce, gone)
	return err
}

// barrier waits until everything up to and including an entry of our own term
// is applied.
func (g *Group) barrier(ctx context.Context) error {
	f := g.raft.Barrier(0)
	if planted.Is("group: reads before an entry of the own term") {
		g.waits.Go(func() {
			if f.Error() == nil {
				g.advance(f.(raft.IndexFuture).Index())
			}
		})
		return nil
	}
	done := make(chan error, 1)
	g.waits.Go(func() { done <- f.Error() })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-g.failed:
		return g.Err()
	case err := <-done:
		if f, ok := f.(raft.IndexFuture); ok && err == nil {
			g.advance(f.Index())
		}
		return err
	}
}

// sitOut waits while the group is halted. Nothing is proposed meanwhile but a
// skip; see [Group.Skip].
func (g *Group) sitOut(ctx context.Context) error {
	for g.halted.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.failed:
			return g.Err()
		case is := <-g.raft.LeaderCh():
			if !is {
				return errNotLeader
			}
		case <-g.pokes:
		}
	}
	return nil
}

// run drives the machines until the tenure ends.
func (t *tenure) run(ctx context.Context) error {
	g := t.g
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := t.step(true); err != nil {
			return err
		}
		t.wakeIn(timer)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.failed:
			return g.Err()
		case is := <-g.raft.LeaderCh():
			if !is {
				return errNotLeader
			}
		case <-t.wake:
		case <-timer.C:
		}
	}
}

// wakeIn sets the timer to when the machines want to be asked again.
func (t *tenure) wakeIn(timer *time.Timer) {
	now := t.g.now()
	at := t.machines.WakeAt(now)
	if at == 0 {
		timer.Stop()
		return
	}
	timer.Reset(max(0, time.Duration(at-now)*time.Microsecond))
}

// step hands in what came and carries out what is wanted. Without intake,
// nothing new is begun but what delivery has to say.
func (t *tenure) step(intake bool) error {
	g := t.g
	now := g.now()
	t.drain(now)
	switch {
	case t.lost != nil:
		return fmt.Errorf("propose: %w", t.lost)
	case t.machines.Deposed(), t.term != g.raft.CurrentTerm():
		return errNotLeader
	case g.halted.Load():
		return errors.New("group is halted")
	}
	if intake {
		if do := t.machines.Intake.Actions(now); len(do) > 0 {
			g.cfg.Fetch(t.nonce, do)
		}
		if err := t.propose(now); err != nil {
			g.fail("propose", err)
			return err
		}
		for _, l := range t.machines.Lanes.Next(now) {
			g.cfg.SendLane(l)
		}
		if t.checkFirst() {
			g.cfg.Changed()
		}
		if !t.opBusy {
			if op := t.machines.Delivery.Next(now); op.Kind != leader.OpNone {
				t.opBusy = true
				t.ops <- op
			}
		}
	}
	return nil
}

// checkFirst notes that the first topics have been read to their end, and
// reports whether that is news.
func (t *tenure) checkFirst() bool {
	if !t.added || t.told || !t.machines.FirstRead() {
		return false
	}
	t.told = true
	return true
}

// finish waits, for a while, until what is in flight is applied and what is
// being sent is sent. The acknowledgement that delivery then has to make is
// proposed too, so that the next start sends nothing twice.
func (t *tenure) finish(limit time.Duration) {
	g := t.g
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	last := false
	for {
		if t.step(false) != nil {
			return
		}
		if t.machines.Proposer.InFlight() == 0 && !t.opBusy {
			if last {
				return
			}
			last = true
			t.machines.Proposer.Flush()
			if t.propose(g.now()) != nil || t.machines.Proposer.InFlight() == 0 {
				return
			}
		}
		select {
		case <-deadline.C:
			g.cfg.Log.Warn("stopped with work in flight", "group", g.cfg.Core.Group, "entries", t.machines.Proposer.InFlight(), "sending", t.opBusy)
			return
		case <-g.failed:
			return
		case <-t.wake:
		}
	}
}

func outcomeName(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, connectors.ErrFenced):
		return "fenced"
	case errors.Is(err, connectors.ErrMaybe):
		return "maybe"
	case errors.Is(err, connectors.ErrPermanent):
		return "permanent"
	}
	return "retry"
}

// serving is the current tenure, or nil.
func (g *Group) serving() *tenure { return g.tenure.Load() }

// Leading reports whether this replica leads and serves.
func (g *Group) Leading() bool { return g.serving() != nil }

// Tenure names the current leadership of this replica, if it serves one.
func (g *Group) Tenure() (id uint64, leads bool) {
	if t := g.serving(); t != nil {
		return t.nonce, true
	}
	return 0, false
}

// Halted reports whether a broken invariant has halted the group.
func (g *Group) Halted() bool { return g.halted.Load() }

// Partitions lists the partitions whose positions the group keeps.
func (g *Group) Partitions() []core.PartitionState {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil {
		return nil
	}
	return g.core.Partitions()
}
