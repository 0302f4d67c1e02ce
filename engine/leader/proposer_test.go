package leader

import (
	"strings"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

func command(id string) *core.Command { return &core.Command{Event: operators.Event{ID: id}} }

// At once when nothing is in flight, else only full entries, and few of them.
func TestProposerGathers(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Limits = Limits{EntryBytes: 300, InFlight: 2} })
	p := ten.Proposer
	p.Command(command("a"))
	expect(t, "first", p.Next(sec(0)), "command a")
	p.Command(command("b"))
	expect(t, "while one is in flight", p.Next(sec(0)), "nothing")
	for range 4 {
		p.Command(command("c"))
	}
	if e := p.Next(sec(0)); e == nil || len(e.Items) == 5 {
		t.Errorf("with enough waiting: %v; want a bounded entry", show(e))
	}
	expect(t, "with two in flight", p.Next(sec(0)), "nothing")
	apply(ten, sec(0))
	expect(t, "with one in flight and little waiting", p.Next(sec(0)), "nothing")
	apply(ten, sec(0))
	if p.InFlight() != 0 || p.Next(sec(0)) == nil {
		t.Error("the rest is not proposed when nothing is in flight any more")
	}
}

func TestProposerLogTime(t *testing.T) {
	ten := newTestTenure(func(_ *Config, s *Start) { s.LogTime = sec(10) })
	p := ten.Proposer
	var last state.Time
	for i, c := range []struct{ now, want float64 }{
		{0, 10},   // behind what was stamped before: stands still
		{1, 10.5}, // and goes on at half speed
		{3, 11.5}, //
		{3, 11.5}, //
		{2, 11.5}, // the clock goes back: log time does not
		{20, 20},  // caught up
		{19, 20},  //
		{20.5, 20.5},
	} {
		p.Command(command("c"))
		e := p.Next(sec(c.now))
		if e.Time != sec(c.want) || e.Time < last {
			t.Errorf("step %d: log time at %v = %v; want %v", i, sec(c.now), e.Time, sec(c.want))
		}
		last = e.Time
		apply(ten, e.Time)
	}
	// Another leader's stamp, learned from an applied entry, counts as well.
	apply(ten, sec(30))
	p.Command(command("c"))
	if e := p.Next(sec(21)); e.Time < sec(30) {
		t.Errorf("log time = %v; want at least %v, which was applied", e.Time, sec(30))
	}
}

// A due timer makes an empty entry, once, and only when nothing is in flight.
func TestProposerTick(t *testing.T) {
	ten := newTestTenure(func(_ *Config, s *Start) { s.NextTimer = sec(5) })
	p := ten.Proposer
	if e := p.Next(sec(4)); e != nil {
		t.Errorf("Next before the timer = %v; want nothing", show(e))
	}
	if at := ten.WakeAt(sec(4)); at != sec(5) {
		t.Errorf("WakeAt = %v; want %v", at, sec(5))
	}
	if e := p.Next(sec(5)); e == nil || len(e.Items) != 0 || e.Time != sec(5) {
		t.Errorf("Next at the timer = %+v; want an empty entry", e)
	}
	if at := ten.WakeAt(sec(5)); at != 0 {
		t.Errorf("WakeAt with a tick in flight = %v; want never", at)
	}
	ten.Applied(Applied{Own: true, Output: &core.Output{Time: sec(5)}, NextTimer: sec(7)})
	if e := p.Next(sec(6)); e != nil {
		t.Errorf("Next after the tick = %v; want nothing", show(e))
	}
	if e := p.Next(sec(7)); e == nil {
		t.Error("Next at the following timer = nothing; want a tick")
	}
}

