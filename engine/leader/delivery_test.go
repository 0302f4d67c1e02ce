package leader

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

func newTestDelivery(records int, outboxes ...Outbox) *Delivery {
	s := Start{Outboxes: outboxes, Progress: 100}
	for i := range records {
		s.Pending = append(s.Pending, out(1, uint64(i+1), uint64(i+1)))
	}
	return newDelivery(Config{Codec: codec.New(), Slots: 3}, Limits{BatchRecords: 2}.withDefaults(), s)
}

func out(shard, number, position uint64) *operators.Record {
	return &operators.Record{Shard: shard, Outbox: number, Position: position}
}

func TestDeliveryRotates(t *testing.T) {
	d := newTestDelivery(7)
	op := d.Next(sec(0))
	if op.Kind != OpOpen || op.From != 100 {
		t.Fatalf("first operation = %+v; want to open from 100", op)
	}
	if again := d.Next(sec(0)); again.Kind != OpNone {
		t.Fatalf("operation while opening = %+v; want none", again)
	}
	d.opened(Progress{Offset: 104, Through: map[uint16]uint64{1: 1}}, nil, sec(0))
	var got []string
	for i := int64(0); ; i++ {
		op := d.Next(sec(0))
		if op.Kind != OpSend {
			break
		}
		got = append(got, fmt.Sprintf("slot %d: %d-%d through %d", op.Slot, op.Records[0].Outbox, op.Records[len(op.Records)-1].Outbox, op.Through[1]))
		d.sent(110+i, nil, sec(0))
	}
	want := "[slot 0: 2-3 through 3 slot 1: 4-5 through 5 slot 2: 6-7 through 7]"
	if fmt.Sprint(got) != want {
		t.Errorf("transactions = %v; want %s", got, want)
	}
	acks := fmt.Sprint(d.takeAcks())
	if want := "[{1 1 104} {1 3 110} {1 5 111} {1 7 112}]"; acks != want {
		t.Errorf("acks = %s; want %s", acks, want)
	}
	if d.Depth() != 0 || d.State() != Ready {
		t.Errorf("Depth() = %d, State() = %s; want 0, ready", d.Depth(), d.State())
	}
}

// Only the last ack of a transaction carries its new offset.
func TestDeliveryAcks(t *testing.T) {
	d := newTestDelivery(0)
	d.add([]*operators.Record{out(9, 1, 1), out(3, 1, 2)})
	d.Next(sec(0))
	d.opened(Progress{Offset: 100}, nil, sec(0))
	d.Next(sec(0))
	d.sent(102, nil, sec(0))
	if got, want := fmt.Sprint(d.takeAcks()), "[{3 1 100} {9 1 102}]"; got != want {
		t.Errorf("acks = %s; want %s", got, want)
	}
}

// What stops delivery for good, and what opens the sink again after an entry.
func TestDeliveryErrors(t *testing.T) {
	busy := errors.New("busy")
	for _, c := range []struct {
		name  string
		open  Progress
		err   error
		send  error
		state DeliveryState
		why   string
	}{
		{name: "above the end", open: Progress{Through: map[uint16]uint64{1: 4}}, state: Stopped,
			why: "progress topic: shard 1 is at 4, but its outbox ends at 3"},
		{name: "below the acknowledged", open: Progress{Through: map[uint16]uint64{2: 4}}, state: Stopped,
			why: "progress topic: shard 2 is at 4, but 5 was acknowledged"},
		{name: "unknown shard", open: Progress{Through: map[uint16]uint64{8: 1}}, state: Stopped,
			why: "progress topic: shard 8 is at 1, but its outbox is empty"},
		{name: "open fails", err: busy, state: Waiting, why: "busy"},
		{name: "open is denied", err: fmt.Errorf("topic x: %w", connectors.ErrPermanent), state: Stopped, why: "topic x: not retryable"},
		{name: "fenced", send: connectors.ErrFenced, state: Waiting, why: "fenced by a newer leader"},
		{name: "maybe", send: connectors.ErrMaybe, state: Waiting, why: "outcome unknown"},
		{name: "send fails", send: busy, state: Waiting, why: "busy"},
		{name: "send is denied", send: connectors.ErrPermanent, state: Stopped, why: "not retryable"},
	} {
		d := newTestDelivery(3, Outbox{Shard: 2, Acked: 5, End: 5})
		d.Next(sec(0))
		d.opened(c.open, c.err, sec(0))
		if c.send != nil {
			d.Next(sec(0))
			d.sent(0, c.send, sec(0))
		}
		if d.State() != c.state || d.Why() != c.why {
			t.Errorf("%s: %s, %q; want %s, %q", c.name, d.State(), d.Why(), c.state, c.why)
		}
		if d.Next(sec(100)).Kind != OpNone {
			t.Errorf("%s: goes on without an entry", c.name)
		}
		if c.state != Waiting {
			continue
		}
		if !d.needsEntry() || d.needsEntry() {
			t.Errorf("%s: does not ask for an entry exactly once", c.name)
		}
		d.confirmed()
		if op := d.Next(sec(100)); op.Kind != OpOpen {
			t.Errorf("%s: %+v after the entry; want to open", c.name, op)
		}
	}
}

