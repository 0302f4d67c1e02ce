package leader

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

func replayTenure(floor state.Time) *Tenure {
	return newTestTenure(func(cfg *Config, s *Start) {
		cfg.Clock, s.LogTime = core.ClockReplay, floor
	})
}

// A partition without a head holds the merge until a record or a mark comes.
// TestMessagesBringTheirLogTime lets one group pass a log time before another has
// heard of it: what the first then says is taken by the second at that time, not
// before. A timer that it sets there would be due at once, with answers under way.
func TestMessagesBringTheirLogTime(t *testing.T) {
	replay := func(cfg *Config, s *Start) { cfg.Clock, cfg.Limited = core.ClockReplay, true }
	from := newTestTenure(func(cfg *Config, s *Start) {
		replay(cfg, s)
		s.LogTime = sec(3)
		s.Lanes = []core.LaneOut{{From: 9, To: 1, Number: 1, Message: &core.Message{}}}
	})
	send := func() *core.Lane {
		t.Helper()
		sent := from.Lanes.Next(sec(100))
		if len(sent) != 1 {
			t.Fatalf("%d lanes are sent; want 1", len(sent))
		}
		return sent[0]
	}
	if l := send(); l.Reached != sec(3) {
		t.Errorf("a new leader's message is of log time %d; want %d, which its group has reached", l.Reached, sec(3))
	}
	from.Advance(sec(7))
	from.Lanes.add([]core.LaneOut{{From: 9, To: 1, Number: 2, Message: &core.Message{}}})
	to := newTestTenure(func(cfg *Config, s *Start) { replay(cfg, s); s.LogTime = sec(3) })
	to.Advance(sec(5))
	to.Proposer.Lane(send())
	if e := to.Proposer.Next(sec(100)); laneItems(e) != 1 || e.Time != sec(7) {
		t.Errorf("entry = %+v; want the message at log time %d", e, sec(7))
	}
	if l := newTestTenure(func(_ *Config, s *Start) {
		s.Lanes = []core.LaneOut{{From: 9, To: 1, Number: 1, Message: &core.Message{}}}
	}).Lanes.Next(sec(100)); len(l) != 1 || l[0].Reached != 0 {
		t.Errorf("lanes = %+v; want one without a log time, as clocks are the groups' own", l)
	}
}

func TestMergeHolds(t *testing.T) {
	ten := replayTenure(0)
	a, aID := part("a", 0)
	b, bID := part("b", 0)
	ten.Intake.Add(a, aID, 0, false)
	ten.Intake.Add(b, bID, 0, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, aID, 0, 3, sec(0), record(0, "e 10"), record(1, "e 10"), record(2, "e 30"))
	expect(t, "entry without a head of b", ten.Proposer.Next(sec(0)), "nothing")
	fetched(ten.Intake, bID, 0, 2, sec(0), record(0, "e 20"), record(1, "m 25"))
	expect(t, "entry", ten.Proposer.Next(sec(0)), "a/0 [0,2) @10 0:e 10 1:e 10; b/0 [0,1) @20 0:e 20; b/0 [1,2) @25")
	expect(t, "a second entry in flight", ten.Proposer.Next(sec(0)), "nothing")
	apply(ten, 25*state.Second)
	// b may still say something at 27: a's 30 waits.
	expect(t, "entry behind the mark", ten.Proposer.Next(sec(0)), "nothing")
	fetched(ten.Intake, bID, 2, 4, sec(0), record(2, "m 30"), control(3))
	expect(t, "entry at 30", ten.Proposer.Next(sec(0.5)), "b/0 [2,3) @30")
	apply(ten, 30*state.Second)
	expect(t, "holes don't move log time", ten.Proposer.Next(sec(2)), "b/0 [3,4) @30")
	apply(ten, 30*state.Second)
	fetched(ten.Intake, bID, 4, 5, sec(2), record(4, "m 40"))
	expect(t, "the rest", ten.Proposer.Next(sec(2)), "a/0 [2,3) @30 2:e 30")
}

