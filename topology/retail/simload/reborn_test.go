package simload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail/check"
)

// rebornShards is enough for keys to differ in theirs.
const rebornShards = 16

// lives is the shop over several groups that begin new incarnations, in which
// lanes restart: what a group has sent and has no acknowledgement of comes again,
// though it may have been applied in the life before.
type lives struct {
	t           *testing.T
	load        *Load
	plan        *topology.Plan
	rng         *rand.Rand
	incarnation uint64
	cores       []*core.Core
	stores      []*memstate.Store
	index       []uint64
	now         state.Time
	next        map[core.Partition]int64
	later       []sim.Input // by After, which is when
	output      *check.Output
	again       int // messages sent again that had been applied
}

func newLives(t *testing.T, seed uint64, groups, things int) *lives {
	t.Helper()
	load, err := New(things)
	if err != nil {
		t.Fatal(err)
	}
	l := &lives{t: t, load: load, plan: load.Plan(), rng: rand.New(rand.NewPCG(seed, 0)), now: 1_795_251_600 * state.Second,
		next: map[core.Partition]int64{}, output: check.NewOutput(), index: make([]uint64, groups)}
	for range groups {
		l.stores = append(l.stores, memstate.New(core.Tables(l.plan), codec.New()))
	}
	l.cores = make([]*core.Core, groups)
	l.begin()
	for _, topic := range load.Topics() {
		for p := range topic.Partitions {
			at := core.Partition{Topic: topic.Alias, TopicID: fmt.Sprintf("%032d", 0), Partition: int64(p)}
			l.apply(l.groupOf(state.ShardOf(at.String(), rebornShards)), core.Item{Control: &core.Control{Kind: core.ControlOpen, Partition: &at}})
		}
	}
	return l
}

func (l *lives) groupOf(s state.Shard) int {
	if int(s) >= rebornShards {
		return int(s) - rebornShards
	}
	return int(s) % len(l.cores)
}

// begin begins the next incarnation in all groups.
func (l *lives) begin() {
	l.incarnation++
	for g := range l.cores {
		if c := l.cores[g]; c != nil {
			l.index[g]++
			c.BeginIncarnation(l.index[g], core.LanesRestart)
		}
		store, err := l.stores[g].Reopen(core.Tables(l.plan))
		if err != nil {
			l.t.Fatal(err)
		}
		c, err := core.New(core.Config{Plan: l.plan, Codec: codec.New(), Shards: rebornShards, Group: g, Groups: len(l.cores),
			Incarnation: l.incarnation, Clock: core.ClockWall, GroupOf: l.groupOf}, store)
		if err != nil {
			l.t.Fatal(err)
		}
		l.cores[g], l.stores[g] = c, store
	}
}

// apply applies an entry, through the bytes that a log would hold.
func (l *lives) apply(g int, items ...core.Item) *core.Output {
	l.t.Helper()
	l.index[g]++
	level := l.cores[g].Level()
	b, err := codec.New().Append(nil, uint8(level), &core.Entry{Level: level, Time: l.now, Items: items})
	if err != nil {
		l.t.Fatal(err)
	}
	var e core.Entry
	if err := codec.New().Decode(b, &e); err != nil {
		l.t.Fatal(err)
	}
	out := l.cores[g].Apply(l.index[g], &e)
	if out.Halt != nil || len(out.Wants) > 0 {
		l.t.Fatalf("group %d, entry %d: %+v, wants %v", g, l.index[g], out.Halt, out.Wants)
	}
	for _, r := range out.Records {
		l.output.Add(r)
		l.load.Delivered(r, l.rng, l.now, l.bring)
	}
	return out
}

// bring takes one input to where it belongs, now or later.
func (l *lives) bring(in sim.Input) {
	in.After += l.now
	l.later = append(l.later, in)
}

