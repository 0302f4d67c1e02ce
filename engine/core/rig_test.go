package core_test

import (
	"fmt"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// The test topology: "tally" counts what it is told per key and asks "bank" for
// permission; "bank" keeps balances, has timers and a broadcast table.

type told struct {
	Key  string
	N    int64
	Do   string // what to do beyond counting
	Deep int64
}

func (x *told) Visit(v state.Visitor) {
	v.String("key", &x.Key)
	v.Int("n", &x.N)
	v.String("do", &x.Do)
	v.Int("deep", &x.Deep)
}

type tally struct {
	counts   operators.Table[told]
	brief    operators.Table[told]
	few      operators.Table[told]
	Told     operators.In[told]
	Granted  operators.In[told]
	Ask      operators.Out[told]
	Counted  operators.Out[told]
	Latest   operators.Out[told]
	rates    operators.Broadcast[told]
	wake     operators.Timer
	settle   operators.Timer
	Total    operators.Query[told, told]
	observed []string
}

func (o *tally) Declare(d *operators.Declaration) {
	o.counts = operators.Keeps[told](d, "counts", operators.MaxRows(10))
	o.brief = operators.Keeps[told](d, "brief", operators.Lifetime(2*state.Hour))
	o.few = operators.Keeps[told](d, "few", operators.MaxRows(2))
	o.Told = operators.On(d, "told", o.told)
	o.Granted = operators.On(d, "granted", o.granted)
	o.Ask = operators.Emits[told](d, "asked")
	o.Counted = operators.Emits[told](d, "counted")
	o.Latest = operators.Emits[told](d, "latest")
	o.rates = operators.Reads[told](d, "rates")
	o.wake = operators.OnTimer(d, "wake", operators.LogClock, o.woken)
	o.settle = operators.OnTimer(d, "settle", operators.EventClock, o.settled)
	o.Total = operators.Answers(d, "total", func(r operators.Reader, _ *told) (*told, error) {
		if row, ok := o.counts.Get(r, ""); ok {
			return &row, nil
		}
		return nil, nil
	})
}

func (o *tally) told(c operators.Context, e *told) error {
	row, _ := o.counts.Get(c, "")
	row.Key, row.N = c.Key(), row.N+e.N
	o.counts.Set(c, "", row)
	switch e.Do {
	case "":
		o.Counted.Emit(c, c.Key(), &row)
	case "panic":
		panic("told to")
	case "reject":
		return operators.Rejectf("no_good", "told so")
	case "again":
		return operators.ErrDuplicate
	case "ask":
		o.Ask.Emit(c, "bank/"+e.Key, &told{Key: c.Key(), N: e.N, Do: c.Request()})
	case "ask-refused":
		o.Ask.Emit(c, "bank/"+e.Key, &told{Key: c.Key(), N: -1, Do: c.Request()})
	case "wake":
		o.wake.Set(c, "w", c.LogTime()+state.Time(e.Deep))
	case "settle":
		o.settle.Set(c, "s", c.EventTime()+state.Time(e.Deep))
	case "brief":
		o.brief.Set(c, "b", row)
	case "few":
		for i := range e.Deep {
			o.few.Set(c, fmt.Sprint(i), row)
		}
	case "flood":
		for range 8200 {
			o.Counted.Emit(c, c.Key(), &row)
		}
	case "latest":
		o.Latest.Emit(c, c.Key(), &row)
	case "answer":
		c.Answer(c.Request(), o.Counted.Emit(c, c.Key(), &row))
	}
	return nil
}

func (o *tally) granted(c operators.Context, e *told) error {
	row, _ := o.counts.Get(c, "")
	row.Do = fmt.Sprintf("granted %d", e.N)
	o.counts.Set(c, "", row)
	c.Answer(e.Do, o.Counted.Emit(c, c.Key(), &row))
	return nil
}

func (o *tally) woken(c operators.Context, id string) error {
	o.observed = append(o.observed, fmt.Sprintf("%s/%s@%d", c.Key(), id, c.LogTime()))
	row, _ := o.counts.Get(c, "")
	row.Do = "woken"
	o.counts.Set(c, "", row)
	return nil
}

func (o *tally) settled(c operators.Context, id string) error {
	o.observed = append(o.observed, fmt.Sprintf("%s/%s settled", c.Key(), id))
	return nil
}

type bank struct {
	balance operators.Table[told]
	Asked   operators.In[told]
	Grant   operators.Out[told]
	Loop    operators.Out[told]
	Looped  operators.In[told]
	rates   operators.Publication[told]
}

func (o *bank) Declare(d *operators.Declaration) {
	o.balance = operators.Keeps[told](d, "balance", operators.MaxRows(1))
	o.Grant = operators.Emits[told](d, "granted")
	o.Asked = operators.OnRequest(d, "asked", o.asked, o.Grant, func(r *told, code string) (string, *told) {
		return r.Key, &told{Key: r.Key, N: -1, Do: r.Do}
	})
	o.Loop = operators.Emits[told](d, "looped")
	o.Looped = operators.On(d, "looped", o.looped)
	o.rates = operators.Publishes[told](d, "rates")
}

func (o *bank) asked(c operators.Context, e *told) error {
	if e.N < 0 {
		return operators.Rejectf("negative", "no")
	}
	b, _ := o.balance.Get(c, "")
	b.N += e.N
	o.balance.Set(c, "", b)
	o.rates.Publish(c, c.Key(), b)
	o.Grant.Emit(c, e.Key, &told{Key: e.Key, N: b.N, Do: e.Do})
	return nil
}

func (o *bank) looped(c operators.Context, e *told) error {
	o.Loop.Emit(c, c.Key(), &told{N: e.N + 1})
	return nil
}

// plan builds the test topology.
func plan(t testing.TB) (*topology.Plan, *tally) {
	t.Helper()
	b := topology.New("test")
	ta := topology.Add(b, "tally", &tally{})
	ba := topology.Add(b, "bank", &bank{})
	topology.Source(b, "in", ta.Told, func(e *told) string { return e.Key })
	topology.Command(b, ba.Looped, func(e *told) string { return "loop" })
	topology.Connect(b, ta.Ask, ba.Asked)
	topology.Connect(b, ba.Grant, ta.Granted)
	topology.Connect(b, ba.Loop, ba.Looped)
	topology.Broadcast(b, ba.rates, ta.rates)
	topology.Sink(b, ta.Counted, "out", topology.Indexed())
	topology.Sink(b, ta.Latest, "latest", topology.Conflated())
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p, ta
}

// rig is one group, or several that exchange lane messages by hand.
type rig struct {
	t      testing.TB
	cores  []*core.Core
	stores []*memstate.Store
	index  []uint64
	tally  *tally
	now    state.Time
	offset int64

	incarnation uint64
}

const shards = 16

var part = core.Partition{Topic: "in", TopicID: "0123456789abcdef0123456789abcdef", Partition: 0}

func newRig(t testing.TB, groups int) *rig {
	t.Helper()
	p, ta := plan(t)
	r := &rig{t: t, tally: ta, now: 1000 * state.Day, index: make([]uint64, groups), incarnation: 1}
	for g := range groups {
		s := memstate.New(core.Tables(p), codec.New())
		r.cores, r.stores = append(r.cores, newCore(t, p, g, groups, s)), append(r.stores, s)
	}
	r.settle(r.home(), r.apply(r.home(), core.Item{Control: &core.Control{Kind: core.ControlOpen, Partition: &part}}))
	return r
}

func newCore(t testing.TB, p *topology.Plan, group, groups int, s state.Store) *core.Core {
	t.Helper()
	c, err := core.New(core.Config{Plan: p, Codec: codec.New(), Shards: shards, Group: group, Groups: groups, Incarnation: 1,
		Clock: core.ClockWall, GroupOf: func(s state.Shard) int { return int(s) % groups }}, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// restart opens group 0 anew over rows decoded again, as after a crash.
func (r *rig) restart() (*core.Core, *tally) {
	r.t.Helper()
	p, ta := plan(r.t)
	s, err := r.stores[0].Reopen(core.Tables(p))
	if err != nil {
		r.t.Fatal(err)
	}
	r.cores[0], r.stores[0], r.tally = newCore(r.t, p, 0, len(r.cores), s), s, ta
	return r.cores[0], ta
}

// home is the group that reads the test partition.
func (r *rig) home() int { return int(core.PartitionShard(part, shards)) % len(r.cores) }

func (r *rig) groupOf(key string) int { return int(state.ShardOf(key, shards)) % len(r.cores) }

// apply applies an entry, through the bytes that a log would hold.
func (r *rig) apply(g int, items ...core.Item) *core.Output {
	r.t.Helper()
	r.index[g]++
	e := core.Entry{Level: r.cores[g].Level(), Time: r.now, Items: items}
	raw, err := codec.New().Append(nil, uint8(e.Level), &e)
	if err != nil {
		r.t.Fatal(err)
	}
	var got core.Entry
	if err := codec.New().Decode(raw, &got); err != nil {
		r.t.Fatal(err)
	}
	return r.cores[g].Apply(r.index[g], &got)
}

// tell applies one range with these events at the partition's group and then
// carries lane messages until all groups are quiet.
func (r *rig) tell(events ...told) *core.Output {
	r.t.Helper()
	out := r.apply(r.home(), core.Item{Range: r.rangeOf(events...)})
	r.settle(r.home(), out)
	return out
}

func (r *rig) rangeOf(events ...told) *core.Range {
	rg := &core.Range{Partition: part, From: r.offset}
	for i := range events {
		rg.Events = append(rg.Events, operators.Event{Offset: r.offset, Source: "test", ID: fmt.Sprint(r.offset),
			Type: "told", Time: r.now, Payload: state.Nested{Value: &events[i]}})
		r.offset++
	}
	rg.To = r.offset
	return rg
}

// settle carries lane messages and their acknowledgements.
func (r *rig) settle(from int, out *core.Output) {
	r.t.Helper()
	for _, l := range out.Lanes {
		to := int(l.To) % len(r.cores)
		if int(l.To) >= shards {
			to = int(l.To) - shards
		}
		back := r.apply(to, core.Item{Lane: &core.Lane{Incarnation: r.incarnation, From: uint64(l.From), To: uint64(l.To),
			First: l.Number, Messages: []core.Message{*l.Message}}})
		for i := range back.LaneAcks {
			r.settle(from, r.apply(from, core.Item{LaneAck: &back.LaneAcks[i]}))
		}
		r.settle(to, back)
	}
}

func (r *rig) total(key string) told {
	r.t.Helper()
	a, err := r.cores[r.groupOf(key)].Query("tally", "total", key, &told{})
	if err != nil {
		r.t.Fatal(err)
	}
	if a == nil {
		return told{}
	}
	return *a.(*told)
}