// An entry that was not appended is offered again at the same log times.
func TestMergeFailed(t *testing.T) {
	ten := replayTenure(0)
	a, aID := part("a", 0)
	ten.Intake.Add(a, aID, 0, false)
	actions(ten.Intake, sec(0))
	fetched(ten.Intake, aID, 0, 2, sec(0), record(0, "e 10"), record(1, "e 5"))
	const want = "a/0 [0,2) @10 0:e 10 1:e 5"
	e := ten.Proposer.Next(sec(0))
	expect(t, "entry", e, want)
	ten.Proposer.Failed(e)
	expect(t, "entry again", ten.Proposer.Next(sec(0)), want)
}

// content is what the partitions of a property test hold.
type content [][]connectors.RawRecord

func drawContent(t *rapid.T) content {
	var all content
	for p := range rapid.IntRange(1, 4).Draw(t, "partitions") {
		at, marked, offset := 10, 1, int64(0)
		var records []connectors.RawRecord
		for range rapid.IntRange(0, 12).Draw(t, fmt.Sprintf("records of %d", p)) {
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				records = append(records, control(offset))
			case 1:
				offset += 2 // a hole
				continue
			case 2:
				marked = at
				records = append(records, record(offset, fmt.Sprintf("m %d", at)))
			case 3: // out of order
				records = append(records, record(offset, fmt.Sprintf("e %d", max(marked, at-rapid.IntRange(0, 5).Draw(t, "late")))))
			default:
				at += rapid.IntRange(0, 3).Draw(t, "step")
				records = append(records, record(offset, fmt.Sprintf("e %d", at)))
			}
			offset++
		}
		all = append(all, append(records, record(offset, "m 1000")))
	}
	return all
}

// run feeds content in some order of fetches and returns the events in merged
// order, each with its log time. Now and then a new leader takes over.
func (c content) run(t *rapid.T) string {
	var out []string
	positions, floor := make([]int64, len(c)), state.Time(0)
	for done := false; !done; {
		ten := replayTenure(floor)
		ten.Intake.limits.EntryBytes = 70 * rapid.IntRange(1, 5).Draw(t, "entry")
		ten.Proposer.limits.EntryBytes = ten.Intake.limits.EntryBytes
		fetchedTo := slices.Clone(positions)
		for p := range c {
			at, id := part("t", int64(p))
			ten.Intake.Add(at, id, positions[p], false)
		}
		actions(ten.Intake, sec(0))
		for steps := rapid.IntRange(10, 40).Draw(t, "steps"); steps > 0; steps-- {
			c.fetch(t, ten, fetchedTo)
			e := ten.Proposer.Next(sec(0))
			if e == nil {
				continue
			}
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
				ten.Proposer.Failed(e)
				continue
			}
			for _, it := range e.Items {
				floor = max(floor, it.Range.Time)
				positions[it.Range.Partition.Partition] = it.Range.To
				for i := range it.Range.Events {
					out = append(out, fmt.Sprintf("%d/%d@%d", it.Range.Partition.Partition, it.Range.Events[i].Offset, it.Range.Time/state.Second))
				}
			}
			apply(ten, floor)
		}
		done = true
		for p := range c {
			last := c[p][len(c[p])-1].Offset
			done = done && positions[p] > last
		}
	}
	return strings.Join(out, " ")
}

// fetch hands the next few records of a random partition.
func (c content) fetch(t *rapid.T, ten *Tenure, to []int64) {
	p := rapid.IntRange(0, len(c)-1).Draw(t, "partition")
	_, id := part("t", int64(p))
	f := connectors.Fetch{Partition: id, From: to[p], Position: to[p]}
	n := rapid.IntRange(1, 4).Draw(t, "records")
	for _, r := range c[p] {
		if r.Offset >= to[p] && len(f.Records) < n {
			f.Records = append(f.Records, r)
			f.Position = r.Offset + 1
		}
	}
	to[p] = f.Position
	f.Stable = c[p][len(c[p])-1].Offset + 1
	ten.Intake.Fetched(Decode(text{}, "t", &f), sec(0))
}

// The merged order and its log times are a function of the content, whatever
// the fetches, entries, failures and leaders.
func TestMergeIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawContent(t)
		first, second := c.run(t), c.run(t)
		if first != second {
			t.Fatalf("merge = %s; then %s", first, second)
		}
	})
}