// An error that may pass is met with longer and longer pauses.
func TestDeliveryBacksOff(t *testing.T) {
	d := newTestDelivery(1)
	var pauses []state.Time
	now := sec(0)
	for range 8 {
		if d.Next(now).Kind != OpOpen {
			t.Fatal("does not open when the pause is over")
		}
		d.opened(Progress{}, errors.New("busy"), now)
		d.confirmed()
		pauses = append(pauses, d.wakeAt()-now)
		now = d.wakeAt()
	}
	if pauses[0] != 100*state.Millisecond || pauses[1] != 200*state.Millisecond || pauses[7] != 5*state.Second {
		t.Errorf("pauses = %d µs; want 100 ms, 200 ms … 5 s", pauses)
	}
}

// A reopened sink proves that the tenure still leads: an entry proposed before
// the trouble does not count.
func TestDeliveryProof(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, s *Start) { s.Pending = []*operators.Record{out(1, 1, 1)} })
	ten.Delivery.Next(sec(0))
	ten.Opened(Progress{}, nil, sec(0))
	ten.Delivery.Next(sec(0))
	ten.Proposer.Command(command("before"))
	ten.Proposer.Next(sec(0))
	ten.Sent(0, connectors.ErrFenced, sec(0))
	apply(ten, sec(0))
	if s := ten.Delivery.State(); s != Waiting {
		t.Errorf("state after an earlier entry = %s; want waiting", s)
	}
	e := ten.Proposer.Next(sec(0))
	if e == nil || len(e.Items) != 0 {
		t.Fatalf("entry = %v; want an empty one", show(e))
	}
	ten.Proposer.Failed(e)
	if e = ten.Proposer.Next(sec(0)); e == nil {
		t.Fatal("the proof is not proposed again")
	}
	apply(ten, sec(0))
	if op := ten.Delivery.Next(sec(0)); op.Kind != OpOpen {
		t.Errorf("operation after the proof = %+v; want to open", op)
	}
}

// broker commits what is sent, but does not always say so.
type broker struct {
	seen     []uint64 // positions
	progress map[uint16]uint64
	offset   int64
	calm     bool // nothing goes wrong any more
}

func (b *broker) send(t *rapid.T, op Op) (int64, error) {
	outcome := "done"
	if !b.calm {
		outcome = rapid.SampledFrom([]string{"done", "done", "done", "maybe, done", "maybe, not done", "failed", "fenced"}).Draw(t, "outcome")
	}
	if outcome == "done" || outcome == "maybe, done" {
		for _, r := range op.Records {
			b.seen = append(b.seen, r.Position)
		}
		for s, n := range op.Through {
			b.progress[s] = n
		}
		b.offset += 2
	}
	switch outcome {
	case "done":
		return b.offset, nil
	case "failed":
		return 0, errors.New("busy")
	case "fenced":
		return 0, connectors.ErrFenced
	}
	return 0, connectors.ErrMaybe
}

// Every record gets to the broker once and in order, over any outcomes, and over
// tenures that know only the acks that were applied.
func TestDeliveryExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &broker{progress: map[uint16]uint64{}}
		var all []*operators.Record
		numbers := map[uint64]uint64{}
		acked := map[uint64]uint64{}
		var progress int64
		now := sec(0)
		for n := rapid.IntRange(1, 4).Draw(t, "tenures"); n >= 0; n-- {
			b.calm = n == 0
			s := Start{Progress: progress}
			for _, r := range all {
				if r.Outbox > acked[r.Shard] {
					s.Pending = append(s.Pending, r)
				}
			}
			for shard := range uint64(3) {
				if numbers[shard] > 0 {
					s.Outboxes = append(s.Outboxes, Outbox{Shard: shard, Acked: acked[shard], End: numbers[shard]})
				}
			}
			d := newDelivery(Config{Codec: codec.New(), Slots: 4}, Limits{BatchRecords: 3}.withDefaults(), s)
			for steps := rapid.IntRange(1, 60).Draw(t, "steps"); steps > 0 || b.calm && d.Depth() > 0; steps-- {
				if !b.calm && rapid.IntRange(0, 2).Draw(t, "emit") == 0 {
					shard := rapid.Uint64Range(0, 2).Draw(t, "shard")
					numbers[shard]++
					r := out(shard, numbers[shard], uint64(len(all)+1))
					all = append(all, r)
					d.add([]*operators.Record{r})
				}
				now = now + state.Minute // all pauses are over
				switch op := d.Next(now); op.Kind {
				case OpOpen:
					d.opened(Progress{Through: b.read(op.From), Offset: b.offset}, nil, now)
				case OpSend:
					offset, err := b.send(t, op)
					d.sent(offset, err, now)
				}
				if d.needsEntry() {
					d.confirmed()
				}
				for _, a := range d.takeAcks() {
					if rapid.IntRange(0, 3).Draw(t, "applied") == 0 {
						break // a crash keeps a prefix
					}
					acked[a.Shard], progress = max(acked[a.Shard], a.Through), max(progress, a.Progress)
				}
				if d.State() == Stopped {
					t.Fatalf("stopped: %s", d.Why())
				}
			}
		}
		if len(b.seen) != len(all) {
			t.Fatalf("%d records at the broker; want %d", len(b.seen), len(all))
		}
		for i, p := range b.seen {
			if p != uint64(i+1) {
				t.Fatalf("record %d at the broker has position %d", i, p)
			}
		}
	})
}

// read is the whole progress, whatever the offset: that it may be read from
// later on is the simulator's to test.
func (b *broker) read(int64) map[uint16]uint64 {
	all := map[uint16]uint64{}
	for s, n := range b.progress {
		all[s] = n
	}
	return all
}