// Acknowledgements go along with an entry, and make one of their own only when
// none comes for a while, when the outbox is too full, or at the end.
func TestProposerAcksGoAlong(t *testing.T) {
	ten := newTestTenure(nil)
	p := ten.Proposer
	ack := func() { p.acks = append(p.acks, core.Ack{Shard: 1, Through: 2}) }
	ack()
	if e := p.Next(sec(1)); e != nil {
		t.Errorf("entry for an acknowledgement at once = %v; want nothing", show(e))
	}
	at := ten.WakeAt(sec(1))
	if at <= sec(1) || at > sec(1.1) {
		t.Errorf("WakeAt = %v; want it soon, but not now", at)
	}
	expect(t, "entry when it is due", p.Next(at), "ack 1 through 2 progress 0")
	apply(ten, at)
	ack()
	p.Command(command("c"))
	expect(t, "entry of another thing", p.Next(at), "ack 1 through 2 progress 0; command c")
	apply(ten, at)
	ack()
	p.Flush()
	expect(t, "entry at the end", p.Next(at), "ack 1 through 2 progress 0")
	apply(ten, at)
	p.Flush()
	if e := p.Next(at); e != nil {
		t.Errorf("entry without anything = %v; want nothing", show(e))
	}
}

// Above the outbox's limit only external input stops.
func TestProposerPressure(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Limits = Limits{OutboxRecords: 10} })
	p := ten.Proposer
	part0, id := part("sales", 0)
	ten.Intake.Add(part0, id, 0, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, id, 0, 1, sec(0), record(0, "a"))
	ten.Applied(Applied{Own: true, Output: &core.Output{Time: sec(0)}, OutboxRecords: 11, NextTimer: sec(1)})
	if !p.Pressed() {
		t.Fatal("Pressed() = false above the limit")
	}
	p.Command(command("c"))
	p.Control(&core.Control{Kind: core.ControlSkip})
	p.Lane(&core.Lane{From: 1, To: 2, First: 1, Messages: []core.Message{{}}})
	p.laneAck(core.LaneAck{From: 3, To: 4, Through: 5})
	p.laneAck(core.LaneAck{From: 3, To: 4, Through: 4})
	p.acks = []core.Ack{{Shard: 1, Through: 9, Progress: 2}}
	expect(t, "entry under pressure", p.Next(sec(0)),
		"ack 1 through 9 progress 2; lane ack 3>4 through 5; skip [0,0) ; lane 1>2 first 1 of 1")
	ten.Applied(Applied{Own: true, Output: &core.Output{Time: sec(0)}, OutboxRecords: 11, NextTimer: sec(1)})
	if e := p.Next(sec(1)); e == nil || len(e.Items) != 0 {
		t.Errorf("timer under pressure = %v; want a tick", show(e))
	}
	apply(ten, sec(1))
	e := strings.Join(show(p.Next(sec(1))), "; ")
	if !strings.Contains(e, "command c") || !strings.Contains(e, "sales/0 [0,1) 0:a") {
		t.Errorf("entry after the pressure = %s; want the command and the range", e)
	}
}

// Everything in an entry that was not appended comes again.
func TestProposerFailed(t *testing.T) {
	ten := newTestTenure(nil)
	p := ten.Proposer
	p.acks = []core.Ack{{Shard: 1, Through: 2}, {Shard: 1, Through: 3}}
	p.laneAck(core.LaneAck{From: 1, To: 2, Through: 3})
	p.Control(&core.Control{Kind: core.ControlOpen})
	p.Lane(&core.Lane{From: 5, To: 6, First: 7, Messages: []core.Message{{}}})
	p.Command(command("c"))
	e := p.Next(sec(0))
	before := strings.Join(show(e), "; ")
	p.Failed(e)
	p.Failed(e)
	expect(t, "entry again", p.Next(sec(0)), before)
	if p.Next(sec(0)) != nil {
		t.Error("something came twice")
	}
}

func TestProposerQueuesAreBounded(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Limits = Limits{QueueBytes: 1000} })
	n := 0
	for ten.Proposer.Command(command("c")) {
		n++
	}
	if n == 0 || n > 15 {
		t.Errorf("%d commands queued; want a few", n)
	}
	large := command(strings.Repeat("x", 2000))
	if ten.Proposer.Command(large) {
		t.Error("a large command was queued behind others")
	}
	for ten.Proposer.Next(sec(0)) != nil {
		apply(ten, sec(0))
	}
	if !ten.Proposer.Command(large) {
		t.Error("an empty queue refuses a large command")
	}
}