func (l *lives) take(in *sim.Input) {
	if in.Command != nil {
		l.apply(l.groupOf(state.ShardOf(in.Key, rebornShards)), core.Item{Command: &core.Command{Event: *in.Command, Answer: in.Answer}})
		return
	}
	at := core.Partition{Topic: in.Topic, TopicID: fmt.Sprintf("%032d", 0), Partition: int64(in.Partition)}
	from := l.next[at]
	l.next[at]++
	events := make([]operators.Event, len(in.Events))
	for i, e := range in.Events {
		e.Offset = from
		events[i] = e
	}
	l.apply(l.groupOf(state.ShardOf(at.String(), rebornShards)), core.Item{Range: &core.Range{Partition: at, From: from, To: from + 1, Events: events}})
}

// step lets a little time pass: inputs that are due come in, timers fire, lanes
// deliver, and some acknowledgements arrive.
func (l *lives) step(d state.Time, acks bool) {
	l.now += d
	due := l.later
	l.later = nil
	slices.SortStableFunc(due, func(a, b sim.Input) int { return int(min(max(a.After-b.After, -1), 1)) })
	for i := range due {
		if due[i].After > l.now {
			l.later = append(l.later, due[i])
			continue
		}
		l.take(&due[i])
	}
	for g, c := range l.cores {
		if at := c.NextTimer(); at != 0 && at <= l.now {
			l.apply(g)
		}
		l.deliver(g, acks)
	}
}

// deliver sends what a group has on its lanes.
func (l *lives) deliver(from int, acks bool) {
	var list []core.Item
	l.cores[from].PendingLanes(func(o core.LaneOut) bool {
		list = append(list, core.Item{Lane: &core.Lane{Incarnation: l.incarnation, From: uint64(o.From), To: uint64(o.To), First: o.Number,
			Messages: []core.Message{*o.Message}}})
		return len(list) < 200
	})
	for _, it := range list {
		out := l.apply(l.groupOf(state.Shard(it.Lane.To)), it)
		for i := range out.LaneAcks {
			if a := &out.LaneAcks[i]; a.Through > 0 && (acks || l.rng.IntN(3) > 0) {
				l.apply(from, core.Item{LaneAck: a})
			}
		}
	}
}

// reborn loses all acknowledgements of a while, and begins a new incarnation.
func (l *lives) reborn() {
	for g := range l.cores {
		l.cores[g].PendingLanes(func(o core.LaneOut) bool {
			if o.Message.Kind != core.KindWatermark {
				l.again++
			}
			return true
		})
	}
	l.begin()
}

// What a new incarnation sends again, because groups were of different moments,
// does nothing that was done before: outside events fall to their source and id,
// and what a saga asks for to its attempt and round. Whatever was under way, at the
// end orders, stock and capacity agree.
func TestWhatIsSentAgainIsNotDoneAgain(t *testing.T) {
	again := 0
	for seed := range uint64(25) {
		l := newLives(t, seed, 2, 100)
		more := true
		for n := 1; more; n++ {
			more = l.load.Produce(l.rng, l.now, l.bring)
			l.step(20*state.Millisecond, false)
			if n%8 == 0 {
				l.reborn()
			}
		}
		for range 80 {
			l.step(10*state.Second, true)
		}
		var views []check.View
		for g, s := range l.stores {
			v := check.View{Reader: s.View()}
			for shard := range rebornShards {
				if l.groupOf(state.Shard(shard)) == g {
					v.Shards = append(v.Shards, state.Shard(shard))
				}
			}
			views = append(views, v)
		}
		vs, err := check.State(l.plan, views, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range slices.Concat(vs, l.output.Violations()) {
			t.Errorf("seed %d: %v", seed, v)
		}
		if l.output.Orders() == 0 || l.incarnation < 3 {
			t.Errorf("seed %d: %d orders in %d incarnations; want some", seed, l.output.Orders(), l.incarnation)
		}
		again += l.again
	}
	if again == 0 {
		t.Error("nothing was sent again")
	}
	t.Logf("%d messages were sent again", again)
}
