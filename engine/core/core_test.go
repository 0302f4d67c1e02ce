package core_test

import (
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

func TestPositionsAreContiguousAndOnce(t *testing.T) {
	r := newRig(t, 1)
	first := r.rangeOf(told{Key: "a", N: 1}, told{Key: "a", N: 2})
	r.apply(0, core.Item{Range: first})
	r.apply(0, core.Item{Range: first}) // again, as a zombie source would
	if got := r.total("a").N; got != 3 {
		t.Errorf("total = %d; want 3", got)
	}
	ahead := &core.Range{Partition: part, From: 7, To: 8}
	out := r.apply(0, core.Item{Range: ahead})
	if want := []core.Want{{Partition: part, Next: 2}}; !slices.Equal(out.Wants, want) {
		t.Errorf("wants = %v; want %v", out.Wants, want)
	}
	overlap := r.rangeOf(told{Key: "a", N: 4})
	overlap.From, overlap.Events = 0, append(slices.Clone(first.Events), overlap.Events...)
	r.apply(0, core.Item{Range: overlap})
	if got := r.total("a").N; got != 7 {
		t.Errorf("total after an overlapping range = %d; want 7", got)
	}
	s := r.cores[0].Partitions()[0]
	if s.Next != 3 || s.Events != 3 || s.Applied != 3 || s.Duplicates != 0 {
		t.Errorf("partition = %+v; want next 3, 3 events, 3 applied", s)
	}
}

func TestOutcomes(t *testing.T) {
	tests := []struct {
		name, do, code string
		deep           int64
	}{
		{"rejection", "reject", "no_good", 0},
		{"panic", "panic", operators.CodeOperatorPanic, 0},
		{"flood", "flood", operators.CodeTooManyEmits, 0},
		{"rows", "few", operators.CodeTooManyRows, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1)
			out := r.tell(told{Key: "a", N: 5, Do: tt.do, Deep: tt.deep})
			if got := r.total("a"); got.N != 0 {
				t.Errorf("state after a failed call = %+v; want none", got)
			}
			if len(out.Records) != 1 || out.Records[0].Topic != core.DeadLetterTopic {
				t.Fatalf("records = %+v; want one dead letter", out.Records)
			}
			d, err := core.FindDeadLetter(r.stores[0].View(), out.Records[0].Key)
			if err != nil || d == nil || d.Code != tt.code || !d.External || d.Stage != "tally" {
				t.Errorf("dead letter = %+v, %v; want code %s at stage tally", d, err, tt.code)
			}
			if s := r.cores[0].Partitions()[0]; s.Events != 1 || s.DeadLetters != 1 || s.Applied != 0 {
				t.Errorf("partition = %+v; want 1 event, 1 dead letter", s)
			}
		})
	}
}

func TestDuplicatesBySourceAndID(t *testing.T) {
	r := newRig(t, 1)
	again := r.rangeOf(told{Key: "a", N: 1}, told{Key: "a", N: 1})
	again.Events[1].ID = again.Events[0].ID
	r.apply(0, core.Item{Range: again})
	r.tell(told{Key: "a", N: 1, Do: "again"})
	s := r.cores[0].Partitions()[0]
	if r.total("a").N != 1 || s.Applied != 1 || s.Duplicates != 2 {
		t.Errorf("total %d, partition %+v; want 1, 1 applied, 2 duplicates", r.total("a").N, s)
	}
	r.now += 50 * state.Hour
	r.apply(0)
	late := r.rangeOf(told{Key: "a", N: 1})
	late.Events[0].ID = again.Events[0].ID
	r.apply(0, core.Item{Range: late})
	if got := r.total("a").N; got != 2 {
		t.Errorf("total = %d; want 2: (source, id) is forgotten after 48 h", got)
	}
}

func TestClockLimits(t *testing.T) {
	for code, off := range map[string]state.Time{
		operators.CodeClockAhead:  6 * state.Minute,
		operators.CodeClockBehind: -31 * state.Day,
	} {
		r := newRig(t, 1)
		rg := r.rangeOf(told{Key: "a", N: 1})
		rg.Events[0].Time = r.now + off
		out := r.apply(0, core.Item{Range: rg})
		d, err := core.FindDeadLetter(r.stores[0].View(), out.Records[0].Key)
		if err != nil || d.Code != code {
			t.Errorf("event %v off log time: %+v, %v; want %s", off, d, err, code)
		}
	}
}

