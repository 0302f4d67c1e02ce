package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Submit brings an event in and waits for its outcome; with answer also for the
// decision. Asking again with the same (source, id) is safe.
func (g *Group) Submit(ctx context.Context, e operators.Event, answer bool) (connectors.Reply, error) {
	start := time.Now()
	if t := g.serving(); t != nil && planted.Is("group: idempotency key forgotten after a leader change") {
		e.ID = fmt.Sprint(e.ID, "@", t.term)
	}
	c := &core.Command{Event: e, Answer: answer}
	w, err := g.enqueue(replyKey{source: e.Source, id: e.ID}, g.shardOf(&e), ofCaller, func(in *inbox, w *waiter) { in.commands = append(in.commands, waitedCommand{c, w}) })
	if err != nil {
		return connectors.Reply{}, err
	}
	defer g.replies.remove(w)
	for {
		r, err := w.next(ctx)
		if err != nil {
			return connectors.Reply{}, err
		}
		if r.Outcome == core.OutcomeAnswer {
			// A handler that answers at once does so before its outcome is
			// known to be applied, which it is: else there were no answer.
			return connectors.Reply{Outcome: core.OutcomeApplied, Decision: r.Answer, Index: r.index}, nil
		}
		g.cfg.Metrics.Decided(time.Since(start))
		got := connectors.Reply{Outcome: r.Outcome, Code: r.Code, DeadLetter: r.DeadLetter, Decision: r.Answer, Index: r.index}
		if !answer || r.Outcome != core.OutcomeApplied || got.Decision != "" {
			return got, nil
		}
	}
}

// shardOf is the shard of an event's primary key, if that is known.
func (g *Group) shardOf(e *operators.Event) state.Shard {
	input := g.cfg.Core.Plan.Input(e.Type)
	if input == nil || e.Payload.Value == nil {
		return noShard
	}
	return state.ShardOf(input.Key(e.Payload.Value), g.cfg.Core.Shards)
}

// Control has a control applied and waits for its outcome.
func (g *Group) Control(ctx context.Context, c core.Control) (connectors.Reply, error) {
	c.ID = rand.Text()
	b := ofCaller
	if c.Kind == core.ControlThaw || c.Kind == core.ControlPlaced {
		b = ofMove
	}
	w, err := g.enqueue(replyKey{control: true, id: c.ID}, noShard, b, func(in *inbox, _ *waiter) { in.controls = append(in.controls, &c) })
	if err != nil {
		return connectors.Reply{}, err
	}
	defer g.replies.remove(w)
	r, err := w.next(ctx)
	return connectors.Reply{Outcome: r.Outcome, Code: r.Code, DeadLetter: r.DeadLetter, Index: r.index}, err
}

// enqueue registers a caller and leaves its wish for the lead loop, if there is
// one.
func (g *Group) enqueue(key replyKey, shard state.Shard, b behalf, put func(in *inbox, w *waiter)) (*waiter, error) {
	w := g.replies.add(key, shard, b)
	if w == nil {
		return nil, connectors.ErrOverloaded
	}
	// Registered first: a tenure that ends now tells us, and one that ended
	// before isn't found.
	t := g.serving()
	if t == nil {
		g.replies.remove(w)
		return nil, connectors.ErrUnavailable
	}
	t.put(func(in *inbox) { put(in, w) })
	return w, nil
}

// next waits for the next reply.
func (w *waiter) next(ctx context.Context) (reply, error) {
	select {
	case <-ctx.Done():
		return reply{}, fmt.Errorf("%w: %w", connectors.ErrUnknown, ctx.Err())
	case r := <-w.ch:
		switch {
		case r.lost:
			return reply{}, connectors.ErrUnknown
		case r.refused:
			return reply{}, connectors.ErrOverloaded
		}
		return r, nil
	}
}

// Skip steps over the message that halts the group. While it is halted there
// is no tenure, so that the skip is proposed alone.
func (g *Group) Skip(ctx context.Context, index, message uint64) error {
	g.mu.Lock()
	halt := (*core.Halt)(nil)
	if g.core != nil {
		halt = g.core.Halted()
	}
	g.mu.Unlock()
	switch {
	case halt == nil:
		return fmt.Errorf("%w: group %d is not halted", connectors.ErrNotFound, g.cfg.Core.Group)
	case halt.Index != index || halt.Message != message:
		return fmt.Errorf("%w: group %d is halted by message %d of entry %d", connectors.ErrNotFound, g.cfg.Core.Group, halt.Message, halt.Index)
	}
	entry := &core.Entry{Level: g.Level(), Items: []core.Item{{Control: &core.Control{
		ID: rand.Text(), Kind: core.ControlSkip, Index: index, Message: message}}}}
	w := g.replies.add(replyKey{control: true, id: entry.Items[0].Control.ID}, noShard, ofCaller)
	if w == nil {
		return connectors.ErrOverloaded
	}
	defer g.replies.remove(w)
	data, err := g.cfg.Core.Codec.Append(nil, uint8(entry.Level), entry)
	if err != nil {
		return fmt.Errorf("encode skip: %w", err)
	}
	refused := make(chan error, 1)
	f := g.raft.Apply(data, 0)
	g.waits.Go(func() {
		if err := f.Error(); err != nil {
			refused <- err
		}
	})
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", connectors.ErrUnknown, ctx.Err())
	case <-g.failed:
		return connectors.ErrUnknown
	case err := <-refused:
		if errors.Is(err, raft.ErrNotLeader) {
			return fmt.Errorf("%w: %w", connectors.ErrUnavailable, err)
		}
		return fmt.Errorf("%w: %w", connectors.ErrUnknown, err)
	case r := <-w.ch:
		if r.lost { // a tenure ended meanwhile
			return connectors.ErrUnknown
		}
		return nil
	}
}
