package group

import (
	"context"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// inbox is what was left for the lead loop since it last looked.
type inbox struct {
	applied  []appliedEntry
	batches  []arrivedBatch
	lanes    []*core.Lane
	laneAcks []core.LaneAck
	commands []waitedCommand
	controls []*core.Control
	moves    []core.Item
	calls    []func(t *tenure)
	outcomes []outcome
	lost     error // a proposal's fate is not known, or it was refused
}

// waitedCommand is a command and who waits for its outcome.
type waitedCommand struct {
	*core.Command
	by *waiter
}

type appliedEntry struct {
	leader.Applied
	entry *core.Entry
}

type arrivedBatch struct {
	*leader.Batch
	at time.Time
}

// arrival says when records below an offset came.
type arrival struct {
	below int64
	at    time.Time
}

// outcome is what came of an operation on the sink.
type outcome struct {
	op       leader.OpKind
	progress leader.Progress
	offset   int64
	err      error
}

// put leaves something for the lead loop.
func (t *tenure) put(fn func(in *inbox)) {
	t.mu.Lock()
	fn(&t.inbox)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// drain hands what came in to the machines.
func (t *tenure) drain(now state.Time) {
	t.mu.Lock()
	in := t.inbox
	t.inbox, t.spare = t.spare, inbox{}
	t.mu.Unlock()
	for i := range in.applied {
		t.take(&in.applied[i])
	}
	for _, b := range in.batches {
		t.arrived(b)
		t.machines.Intake.Fetched(b.Batch, now)
	}
	for _, l := range in.lanes {
		t.machines.Proposer.Lane(l) // one that is not taken is sent again
	}
	for _, a := range in.laneAcks {
		t.machines.LaneAcked(a)
	}
	for _, c := range in.commands {
		if !t.machines.Proposer.Command(c.Command) {
			c.by.tell(reply{refused: true}) // the same command of another caller may be on its way
		}
	}
	for _, c := range in.controls {
		t.machines.Proposer.Control(c)
	}
	for _, it := range in.moves {
		t.machines.Proposer.Move(it)
	}
	for _, o := range in.outcomes {
		t.opBusy = false
		if o.op == leader.OpOpen {
			t.machines.Opened(o.progress, o.err, now)
		} else {
			t.machines.Sent(o.offset, o.err, now)
		}
	}
	for _, fn := range in.calls {
		fn(t)
	}
	if in.lost != nil {
		t.lost = in.lost
	}
	t.spare = in.reset()
}

// reset empties an inbox for reuse.
func (in *inbox) reset() inbox {
	clear(in.applied)
	clear(in.batches)
	clear(in.lanes)
	clear(in.commands)
	clear(in.controls)
	clear(in.moves)
	clear(in.calls)
	clear(in.outcomes)
	return inbox{applied: in.applied[:0], batches: in.batches[:0], lanes: in.lanes[:0],
		laneAcks: in.laneAcks[:0], commands: in.commands[:0],
		controls: in.controls[:0], moves: in.moves[:0], calls: in.calls[:0], outcomes: in.outcomes[:0]}
}

// Fetched hands the group what was fetched of a partition that it reads.
func (g *Group) Fetched(b *leader.Batch) {
	if t := g.serving(); t != nil {
		at := time.Now()
		t.put(func(in *inbox) { in.batches = append(in.batches, arrivedBatch{b, at}) })
	}
}

// Lane takes messages of another group's shard, if this replica leads.
func (g *Group) Lane(l *core.Lane) {
	if t := g.serving(); t != nil {
		t.put(func(in *inbox) { in.lanes = append(in.lanes, l) })
	}
}

// LaneAcked takes the news that another group has applied a lane's messages.
func (g *Group) LaneAcked(a core.LaneAck) {
	if t := g.serving(); t != nil {
		t.put(func(in *inbox) { in.laneAcks = append(in.laneAcks, a) })
	}
}

// SetInputs says which partitions the group reads, as long as this replica
// leads. It reports whether it does.
func (g *Group) SetInputs(list []Input) bool {
	return g.call(func(t *tenure) { t.setInputs(list) })
}

// OpenInputs lets the other topics in after the first topics have been read,
// in all groups.
func (g *Group) OpenInputs() bool {
	return g.call(func(t *tenure) { t.machines.Intake.OpenAll() })
}

// call runs fn on the lead loop, soon. It reports whether there is one.
func (g *Group) call(fn func(t *tenure)) bool {
	t := g.serving()
	if t == nil {
		return false
	}
	t.put(func(in *inbox) { in.calls = append(in.calls, fn) })
	return true
}

// look has fn look at the machines on the lead loop and waits for it. It
// reports whether it could: not if this replica doesn't lead.
func (g *Group) look(ctx context.Context, fn func(t *tenure)) (bool, error) {
	t := g.serving()
	if t == nil {
		return false, nil
	}
	done := make(chan struct{})
	t.put(func(in *inbox) {
		in.calls = append(in.calls, func(t *tenure) {
			fn(t)
			close(done)
		})
	})
	select {
	case <-done:
		return true, nil
	case <-t.opDone: // the tenure has ended, and looks at its inbox no more
		select {
		case <-done:
			return true, nil
		default:
			return false, nil
		}
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
