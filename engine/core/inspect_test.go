package core_test

import (
	"slices"
	"strings"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// inspected are the faults of a group's rows.
func inspected(t *testing.T, s *memstate.Store, group, groups int) (faults []string) {
	t.Helper()
	p, _ := plan(t)
	r := s.View()
	var have []state.Shard
	for shard := range state.Shard(shards + groups) {
		if d, err := r.Digest(shard); err != nil {
			t.Fatal(err)
		} else if d != (state.Digest{}) {
			have = append(have, shard)
		}
	}
	cfg := core.Config{Plan: p, Codec: codec.New(), Shards: shards, Group: group, Groups: groups,
		GroupOf: func(s state.Shard) int { return int(s) % groups }}
	if err := core.Inspect(cfg, r, have, func(place, what string) { faults = append(faults, place+": "+what) }); err != nil {
		t.Fatal(err)
	}
	return faults
}

// rowOf is the n-th row of a table, from 0.
type rowOf struct {
	id    state.CellID
	table *state.Table
	row   string
	value state.Visitable
}

func findRow(t *testing.T, s *memstate.Store, groups int, table string, n int) rowOf {
	t.Helper()
	var list []rowOf
	for shard := range state.Shard(shards + groups) {
		err := s.View().Rows(shard, func(id state.CellID, t *state.Table, row string, v state.Visitable) bool {
			if t.String() == table {
				list = append(list, rowOf{id, t, row, v})
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n >= len(list) {
		t.Fatalf("%s has %d rows; want more than %d", table, len(list), n)
	}
	return list[n]
}

// Rows that a core has left agree with each other; one that is gone, or stands
// elsewhere, is missed.
func TestInspect(t *testing.T) {
	busy := func(groups int) *rig {
		r := newRig(t, groups)
		for _, key := range []string{"a", "b", "c", "d"} {
			r.tell(told{Key: key, N: 1}, told{Key: key, N: 1}, told{Key: key, N: 1}, told{Key: key, Do: "reject"},
				told{Key: key, Do: "wake", Deep: 5}, told{Key: key, Do: "settle", Deep: int64(state.Hour)}, told{Key: key, Do: "latest"})
		}
		r.apply(r.home(), core.Item{Range: r.rangeOf(told{Key: "a", N: 1, Do: "ask"}, told{Key: "b", N: 1, Do: "ask"},
			told{Key: "c", N: 1, Do: "ask"}, told{Key: "d", N: 1, Do: "ask"})}) // and no lane is carried
		return r
	}
	one, two := busy(1), busy(2)
	for _, r := range []*rig{one, two} {
		for g, s := range r.stores {
			if faults := inspected(t, s, g, len(r.stores)); len(faults) > 0 {
				t.Errorf("group %d of %d: %q; want no faults", g, len(r.stores), faults)
			}
		}
	}
	home := two.home()
	tests := []struct {
		rig   *rig
		table string
		nth   int
		moved bool // to another shard, not deleted
		want  string
	}{
		{one, "!outbox/outbox", 0, false, "should be there"},
		{one, "!outbox/outbox", 1, false, "follows"},
		{one, "!outbox/head", 0, false, "and no head"},
		{two, "!lane/lane", 0, false, "should be there"},
		{two, "!lane/head", 0, false, "and no head"},
		{one, "!timer/due", 0, false, "is not in the index of timers"},
		{one, "!cell/timer", 0, false, "counts 1 timers with rows of their own, 0 are there"},
		{one, "!cell/register", 0, false, "and no register"},
		{one, "!dead/letter", 0, false, "dead letters are counted"},
		{one, "!dead/letter", 0, true, "dead letter"},
		{one, "!group/group", 0, false, "no row of its own"},
		{one, "!group/counter", 0, false, "events, but"},
		{one, "!position/position", 0, true, "position"},
		{one, "tally/counts", 0, true, "belongs to shard"},
		{two, "!outbox/outbox", 0, true, "is not one of group"},
	}
	for _, tt := range tests {
		group := 0
		if tt.rig == two {
			group = home
		}
		s := tt.rig.stores[group].Clone()
		row := findRow(t, s, len(tt.rig.stores), tt.table, tt.nth)
		s.Cell(row.id).Delete(row.table, row.row)
		if tt.moved {
			row.id.Shard = (row.id.Shard + 1) % shards
			s.Cell(row.id).Set(row.table, row.row, row.value, 0)
		}
		s.Commit(s.Applied() + 1)
		faults := inspected(t, s, group, len(tt.rig.stores))
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tt.want) }) {
			t.Errorf("%s: faults %q; want one with %q", tt.table, faults, tt.want)
		}
	}
}
