package leader

import (
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// TestLanesOfAnAbsentShard has another group send messages, again and again, for
// a shard that is frozen, thawed, leaves and comes back: those that the core
// would ignore are not proposed, all others are.
func TestLanesOfAnAbsentShard(t *testing.T) {
	const here, away = 1, 2
	ten := newTestTenure(func(_ *Config, s *Start) { s.Away = []state.Shard{away} })
	p := ten.Proposer
	send := func(to uint64) bool {
		return p.Lane(&core.Lane{Incarnation: 7, From: 9, To: to, First: 1, Messages: []core.Message{{Key: "m"}}})
	}
	change := func(s state.Shard, change string) {
		t.Helper()
		ten.Applied(Applied{Own: true, Output: &core.Output{Moved: []core.ShardChange{{Shard: s, Change: change}}}})
	}
	lanes := func(what string, want int) {
		t.Helper()
		if e := p.Next(sec(1)); laneItems(e) != want {
			t.Errorf("%s: %d lanes proposed; want %d", what, laneItems(e), want)
		}
		ten.Applied(Applied{Own: true, Output: &core.Output{}})
	}

	if send(away) || !send(here) {
		t.Error("at the start, what is for a shard that is away is taken, or what is for one that is here is not")
	}
	lanes("at the start", 1)

	send(here)
	change(here, core.ShardFrozen)
	for range 100 {
		if send(here) {
			t.Fatal("a message for a frozen shard is taken")
		}
	}
	if p.lanes.bytes != 0 {
		t.Errorf("%d bytes of lanes wait; want 0", p.lanes.bytes)
	}
	lanes("frozen", 0)
	change(here, core.ShardThawed)
	send(here)
	lanes("thawed", 1)

	change(here, core.ShardFrozen)
	change(here, core.ShardLeft)
	send(here)
	lanes("left", 0)
	change(here, core.ShardCame)
	send(here)
	lanes("come back", 1)

	send(here)
	e := p.Next(sec(2))
	change(away, core.ShardCame) // of another entry
	p.flight = append(p.flight, e)
	p.leave(here)
	p.Failed(e)
	lanes("of a proposal that failed, frozen by then", 0)
}

// TestLanesGoOutAgain has a shard thawed, and one placed in another group: what
// waits for it goes out at once.
func TestLanesGoOutAgain(t *testing.T) {
	for _, change := range []string{core.ShardThawed, core.ShardPlaced} {
		ten := newTestTenure(func(_ *Config, s *Start) {
			s.Lanes = []core.LaneOut{{From: 9, To: 1, Number: 1, Message: &core.Message{}}}
		})
		expectLanes(t, ten.Lanes, sec(0), "1-1")
		expectLanes(t, ten.Lanes, sec(0.1), "")
		ten.Applied(Applied{Own: true, Output: &core.Output{Moved: []core.ShardChange{{Shard: 1, Change: change}}}})
		expectLanes(t, ten.Lanes, sec(0.1), "1-1")
	}
}
