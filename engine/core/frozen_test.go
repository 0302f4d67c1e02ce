package core_test

import (
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// TestFrozenShardsAreBounded freezes all shards of a group: those above the bound
// are refused until others have arrived, and then are not.
func TestFrozenShardsAreBounded(t *testing.T) {
	m := newMover(t, 2, 1)
	m.tellAll(50, 0)
	freeze := func(s state.Shard) string {
		out := m.run(0, core.Item{Control: &core.Control{ID: "t", Kind: core.ControlMove, Shard: uint64(s), Group: 1}})
		return out.Replies[len(out.Replies)-1].Code
	}
	// Half of the shards are the first group's: one more comes to it.
	m.run(1, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: 1, Group: 0}})
	m.pump()
	if m.serving(1) != 0 {
		t.Fatal("shard 1 has not come to group 0")
	}
	var own []state.Shard
	for s := range state.Shard(shards) {
		if m.serving(s) == 0 {
			own = append(own, s)
		}
	}
	if len(own) != core.MaxFrozen+1 {
		t.Fatalf("group 0 has %d shards; want one more than may be frozen", len(own))
	}
	for i, s := range own {
		want := ""
		if i == core.MaxFrozen {
			want = core.CodeMovesFull
		}
		if code := freeze(s); code != want {
			t.Errorf("freeze shard %d, number %d: %q; want %q", s, i+1, code, want)
		}
	}
	last := own[core.MaxFrozen]
	m.reopen(0)
	if code := freeze(last); code != core.CodeMovesFull {
		t.Errorf("after a restart: %q; want %s", code, core.CodeMovesFull)
	}
	m.pump()
	if code := freeze(last); code != "" {
		t.Errorf("after the others have arrived: %q; want it frozen", code)
	}
	m.pump()
	if mv, ok := m.cores[0].MoveOf(last); ok || m.serving(last) != 1 {
		t.Errorf("the last shard is at %d, move %+v; want it at 1", m.serving(last), mv)
	}
	m.inspect()
}

// TestFrozenShardCounts tells a shard of another group things and freezes the one
// that has told them: its counts are what the lanes hold, also after a restart.
func TestFrozenShardCounts(t *testing.T) {
	m := newMover(t, 2, 1)
	m.tellAll(50, 0)
	p := core.PartitionShard(part, shards)
	from := m.serving(p)
	var key string
	for _, k := range []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"} {
		if m.serving(state.ShardOf(k, shards)) != from {
			key = k
		}
	}
	m.run(from, core.Item{Range: m.rangeOf(told{Key: key, N: 1}, told{Key: key, N: 2})})
	m.run(from, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: uint64(p), Group: uint64(1 - from)}})
	for range 2 {
		mv, ok := m.cores[from].MoveOf(p)
		if !ok || mv.Messages != 2 || mv.Drained {
			t.Errorf("move = %+v; want two messages that wait", mv)
		}
		m.reopen(from)
	}
	m.pump()
	if at := m.serving(p); at != 1-from {
		t.Errorf("shard %d is at %d; want it moved", p, at)
	}
}
