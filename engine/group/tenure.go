package group

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// tenure is one leadership of this replica. Its machines belong to the lead
// loop; what other goroutines have for them goes through the inbox.
type tenure struct {
	g        *Group
	machines *leader.Tenure
	term     uint64
	nonce    uint64 // tells our proposals from those of other tenures
	sequence uint64
	futures  chan raft.ApplyFuture
	ops      chan leader.Op
	opDone   chan struct{} // the sink's goroutine has ended
	opBusy   bool

	wake chan struct{}

	mu        sync.Mutex // guards what follows
	inbox     inbox
	proposals map[uint64]*proposal // in flight, by number

	// Owned by the lead loop.
	spare    inbox
	inputs   []Input
	added    bool // all inputs are in the intake
	opening  map[core.Partition]bool
	told     bool // the first topics have been read to their end
	arrivals map[connectors.PartitionID][]arrival
	stamps   []state.Time // log times of records, the last being the newest
	lost     error
}

// proposal is an entry of ours on its way.
type proposal struct {
	entry *core.Entry
	at    time.Time
}

// Input is an input partition that this group reads.
type Input struct {
	Partition core.Partition
	ID        connectors.PartitionID
	Start     int64 // where it begins, for the first time it is opened
}

// newTenure starts the machines. The caller holds the apply mutex.
func (g *Group) newTenure(term uint64, slots int) *tenure {
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	t := &tenure{
		g: g, term: term, nonce: binary.BigEndian.Uint64(nonce[:]),
		futures: make(chan raft.ApplyFuture, 256), ops: make(chan leader.Op, 1), opDone: make(chan struct{}),
		wake: make(chan struct{}, 1), proposals: map[uint64]*proposal{}, opening: map[core.Partition]bool{},
		arrivals: map[connectors.PartitionID][]arrival{},
	}
	start := leader.Read(g.core)
	for _, r := range start.Pending {
		t.stamps = append(t.stamps, r.Time)
	}
	t.machines = leader.New(leader.Config{Clock: g.cfg.Core.Clock, Codec: g.cfg.Core.Codec, First: g.cfg.First, Level: g.cfg.Level,
		Gap: g.cfg.Gap, Slots: slots, Limited: g.cfg.Core.Groups > 1 && g.cfg.Core.Clock == core.ClockReplay, Incarnation: g.cfg.Core.Incarnation, Shards: g.cfg.Core.Shards, TellEvery: tellEvery(&g.cfg.Core), Limits: g.cfg.Limits}, start)
	return t
}

// applied is called by the apply goroutine for every entry.
func (t *tenure) applied(a leader.Applied, entry *core.Entry) {
	t.put(func(in *inbox) { in.applied = append(in.applied, appliedEntry{a, entry}) })
}

// own finds a proposal of this tenure by what its log entry carries, and
// forgets it: it is applied once.
func (t *tenure) own(extensions []byte) *proposal {
	if len(extensions) != 16 || binary.BigEndian.Uint64(extensions) != t.nonce {
		return nil
	}
	n := binary.BigEndian.Uint64(extensions[8:])
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.proposals[n]
	delete(t.proposals, n)
	return p
}

// take hands an applied entry to the machines.
func (t *tenure) take(a *appliedEntry) {
	t.machines.Applied(a.Applied)
	for _, r := range a.Output.Records {
		t.stamps = append(t.stamps, r.Time)
	}
	if len(t.stamps) > 1024 {
		t.trimStamps()
	}
	if a.Own {
		for i := range a.entry.Items {
			if r := a.entry.Items[i].Range; r != nil {
				t.decided(r)
			}
		}
		for _, ack := range a.Output.LaneAcks {
			t.g.cfg.SendLaneAck(ack)
		}
	}
	if len(t.opening) > 0 {
		t.addInputs()
	}
}

// arrived notes when a batch's records came.
func (t *tenure) arrived(b arrivedBatch) {
	if b.Position > b.From {
		t.arrivals[b.Partition] = append(t.arrivals[b.Partition], arrival{b.Position, b.at})
	}
}

// decided measures, once per fetch, how long its records took to be applied.
func (t *tenure) decided(r *core.Range) {
	s := t.machines.Intake.Source(r.Partition)
	if s == nil {
		return
	}
	list := t.arrivals[s.ID()]
	n := 0
	for n < len(list) && list[n].below <= r.To {
		t.g.cfg.Metrics.Decided(time.Since(list[n].at))
		n++
	}
	t.arrivals[s.ID()] = list[n:]
}

// oldest is the log time of the oldest record not known to be in Kafka.
func (t *tenure) oldest() state.Time {
	t.trimStamps()
	if len(t.stamps) == 0 {
		return 0
	}
	return t.stamps[0]
}

// trimStamps forgets the times of records that are delivered: delivery is in
// order of emission, so the last ones are left.
func (t *tenure) trimStamps() {
	if n := len(t.stamps) - t.machines.Delivery.Depth(); n > 0 {
		t.stamps = slices.Delete(t.stamps, 0, n)
	}
}