// An entry of a newer leader makes a tenure go quiet.
func TestDeposed(t *testing.T) {
	ten := newTestTenure(nil)
	ten.Proposer.Command(command("c"))
	ten.Applied(Applied{Output: &core.Output{Time: sec(1), Records: []*operators.Record{{Shard: 1, Outbox: 1, Position: 1}}}})
	if !ten.Deposed() || ten.Proposer.Next(sec(2)) != nil || ten.Delivery.Next(sec(2)).Kind != OpNone || ten.WakeAt(sec(2)) != 0 {
		t.Errorf("deposed = %v, entry, delivery or wake-up after it; want silence", ten.Deposed())
	}
}

// A group that is not alone says how late it is, though it has nothing to decide.
func TestProposerTells(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.TellEvery = 5 * state.Second })
	p := ten.Proposer
	expect(t, "at the beginning", p.Next(sec(0)), "")
	apply(ten, sec(0))
	expect(t, "soon after", p.Next(sec(4.9)), "nothing")
	if at := ten.WakeAt(sec(4.9)); at != sec(5) {
		t.Errorf("WakeAt = %v; want when it is to be told", at)
	}
	p.Command(command("a"))
	expect(t, "a command", p.Next(sec(4.9)), "command a")
	apply(ten, sec(4.9))
	expect(t, "silent for less", p.Next(sec(9)), "nothing")
	expect(t, "silent for as long", p.Next(sec(9.9)), "")
}

// TestShardsComeAndGo has a tenure hear of shards that leave and come back: their
// sources end, their lanes begin anew, and numbers of an earlier time that are
// found in Kafka are no fault.
func TestShardsComeAndGo(t *testing.T) {
	const shards = 16
	words, id := part("words", 3)
	own := core.PartitionShard(words, shards)
	ten := newTestTenure(func(cfg *Config, s *Start) {
		cfg.Shards = shards
		s.Outboxes = []Outbox{{Shard: uint64(own), Acked: 9, End: 9}}
		s.Lanes = []core.LaneOut{{From: own, To: 5, Number: 4, Message: &core.Message{}}}
	})
	ten.Intake.Add(words, id, 0, true)
	tell := func(changes ...core.ShardChange) {
		ten.Applied(Applied{Own: true, Output: &core.Output{Moved: changes}})
	}
	tell(core.ShardChange{Shard: own, Change: core.ShardFrozen})
	if ten.Intake.Source(words) != nil {
		t.Error("the partition of a frozen shard is still read")
	}
	tell(core.ShardChange{Shard: own, Change: core.ShardPlaced}, core.ShardChange{Shard: own, Change: core.ShardLeft})
	if n := ten.Lanes.Depth(); n != 0 {
		t.Errorf("%d messages of a shard that left wait; want none", n)
	}
	tell(core.ShardChange{Shard: own, Change: core.ShardPlaced}, core.ShardChange{Shard: own, Change: core.ShardCame, Acked: 20, End: 20})
	ten.Applied(Applied{Own: true, Output: &core.Output{Lanes: []core.LaneOut{{From: own, To: 5, Number: 11, Message: &core.Message{}}}}})
	if n := ten.Lanes.Depth(); n != 1 {
		t.Errorf("%d messages of a shard that came back wait; want the new one", n)
	}
	if op := ten.Delivery.Next(sec(0)); op.Kind != OpOpen {
		t.Fatalf("delivery does %v first; want it to open the sink", op.Kind)
	}
	ten.Opened(Progress{Through: map[uint16]uint64{uint16(own): 9}, Offset: 1}, nil, sec(0))
	if s := ten.Delivery.State(); s != Ready {
		t.Errorf("delivery is %s: %s; want it ready", s, ten.Delivery.Why())
	}
}