func TestRequestsAreAlwaysAnswered(t *testing.T) {
	for _, groups := range []int{1, 2} {
		r := newRig(t, groups)
		r.tell(told{Key: "a", N: 3, Do: "ask"}, told{Key: "b", N: 3, Do: "ask-refused"})
		if got := r.total("a").Do; got != "granted 3" {
			t.Errorf("%d groups: a = %q; want granted 3", groups, got)
		}
		if got := r.total("b").Do; got != "granted -1" {
			t.Errorf("%d groups: b = %q; want the refusal of a failed request", groups, got)
		}
		for g, c := range r.cores {
			c.PendingLanes(func(l core.LaneOut) bool {
				t.Errorf("group %d: lane %d→%d holds %+v; want it drained", g, l.From, l.To, l.Message)
				return true
			})
		}
	}
}

func TestLaneNumbers(t *testing.T) {
	r := newRig(t, 2)
	key := "a"
	for r.groupOf(key) == r.home() {
		key += "a"
	}
	out := r.apply(r.home(), core.Item{Range: r.rangeOf(told{Key: key, N: 1}, told{Key: key, N: 10})})
	if len(out.Lanes) != 2 {
		t.Fatalf("lane messages = %d; want 2", len(out.Lanes))
	}
	lane := func(first uint64, l ...core.LaneOut) core.Item {
		it := &core.Lane{Incarnation: 1, From: uint64(l[0].From), To: uint64(l[0].To), First: first}
		for _, m := range l {
			it.Messages = append(it.Messages, *m.Message)
		}
		return core.Item{Lane: it}
	}
	g := r.groupOf(key)
	if back := r.apply(g, lane(2, out.Lanes[1])); back.LaneAcks[0].Through != 0 {
		t.Errorf("a lane message ahead of its turn was applied: %+v", back.LaneAcks)
	}
	r.apply(g, lane(1, out.Lanes[0]))
	r.apply(g, lane(1, out.Lanes...))
	if got := r.total(key).N; got != 11 {
		t.Errorf("total = %d; want 11: each lane message once", got)
	}
	old := lane(3, out.Lanes[0])
	old.Lane.Incarnation = 0
	r.apply(g, old)
	if got := r.total(key).N; got != 11 {
		t.Errorf("total = %d; want 11: a lane of another incarnation is ignored", got)
	}
}

func TestTimersFireInOrderBeforeMessages(t *testing.T) {
	r := newRig(t, 1)
	r.tell(told{Key: "c", Do: "wake", Deep: 30}, told{Key: "a", Do: "wake", Deep: 20}, told{Key: "b", Do: "wake", Deep: 20})
	if got, want := r.cores[0].NextTimer(), r.now+20; got != want {
		t.Errorf("NextTimer = %d; want %d", got, want)
	}
	r.now += 25
	r.tell(told{Key: "d", Do: "wake", Deep: 0})
	if got := len(r.tally.observed); got != 2 {
		t.Fatalf("fired = %v; want a and b", r.tally.observed)
	}
	r.now += 10
	r.apply(0)
	if got := len(r.tally.observed); got != 4 {
		t.Errorf("fired = %v; want c and d too", r.tally.observed)
	}
	if due := r.cores[0].NextTimer(); due != 0 && due < r.now {
		t.Errorf("NextTimer = %d after all fired at %d", due, r.now)
	}
}

func TestEventTimersFollowTheWatermark(t *testing.T) {
	r := newRig(t, 1)
	r.tell(told{Key: "a", Do: "settle", Deep: int64(5 * state.Second)})
	r.now += 14 * state.Second
	r.tell(told{Key: "b", N: 1})
	if len(r.tally.observed) != 0 {
		t.Fatalf("fired %v before the watermark", r.tally.observed)
	}
	r.now += 2 * state.Second
	r.tell(told{Key: "b", N: 1})
	r.apply(0)
	if want := []string{"a/s settled"}; !slices.Equal(r.tally.observed, want) {
		t.Errorf("fired = %v; want %v", r.tally.observed, want)
	}
}