// setInputs says which partitions this group reads. Those not open in the log
// yet are opened by an entry first. What was asked to be opened before is asked
// again: it may have been refused while its shard was on the move.
func (t *tenure) setInputs(list []Input) {
	t.inputs, t.added = list, false
	clear(t.opening)
	t.addInputs()
}

// tellEvery is how long a group keeps silent that is not alone: as long as half
// an event may be late.
func tellEvery(cfg *core.Config) state.Time {
	if cfg.Groups == 1 || cfg.Clock == core.ClockReplay {
		return 0
	}
	return max(cfg.Lateness, 10*state.Second) / 2
}

// elsewhere is the position of a partition that is not to be read here.
const elsewhere = -1

// addInputs starts the sources once all partitions are open: the merge of the
// replay clock must know all of them before it lets anything pass.
func (t *tenure) addInputs() {
	g := t.g
	g.mu.Lock()
	if g.core == nil { // the tenure is over: another leader's snapshot is being installed
		g.mu.Unlock()
		return
	}
	idle := map[core.Partition]bool{}
	for _, p := range g.core.Partitions() {
		idle[p.Partition] = p.Idle
	}
	next := make([]int64, len(t.inputs))
	closed := 0
	for i := range t.inputs {
		in := &t.inputs[i]
		if !g.core.Serves(core.PartitionShard(in.Partition, g.cfg.Core.Shards)) {
			next[i] = elsewhere // its shard is on the move: whoever has it then reads it
			continue
		}
		var open bool
		if next[i], open = g.core.Next(in.Partition); open {
			delete(t.opening, in.Partition)
			continue
		}
		closed++
		if !t.opening[in.Partition] {
			t.opening[in.Partition] = true
			t.machines.Proposer.Control(&core.Control{Kind: core.ControlOpen, Partition: &in.Partition, From: in.Start})
		}
	}
	g.mu.Unlock()
	if closed > 0 {
		return
	}
	for i, in := range t.inputs {
		if next[i] == elsewhere {
			continue
		}
		t.machines.Intake.Add(in.Partition, in.ID, next[i], idle[in.Partition])
	}
	t.added = true
}

// propose proposes all entries that are due.
func (t *tenure) propose(now state.Time) error {
	g := t.g
	for e := t.machines.Proposer.Next(now); e != nil; e = t.machines.Proposer.Next(now) {
		data, err := g.cfg.Core.Codec.Append(nil, uint8(e.Level), e)
		if err != nil {
			return fmt.Errorf("encode entry: %w", err)
		}
		t.sequence++
		extensions := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, t.nonce), t.sequence)
		t.mu.Lock()
		t.proposals[t.sequence] = &proposal{entry: e, at: time.Now()}
		t.mu.Unlock()
		g.cfg.Metrics.Proposed(len(data), events(e))
		t.futures <- g.raft.ApplyLog(raft.Log{Data: data, Extensions: extensions}, 0)
	}
	return nil
}

// events counts what an entry brings in from outside.
func events(e *core.Entry) (n int) {
	for i := range e.Items {
		switch it := &e.Items[i]; {
		case it.Range != nil:
			n += len(it.Range.Events)
		case it.Command != nil:
			n++
		}
	}
	return n
}

// awaitFutures reports a proposal that was refused, or whose fate is unknown.
// Either ends the tenure: the next one begins with what the log really has.
func (t *tenure) awaitFutures() {
	for f := range t.futures {
		if err := f.Error(); err != nil {
			t.put(func(in *inbox) {
				if in.lost == nil {
					in.lost = err
				}
			})
		}
	}
}

// deliver carries out operations on the sink, one at a time, until ops is
// closed.
func (t *tenure) deliver(ctx context.Context, sink connectors.Sink) {
	defer close(t.opDone)
	defer sink.Close()
	for op := range t.ops {
		o := outcome{op: op.Kind}
		name := "send"
		switch op.Kind {
		case leader.OpOpen:
			name = "open"
			o.progress, o.err = sink.Open(ctx, op.From)
		case leader.OpSend:
			o.offset, o.err = t.send(ctx, sink, op)
		}
		t.g.cfg.Metrics.Delivered(name, outcomeName(o.err))
		t.put(func(in *inbox) { in.outcomes = append(in.outcomes, o) })
	}
}

func (t *tenure) send(ctx context.Context, sink connectors.Sink, op leader.Op) (int64, error) {
	records := make([]connectors.OutRecord, len(op.Records))
	for i, r := range op.Records {
		var err error
		if records[i], err = t.g.cfg.Encoder.Encode(r); err != nil {
			return 0, fmt.Errorf("%w: encode record %s: %w", connectors.ErrPermanent, r.ID, err)
		}
	}
	return sink.Send(ctx, op.Slot, records, op.Through)
}
