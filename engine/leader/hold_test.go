package leader

import (
	"testing"

	"anabranch.dev/engine/core"
)

// laneItems counts what an entry brings of other groups.
func laneItems(e *core.Entry) (n int) {
	if e == nil {
		return 0
	}
	for i := range e.Items {
		if e.Items[i].Lane != nil || e.Items[i].LaneAck != nil {
			n++
		}
	}
	return n
}

// A hold keeps messages and acknowledgements of other groups out of the log, is
// complete when none is on its way, and lets everything else pass.
func TestHold(t *testing.T) {
	tenure := newTestTenure(func(_ *Config, s *Start) {
		s.Lanes = []core.LaneOut{{From: 1, To: 9, Number: 1, Message: &core.Message{Key: "a"}}, {From: 1, To: 9, Number: 2, Message: &core.Message{Key: "b"}}}
	})
	p := tenure.Proposer
	lane := func(first uint64) *core.Lane {
		return &core.Lane{Incarnation: 7, From: 9, To: 1, First: first, Messages: []core.Message{{Key: "c"}}}
	}
	p.Lane(lane(1))
	before := p.Next(sec(0))
	if laneItems(before) != 1 {
		t.Fatalf("entry %+v; want a lane in it", before)
	}
	tenure.Hold("h", sec(3))
	if lasts, complete := tenure.Held("h", sec(0)); !lasts || complete {
		t.Errorf("Held = %v, %v; want a hold that waits for the entry on its way", lasts, complete)
	}
	p.Lane(lane(2))
	tenure.LaneAcked(core.LaneAck{From: 1, To: 9, Through: 1})
	p.Command(&core.Command{})
	tenure.Applied(Applied{Own: true, Output: &core.Output{Time: before.Time}})
	if lasts, complete := tenure.Held("h", sec(1)); !lasts || !complete {
		t.Errorf("Held = %v, %v; want a complete hold", lasts, complete)
	}
	e := p.Next(sec(1))
	if e == nil || laneItems(e) != 0 || e.Items[len(e.Items)-1].Command == nil {
		t.Fatalf("entry %+v; want the command alone", e)
	}
	if tenure.Release("other", sec(1)) {
		t.Error("another hold was released")
	}
	if !tenure.Release("h", sec(2)) || tenure.Release("h", sec(2)) {
		t.Error("a hold is not released exactly once")
	}
	tenure.Applied(Applied{Own: true, Output: &core.Output{Time: e.Time}})
	if e = p.Next(sec(2)); laneItems(e) != 2 {
		t.Errorf("entry %+v; want the message and the acknowledgement that waited", e)
	}
}

// A hold ends by itself, and is then known not to have lasted.
func TestHoldEnds(t *testing.T) {
	tenure := newTestTenure(nil)
	tenure.Hold("h", sec(3))
	tenure.Proposer.Lane(&core.Lane{Incarnation: 7, From: 9, To: 1, First: 1, Messages: []core.Message{{Key: "c"}}})
	if at := tenure.WakeAt(sec(1)); at == 0 || at > sec(3) {
		t.Errorf("WakeAt = %v; want %v at the latest", at, sec(3))
	}
	if e := tenure.Proposer.Next(sec(3)); laneItems(e) != 1 {
		t.Errorf("entry %+v; want what waited for the end", e)
	}
	if tenure.Release("h", sec(3)) {
		t.Error("a hold that ended was released as if it had lasted")
	}
}
