package core_test

import (
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// reborn begins a new incarnation in all groups, over rows as the disk has them.
func (r *rig) reborn(lanes core.Lanes) {
	r.t.Helper()
	r.incarnation++
	for g, c := range r.cores {
		r.index[g]++
		c.BeginIncarnation(r.index[g], lanes)
		p, ta := plan(r.t)
		s, err := r.stores[g].Reopen(core.Tables(p))
		if err != nil {
			r.t.Fatal(err)
		}
		next, err := core.New(core.Config{Plan: p, Codec: codec.New(), Shards: shards, Group: g, Groups: len(r.cores), Incarnation: r.incarnation,
			Clock: core.ClockWall, GroupOf: func(s state.Shard) int { return int(s) % len(r.cores) }}, s)
		if err != nil {
			r.t.Fatal(err)
		}
		r.cores[g], r.stores[g], r.tally = next, s, ta
	}
}

// pending is what a group has on its lanes, as its leader sends it.
func (r *rig) pending(g int) (list []core.LaneOut) {
	r.cores[g].PendingLanes(func(l core.LaneOut) bool {
		l.Message = &core.Message{Kind: l.Message.Kind, Port: l.Message.Port, Key: l.Message.Key, Time: l.Message.Time,
			Cause: l.Message.Cause, TopicID: l.Message.TopicID, Payload: l.Message.Payload}
		list = append(list, l)
		return true
	})
	return list
}

func laneOf(incarnation uint64, l core.LaneOut) core.Item {
	return core.Item{Lane: &core.Lane{Incarnation: incarnation, From: uint64(l.From), To: uint64(l.To), First: l.Number, Messages: []core.Message{*l.Message}}}
}

// away is a key that another group has than the one that reads the partition.
func (r *rig) away() string {
	key := "a"
	for r.groupOf(key) == r.home() {
		key += "a"
	}
	return key
}

// In a new incarnation of a consistent cut lanes go on where they were: what was
// on its way arrives once, and a message of the life before is refused.
func TestLanesGoOnInANewIncarnation(t *testing.T) {
	r := newRig(t, 2)
	key := r.away()
	to := r.groupOf(key)
	out := r.apply(r.home(), core.Item{Range: r.rangeOf(told{Key: key, N: 1}, told{Key: key, N: 10})})
	r.apply(to, laneOf(1, out.Lanes[0])) // not acknowledged
	r.reborn(core.LanesGoOn)
	left := r.pending(r.home())
	if len(left) != 2 || left[0].Number != 1 || left[1].Number != 2 {
		t.Fatalf("on the lane: %+v; want numbers 1 and 2", left)
	}
	r.apply(to, laneOf(1, left[1]))
	if got := r.total(key).N; got != 1 {
		t.Errorf("total = %d; want 1: a message of the life before is refused", got)
	}
	for range 2 {
		for _, l := range left {
			if back := r.apply(to, laneOf(2, l)); back.LaneAcks[0].Through != 2 && l.Number == 2 {
				t.Errorf("acknowledged %+v; want up to 2", back.LaneAcks)
			}
		}
	}
	if got := r.total(key).N; got != 11 {
		t.Errorf("total = %d; want 11: each message once", got)
	}
}

// Where groups are of different moments, lanes count from 1 again on both sides.
// What the receiver had applied already falls to its source and id.
func TestLanesRestartInANewIncarnation(t *testing.T) {
	r := newRig(t, 2)
	key := r.away()
	to := r.groupOf(key)
	out := r.apply(r.home(), core.Item{Range: r.rangeOf(told{Key: key, N: 1}, told{Key: key, N: 10}, told{Key: key, N: 100})})
	for _, l := range out.Lanes {
		r.apply(to, laneOf(1, l))
	}
	r.apply(r.home(), core.Item{LaneAck: &core.LaneAck{From: uint64(out.Lanes[0].From), To: uint64(out.Lanes[0].To), Through: 1}})
	r.reborn(core.LanesRestart)
	left := r.pending(r.home())
	if len(left) != 2 || left[0].Number != 1 || left[1].Number != 2 {
		t.Fatalf("on the lane: %+v; want the two that are not acknowledged, as 1 and 2", left)
	}
	for _, l := range left {
		back := r.apply(to, laneOf(2, l))
		if len(back.LaneAcks) != 1 || back.LaneAcks[0].Through != l.Number {
			t.Fatalf("message %d: acknowledged %+v", l.Number, back.LaneAcks)
		}
		r.apply(r.home(), core.Item{LaneAck: &back.LaneAcks[0]})
	}
	if got := r.total(key).N; got != 111 {
		t.Errorf("total = %d; want 111: what was applied before is a duplicate", got)
	}
	marked := false // the other group may have lost what it knew of watermarks
	for _, l := range r.pending(r.home()) {
		if marked = l.Message.Kind == core.KindWatermark; !marked {
			t.Errorf("left on the lane: %+v; want nothing", l)
		}
	}
	if !marked {
		t.Error("watermarks are not told again")
	}
	// A lane that was drained goes on from 1 too.
	r.tell(told{Key: key, N: 1000})
	if got := r.total(key).N; got != 1111 {
		t.Errorf("total = %d; want 1111", got)
	}
}
