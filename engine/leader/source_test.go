package leader

import (
	"errors"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	g, w := show2(got), show2(want)
	if g != w {
		t.Errorf("%s = %s; want %s", what, g, w)
	}
}

func show2(v any) string {
	switch x := v.(type) {
	case *core.Entry:
		return strings.Join(show(x), "; ")
	case string:
		return x
	}
	panic("unknown")
}

func actions(in *Intake, now state.Time) string {
	var all []string
	for _, a := range in.Actions(now) {
		name := []string{"assign", "pause", "resume", "remove"}[a.Kind]
		if a.Kind == Assign {
			name += " " + string(rune('0'+a.Offset))
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// A range covers several records, with control records and holes inside.
func TestSourceRange(t *testing.T) {
	ten := newTestTenure(nil)
	p, id := part("sales", 0)
	ten.Intake.Add(p, id, 3, false)
	expect(t, "actions", actions(ten.Intake, sec(0)), "assign 3")
	expect(t, "actions again", actions(ten.Intake, sec(0)), "")
	fetched(ten.Intake, id, 3, 9, sec(0), record(3, "e"), control(4), record(7, "e"), control(8))
	expect(t, "entry", ten.Proposer.Next(sec(0)), "sales/0 [3,8) 3:e 7:e")
	apply(ten, sec(0))
	expect(t, "next entry", ten.Proposer.Next(sec(0.1)), "nothing")
	// The marker at the end moves the position with a heartbeat.
	expect(t, "heartbeat", ten.Proposer.Next(sec(1)), "sales/0 [8,9)")
	apply(ten, sec(1))
	if s := ten.Intake.Source(p); s.Next() != 9 || !s.AtEnd() {
		t.Errorf("Next() = %d, AtEnd() = %v; want 9, true", s.Next(), s.AtEnd())
	}
	expect(t, "quiet heartbeat", ten.Proposer.Next(sec(2)), "nothing")
}

// What did not fit is offered again: from memory if it is there, else after
// another fetch.
func TestSourceRewind(t *testing.T) {
	ten := newTestTenure(nil)
	p, id := part("sales", 0)
	s := ten.Intake.Add(p, id, 5, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, id, 5, 8, sec(0), record(5, "a"), record(6, "b"), record(7, "c"))
	expect(t, "entry", ten.Proposer.Next(sec(0)), "sales/0 [5,8) 5:a 6:b 7:c")
	apply(ten, sec(0), core.Want{Partition: p, Next: 6})
	expect(t, "entry after a want of 6", ten.Proposer.Next(sec(0)), "sales/0 [6,8) 6:b 7:c")
	apply(ten, sec(0), core.Want{Partition: p, Next: 4})
	expect(t, "entry after a want of 4", ten.Proposer.Next(sec(0)), "nothing")
	// A fetch from before must not be taken for what follows.
	fetched(ten.Intake, id, 8, 9, sec(0), record(8, "d"))
	expect(t, "actions", actions(ten.Intake, sec(0)), "assign 4")
	fetched(ten.Intake, id, 8, 9, sec(0), record(8, "d"))
	expect(t, "actions after a stale fetch", actions(ten.Intake, sec(0)), "assign 4")
	fetched(ten.Intake, id, 4, 9, sec(0), record(4, "z"), record(8, "d"))
	expect(t, "entry after the fetch", ten.Proposer.Next(sec(0)), "sales/0 [4,9) 4:z 8:d")
	apply(ten, sec(0), core.Want{Partition: p, Next: -1})
	if !strings.HasPrefix(s.State(sec(0)), "stopped") {
		t.Errorf("State() = %s after the log did not know the partition; want stopped", s.State(sec(0)))
	}
}

// An entry that was certainly not appended loses nothing.
func TestSourceFailed(t *testing.T) {
	ten := newTestTenure(nil)
	p, id := part("sales", 0)
	ten.Intake.Add(p, id, 0, false)
	fetched(ten.Intake, id, 0, 1, sec(0), record(0, "a"))
	expect(t, "before the assignment", ten.Proposer.Next(sec(0)), "nothing")
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, id, 0, 1, sec(0), record(0, "a"))
	ten.Proposer.Control(&core.Control{Kind: core.ControlRedrive})
	e := ten.Proposer.Next(sec(0))
	expect(t, "entry", e, "redrive [0,0) ; sales/0 [0,1) 0:a")
	ten.Proposer.Failed(e)
	expect(t, "entry again", ten.Proposer.Next(sec(0)), "redrive [0,0) ; sales/0 [0,1) 0:a")
}

func TestSourceGap(t *testing.T) {
	lost := func(from, start int64, err error) *Batch {
		_, id := part("sales", 0)
		return Decode(text{}, "", &connectors.Fetch{Partition: id, From: from, Position: from, Err: err, Start: start})
	}
	for _, c := range []struct {
		name   string
		policy GapPolicy
		fetch  *Batch
		state  string
		entry  string
	}{
		{"retention, stop", GapStop, lost(5, 8, connectors.ErrOutOfRange), "stopped: retention: offsets 5-7 are gone", "nothing"},
		{"retention, skip", GapSkip, lost(5, 8, connectors.ErrOutOfRange), "reading", "gap [5,8) retention"},
		{"truncated, skip", GapSkip, lost(5, 2, connectors.ErrOutOfRange), "stopped: truncated: offsets from 5 are gone", "nothing"},
		{"recreated, skip", GapSkip, lost(5, 0, connectors.ErrTopicChanged), "stopped: topic_recreated: offsets from 5 are gone", "idle true sales/0"},
		{"other error", GapSkip, lost(5, 0, errors.New("busy")), "reading", "nothing"},
		{"answer to an earlier question", GapStop, lost(9, 2, connectors.ErrOutOfRange), "reading", "nothing"},
	} {
		ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Gap = c.policy })
		p, id := part("sales", 0)
		s := ten.Intake.Add(p, id, 5, false)
		actions(ten.Intake, sec(0))
		ten.Intake.Fetched(c.fetch, sec(0))
		expect(t, c.name+": state", s.State(sec(0)), c.state)
		expect(t, c.name+": entry", ten.Proposer.Next(sec(0)), c.entry)
	}
	// Once the gap is accepted, by policy or by command, reading goes on behind.
	ten := newTestTenure(nil)
	p, id := part("sales", 0)
	s := ten.Intake.Add(p, id, 5, false)
	actions(ten.Intake, sec(0))
	ten.Intake.Fetched(lost(5, 8, connectors.ErrOutOfRange), sec(0))
	ten.Proposer.Control(&core.Control{Kind: core.ControlGap, Partition: &p, From: 5, To: 8})
	ten.Proposer.Next(sec(0))
	apply(ten, sec(0))
	expect(t, "actions behind the gap", actions(ten.Intake, sec(0)), "assign 8")
	expect(t, "state behind the gap", s.State(sec(0)), "reading")
}

