package core_test

import (
	"fmt"
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// alarm sets and clears timers as it is told.
type alarm struct {
	Told  operators.In[told]
	timer operators.Timer
	rang  []string
	again int64 // how often a timer sets itself anew for at once
}

func (o *alarm) Declare(d *operators.Declaration) {
	o.Told = operators.On(d, "alarm", func(c operators.Context, e *told) error {
		switch e.Do {
		case "set":
			o.timer.Set(c, e.Key, c.LogTime()+state.Time(e.N))
		case "clear":
			o.timer.Clear(c, e.Key)
		case "both":
			o.timer.Set(c, e.Key, c.LogTime()+state.Time(e.N))
			o.timer.Clear(c, e.Key)
		case "fail":
			o.timer.Set(c, e.Key, c.LogTime()+state.Time(e.N))
			return operators.Rejectf("no_good", "told so")
		}
		return nil
	})
	o.timer = operators.OnTimer(d, "alarm", operators.LogClock, func(c operators.Context, id string) error {
		o.rang = append(o.rang, id)
		if o.again > 0 {
			o.again--
			o.timer.Set(c, id, c.LogTime())
		}
		return nil
	})
}

// clock is a rig around an alarm, all of whose events go to one key.
type clock struct {
	t     *testing.T
	core  *core.Core
	store *memstate.Store
	alarm *alarm
	plan  *topology.Plan
	now   state.Time
	index uint64
}

func newClock(t *testing.T) *clock {
	t.Helper()
	b := topology.New("test")
	k := &clock{t: t, alarm: topology.Add(b, "alarm", &alarm{}), now: 1000 * state.Day}
	topology.Command(b, k.alarm.Told, func(*told) string { return "key" })
	var err error
	if k.plan, err = b.Build(); err != nil {
		t.Fatal(err)
	}
	k.store = memstate.New(core.Tables(k.plan), codec.New())
	k.core = newCore(t, k.plan, 0, 1, k.store)
	return k
}

func (k *clock) tell(do, timer string, in state.Time) {
	k.t.Helper()
	k.entry(core.Item{Command: &core.Command{Event: operators.Event{Source: "test", ID: fmt.Sprint(k.index), Type: "alarm", Time: k.now,
		Payload: state.Nested{Value: &told{Do: do, Key: timer, N: int64(in)}}}}})
}

func (k *clock) entry(items ...core.Item) {
	k.t.Helper()
	k.index++
	if out := k.core.Apply(k.index, &core.Entry{Level: k.core.Level(), Time: k.now, Items: items}); out.Halt != nil {
		k.t.Fatalf("halted: %+v", out.Halt)
	}
}

// rings moves the clock on, restarts on the way, and wants these timers to fire.
func (k *clock) rings(in state.Time, want ...string) {
	k.t.Helper()
	s, err := k.store.Reopen(core.Tables(k.plan))
	if err != nil {
		k.t.Fatal(err)
	}
	k.store, k.core = s, newCore(k.t, k.plan, 0, 1, s)
	k.alarm.rang = nil
	k.now += in
	k.entry()
	if !slices.Equal(k.alarm.rang, want) {
		k.t.Errorf("fired = %v; want %v", k.alarm.rang, want)
	}
}

// indexed counts the rows of the timer index.
func (k *clock) indexed() (n int) {
	k.t.Helper()
	v := k.store.View()
	for s := range shards {
		err := v.Rows(state.Shard(s), func(_ state.CellID, t *state.Table, _ string, _ state.Visitable) bool {
			if t.Name == "due" {
				n++
			}
			return true
		})
		if err != nil {
			k.t.Fatal(err)
		}
	}
	return n
}

func TestTimersOfACell(t *testing.T) {
	k := newClock(t)
	// More than a register has room for, in no order.
	const timers = 12
	for i := range timers {
		k.tell("set", fmt.Sprint("t", i), state.Time(1000+(i*5%timers)*10))
	}
	k.tell("set", "t0", 5) // moved
	k.tell("clear", "t1", 0)
	k.tell("clear", "t11", 0)
	k.rings(10, "t0")
	k.tell("set", "t11", 995) // again, where there is room now
	k.rings(1200, "t11", "t5", "t10", "t3", "t8", "t6", "t4", "t9", "t2", "t7")
	k.rings(state.Day)
	if due := k.core.NextTimer(); due == 0 || due < k.now {
		t.Errorf("NextTimer = %v at %v; want that of the ids to be forgotten", due, k.now)
	}
}

// A timer that one message sets and clears never gets into the index, nor does
// one of a call that fails.
func TestTimersThatComeToNothing(t *testing.T) {
	k := newClock(t)
	k.tell("set", "kept", state.Hour)
	before := k.indexed()
	k.tell("both", "gone", 10)
	k.tell("fail", "failed", 10)
	if got := k.indexed(); got != before || before != 1 {
		t.Errorf("%d rows in the index, %d before; want the cell's one", got, before)
	}
	k.rings(20)
	k.rings(state.Hour, "kept")
}

// A timer that sets itself for at once fires again in every pass.
func TestTimerSetsItselfForAtOnce(t *testing.T) {
	k := newClock(t)
	k.tell("set", "again", 10)
	k.alarm.again = 2
	k.rings(10, "again")
	k.rings(0, "again")
	k.rings(0, "again")
	k.rings(0)
}
