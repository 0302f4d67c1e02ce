package core_test

import (
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// TestReadServed compares what the rows say of the shards that a group serves
// with what the core does, before, while and after one moves.
func TestReadServed(t *testing.T) {
	m, mv, pieces := leave(t)
	m.sameServed("frozen")
	if c := m.cores[mv.From]; !c.Frozen(mv.Shard) || m.cores[mv.To].Frozen(mv.Shard) {
		t.Error("the shard is not frozen in its old group alone")
	}
	for _, im := range pieces {
		if code := m.take(mv, im); code != "" {
			t.Fatalf("piece %d: %s", im.Number, code)
		}
		m.sameServed("coming")
	}
	if !m.cores[mv.To].Serves(mv.Shard) {
		t.Error("the shard has not arrived")
	}
	m.pump()
	m.sameServed("moved")
	if m.cores[mv.From].Frozen(mv.Shard) {
		t.Error("the shard is frozen in its old group after it has left")
	}
}

func (m *mover) sameServed(when string) {
	m.t.Helper()
	first := func(s state.Shard) int { return int(s) % len(m.cores) }
	for g, c := range m.cores {
		var want []state.Shard
		for s := range state.Shard(shards + len(m.cores)) {
			if c.Serves(s) {
				want = append(want, s)
			}
		}
		if got, err := core.ReadServed(m.stores[g].View(), shards, g, first); err != nil || !slices.Equal(got, want) {
			m.t.Errorf("%s: ReadServed of group %d = %v, %v; want %v", when, g, got, err, want)
		}
	}
}