// A partition is idle after 5 s of answers that find its end; silence proves
// nothing.
func TestSourceIdle(t *testing.T) {
	ten := newTestTenure(nil)
	p, id := part("sales", 0)
	ten.Intake.Add(p, id, 0, false)
	actions(ten.Intake, sec(0))
	for at := 0.0; at <= 5; at++ {
		expect(t, "entry", ten.Proposer.Next(sec(at)), "nothing")
		fetched(ten.Intake, id, 0, 0, sec(at))
	}
	expect(t, "entry after 5 s", ten.Proposer.Next(sec(6)), "idle true sales/0")
	apply(ten, sec(6))
	expect(t, "entry while idle", ten.Proposer.Next(sec(7)), "nothing")
	expect(t, "entry after silence", ten.Proposer.Next(sec(10.5)), "idle false sales/0")
	apply(ten, sec(10.5))
	for at := 11.0; at <= 17; at++ {
		fetched(ten.Intake, id, 0, 0, sec(at))
	}
	expect(t, "entry after answers", ten.Proposer.Next(sec(17)), "idle true sales/0")
	apply(ten, sec(17))
	fetched(ten.Intake, id, 0, 1, sec(18), record(0, "a"))
	// The core ends idleness by itself with the event.
	expect(t, "entry with an event", ten.Proposer.Next(sec(18)), "sales/0 [0,1) 0:a")
	apply(ten, sec(18))
	for at := 19.0; at <= 24; at++ {
		fetched(ten.Intake, id, 1, 1, sec(at))
	}
	expect(t, "idle again", ten.Proposer.Next(sec(24)), "idle true sales/0")
}