func TestRowsExpire(t *testing.T) {
	r := newRig(t, 1)
	r.tell(told{Key: "a", Do: "brief"})
	rows := func() (n int) {
		v := r.stores[0].View()
		for s := range shards {
			if err := v.Rows(state.Shard(s), func(state.CellID, *state.Table, string, state.Visitable) bool { n++; return true }); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	before := rows()
	r.now += 4 * state.Hour
	r.apply(0)
	if got := rows(); got != before-1 {
		t.Errorf("rows = %d; want %d: the brief one is gone", got, before-1)
	}
	r.now += 60 * state.Hour
	r.apply(0)
	r.apply(0)
	if got := r.cores[0].NextTimer(); got != 0 {
		t.Errorf("NextTimer = %v; want none once everything has expired", got)
	}
}

func TestConflationKeepsTheLatest(t *testing.T) {
	r := newRig(t, 1)
	out := r.tell(told{Key: "a", N: 1, Do: "latest"}, told{Key: "a", N: 2, Do: "latest"})
	if len(out.Records) != 0 {
		t.Fatalf("records at once = %d; want none", len(out.Records))
	}
	r.now += 100 * state.Millisecond
	out = r.apply(0)
	if len(out.Records) != 1 || out.Records[0].Payload.Value.(*told).N != 3 || out.Records[0].Number != 1 {
		t.Errorf("records = %+v; want one with the sum 3", out.Records)
	}
}

func TestOutboxUntilAcknowledged(t *testing.T) {
	r := newRig(t, 1)
	out := r.tell(told{Key: "a", N: 1}, told{Key: "a", N: 1}, told{Key: "b", N: 1})
	if len(out.Records) != 3 || out.Records[1].Number != 2 || out.Records[0].ID == out.Records[1].ID {
		t.Fatalf("records = %+v; want three, numbered per key", out.Records)
	}
	stage, key, ok, err := r.cores[0].FindDecision(out.Records[2].ID)
	if err != nil || !ok || stage != "tally" || key != "b" {
		t.Errorf("FindDecision = %q %q %v %v; want tally b", stage, key, ok, err)
	}
	last := out.Records[1]
	r.apply(0, core.Item{Ack: &core.Ack{Shard: last.Shard, Through: last.Outbox, Progress: 9}})
	var left []string
	r.cores[0].Pending(func(p *operators.Record) bool { left = append(left, p.Key); return true })
	if n, _ := r.cores[0].OutboxDepth(); n != 1 || !slices.Equal(left, []string{"b"}) {
		t.Errorf("pending = %v, depth %d; want b alone", left, n)
	}
	if got := r.cores[0].ProgressOffset(); got != 9 {
		t.Errorf("ProgressOffset = %d; want 9", got)
	}
}

func TestCommandsAndAnswers(t *testing.T) {
	r := newRig(t, 1)
	cmd := func(id, do string) core.Item {
		return core.Item{Command: &core.Command{Answer: true, Event: operators.Event{Source: "api", ID: id, Type: "told", Time: r.now,
			Payload: state.Nested{Value: &told{Key: "a", N: 1, Do: do}}}}}
	}
	first := r.apply(0, cmd("1", "ask")).Replies
	again := r.apply(0, cmd("1", "ask")).Replies
	if len(first) != 2 || first[0].Outcome != core.OutcomeApplied || first[1].Outcome != core.OutcomeAnswer || first[1].Answer == "" {
		t.Fatalf("replies = %+v; want applied and answered", first)
	}
	if len(again) != 1 || again[0].Outcome != core.OutcomeDuplicate || again[0].Answer != first[1].Answer {
		t.Errorf("replies of the same command = %+v; want the first answer %s", again, first[1].Answer)
	}
	bad := r.apply(0, cmd("2", "reject")).Replies
	if len(bad) != 1 || bad[0].Outcome != core.OutcomeDeadLetter || bad[0].Code != "no_good" || bad[0].DeadLetter == "" {
		t.Errorf("replies of a rejected command = %+v", bad)
	}
}

func TestRedrive(t *testing.T) {
	r := newRig(t, 1)
	out := r.tell(told{Key: "a", N: 5, Do: "reject"})
	id := out.Records[0].Key
	mended := operators.Event{Offset: 0, Source: "test", ID: "0", Type: "told", Time: r.now, Payload: state.Nested{Value: &told{Key: "a", N: 5}}}
	redrive := core.Item{Control: &core.Control{ID: "x", Kind: core.ControlRedrive, DeadLetter: id, Event: &mended}}
	got := r.apply(0, redrive).Replies
	if len(got) != 1 || got[0].Outcome != core.OutcomeApplied || !got[0].ControlReply("x") {
		t.Fatalf("replies = %+v; want applied", got)
	}
	if got = r.apply(0, redrive).Replies; got[0].Code != "dead_letter_unknown" {
		t.Errorf("second redrive = %+v; want dead_letter_unknown", got)
	}
	s := r.cores[0].Partitions()[0]
	if r.total("a").N != 5 || s.Applied != 1 || s.DeadLetters != 0 || s.Events != 1 || r.cores[0].DeadLettered() != 0 {
		t.Errorf("total %d, partition %+v; want 5 and one applied event", r.total("a").N, s)
	}
}

func TestHaltAndSkip(t *testing.T) {
	r := newRig(t, 1)
	loop := core.Item{Command: &core.Command{Event: operators.Event{Source: "api", ID: "l", Type: "looped", Time: r.now,
		Payload: state.Nested{Value: &told{}}}}}
	out := r.tell(told{Key: "a", N: 1})
	digest := r.stores[0].Digest(state.ShardOf("a", shards))
	// A loop of events is cut by its depth, which dead-letters a message and
	// does not halt; an acknowledgement beyond the outbox does.
	r.apply(0, loop)
	if r.cores[0].Halted() != nil {
		t.Fatalf("halted by a loop: %+v", r.cores[0].Halted())
	}
	rg := r.rangeOf(told{Key: "a", N: 10})
	out = r.apply(0, core.Item{Range: rg}, core.Item{Ack: &core.Ack{Shard: out.Records[0].Shard, Through: 99}})
	if out.Halt == nil || out.Halt.Code != "ack_beyond_outbox" || out.Halt.Message != 1 || len(out.Records) != 0 {
		t.Fatalf("halt = %+v; want ack_beyond_outbox at message 1", out.Halt)
	}
	if got := r.stores[0].Digest(state.ShardOf("a", shards)); got != digest {
		t.Errorf("a halted entry left a trace in the state")
	}
	held := r.apply(0, core.Item{Range: r.rangeOf(told{Key: "a", N: 100})})
	if len(held.Records) != 0 || r.total("a").N != 1 {
		t.Errorf("an entry was applied while halted")
	}
	skip := core.Item{Control: &core.Control{Kind: core.ControlSkip, Index: out.Halt.Index, Message: out.Halt.Message}}
	out = r.apply(0, skip)
	if out.Halt != nil || r.total("a").N != 111 {
		t.Errorf("after the skip: halt %+v, total %d; want none, 111", out.Halt, r.total("a").N)
	}
}

func TestRestartContinues(t *testing.T) {
	r := newRig(t, 1)
	r.tell(told{Key: "a", N: 1}, told{Key: "b", Do: "wake", Deep: 50}, told{Key: "b", N: 1, Do: "reject"})
	old := r.cores[0]
	c, ta := r.restart()
	if got, want := c.Partitions(), old.Partitions(); !slices.Equal(got, want) {
		t.Errorf("partitions = %+v; want %+v", got, want)
	}
	if n, _ := c.OutboxDepth(); n != 2 || c.DeadLettered() != 1 || c.LogTime() != r.now {
		t.Errorf("outbox %d, dead letters %d, log time %d; want 2, 1, %d", n, c.DeadLettered(), c.LogTime(), r.now)
	}
	var keys []string
	c.Pending(func(p *operators.Record) bool { keys = append(keys, p.Type); return p.Payload.Value != nil })
	if len(keys) != 2 {
		t.Errorf("pending = %v; want both records with payloads", keys)
	}
	r.now += 60
	r.tell(told{Key: "c", N: 1, Do: "latest"})
	if len(ta.observed) != 1 {
		t.Errorf("timers fired after a restart = %v; want b's", ta.observed)
	}
}

// TestConflatedRecordsSurviveARestart makes sure that what is read back from
// disk can be delivered.
func TestConflatedRecordsSurviveARestart(t *testing.T) {
	r := newRig(t, 1)
	r.tell(told{Key: "a", N: 7, Do: "latest"})
	r.restart()
	r.now += 100 * state.Millisecond
	out := r.apply(0)
	if len(out.Records) != 1 {
		t.Fatalf("records after a restart = %d; want the conflated one", len(out.Records))
	}
	if got, ok := out.Records[0].Payload.Value.(*told); !ok || got.N != 7 {
		t.Errorf("payload = %+v; want the event that was emitted", out.Records[0].Payload)
	}
}