func TestSourcePause(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Limits = Limits{BufferBytes: 200} })
	p, id := part("sales", 0)
	s := ten.Intake.Add(p, id, 0, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, id, 0, 4, sec(0), record(0, "a"), record(1, "b"), record(2, "c"), record(3, "d"))
	expect(t, "actions when full", actions(ten.Intake, sec(0)), "pause")
	expect(t, "state", s.State(sec(0)), "paused")
	ten.Proposer.Next(sec(0))
	expect(t, "actions while in flight", actions(ten.Intake, sec(0)), "")
	apply(ten, sec(0))
	expect(t, "actions when applied", actions(ten.Intake, sec(0)), "resume")
}

// The other topics wait until the first topics are read and applied.
func TestFirstTopics(t *testing.T) {
	ten := New(Config{Clock: core.ClockWall, Codec: newTestTenure(nil).Proposer.codec,
		First: func(alias string) bool { return alias == "reference" }}, Start{})
	ref, refID := part("reference", 0)
	p, id := part("sales", 0)
	ten.Intake.Add(p, id, 0, false)
	ten.Intake.Add(ref, refID, 0, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, id, 0, 1, sec(0), record(0, "s"))
	expect(t, "entry before", ten.Proposer.Next(sec(0)), "nothing")
	fetched(ten.Intake, refID, 0, 1, sec(0), record(0, "r"))
	expect(t, "entry", ten.Proposer.Next(sec(0)), "reference/0 [0,1) 0:r")
	if ten.FirstRead() {
		t.Error("FirstRead() = true before the range was applied")
	}
	apply(ten, sec(0))
	if !ten.FirstRead() {
		t.Error("FirstRead() = false at the end of all first topics")
	}
	ten.Intake.OpenAll()
	expect(t, "entry after", ten.Proposer.Next(sec(0)), "sales/0 [0,1) 0:s")
}

// No partition starves another, and a record above the budget goes alone.
func TestIntakeFair(t *testing.T) {
	ten := newTestTenure(func(cfg *Config, _ *Start) { cfg.Limits = Limits{EntryBytes: 4 << 10} })
	large := "x" + strings.Repeat("y", 6<<10)
	for n := range int64(2) {
		p, id := part("sales", n)
		ten.Intake.Add(p, id, 0, false)
		actions(ten.Intake, sec(0))
		var records []connectors.RawRecord
		for o := range int64(40) {
			records = append(records, record(o, strings.Repeat("z", 200)))
		}
		if n == 1 {
			records[0].Value = []byte(large)
		}
		fetched(ten.Intake, id, 0, 40, sec(0), records...)
	}
	seen := map[int64]int{}
	alone := false
	for range 20 {
		e := ten.Proposer.Next(sec(0))
		if e == nil {
			break
		}
		for _, it := range e.Items {
			seen[it.Range.Partition.Partition] += len(it.Range.Events)
			if len(it.Range.Events[0].ID) > 6<<10 {
				alone = len(e.Items) == 1 && len(it.Range.Events) == 1
			}
		}
		apply(ten, sec(0))
		if seen[0] == 40 && seen[1] < 2 {
			t.Error("partition 1 waits for all of partition 0")
		}
	}
	if seen[0] != 40 || seen[1] != 40 || !alone {
		t.Errorf("events taken = %v, large record alone = %v; want 40 each, true", seen, alone)
	}
}
