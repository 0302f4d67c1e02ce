package core_test

import (
	"fmt"
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// novel is a table that only some builds know.
var novel = state.NewTable("tally", "novel", func() state.Visitable { return &told{} })

// leftBehind writes rows of a table that this build may not know, as a build does
// that knows it.
func (m *mover) leftBehind(g int, key string) {
	m.t.Helper()
	value, err := codec.New().Append(nil, 1, &told{Key: "novel", N: 7})
	if err != nil {
		m.t.Fatal(err)
	}
	s := m.stores[g]
	for n := range 3 {
		s.Put(state.StoredRow{Cell: state.CellID{Shard: state.ShardOf(key, shards), Stage: state.StageID(state.IDOf("tally")), Key: key},
			Table: novel.ID, Row: fmt.Sprint("row", n), Expires: state.Time(n), Value: value})
	}
	s.Commit(s.Applied())
}

// shift moves a key's shard to the other group, whole, with what it may say held
// back: it returns the rows before and after.
func (m *mover) shift(key string) (before, after []state.StoredRow) {
	m.t.Helper()
	s := state.ShardOf(key, shards)
	from := m.serving(s)
	m.run(from, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: uint64(s), Group: uint64(1 - from)}})
	for _, mv := range m.cores[from].Moves() {
		if mv.Shard != s || !mv.Drained {
			m.t.Fatalf("move = %+v; want that of shard %d, drained", mv, s)
		}
		before = m.stored(from, s)
		pieces := leader.Pieces(mv, m.cores[from].Departure(s), before)
		for code := core.CodeNotYet; code == core.CodeNotYet; {
			for _, p := range pieces {
				code = m.take(mv, p)
			}
			after = m.stored(1-from, s)
			m.carry(1-from, m.cores[1-from])
			m.carry(from, m.cores[from])
		}
	}
	m.pump()
	if g := m.serving(s); g != 1-from {
		m.t.Fatalf("group %d serves shard %d; want %d", g, s, 1-from)
	}
	if left := m.stored(from, s); len(left) > 0 {
		m.t.Errorf("%d rows of shard %d are left in group %d", len(left), s, from)
	}
	return before, after
}

// TestUnknownRowsMove moves a shard with rows of a table that the build does not
// know there and back, and the same in a build that knows it: the rows stay as
// they are, none is left behind, and the digests of both builds are equal.
func TestUnknownRowsMove(t *testing.T) {
	const key = "k1"
	var digests []string
	for _, knows := range []bool{false, true} {
		m := newMover(t, 2, 1)
		m.tellAll(100, 0)
		if knows {
			p, _ := plan(t)
			for g := range m.stores {
				s, err := m.stores[g].Reopen(slices.Concat(core.Tables(p), []*state.Table{novel}))
				if err != nil {
					t.Fatal(err)
				}
				m.stores[g], m.cores[g] = s, newCore(t, p, g, 2, s)
			}
		}
		m.leftBehind(m.serving(state.ShardOf(key, shards)), key)
		for _, s := range m.stores {
			s.SetLevel(2) // the rows were written before that
		}
		for way := range 2 {
			before, after := m.shift(key)
			if got, want := fmt.Sprint(after), fmt.Sprint(before); got != want || len(after) < 4 {
				t.Errorf("way %d, knows the table %v: %d rows have come, other than the %d that went", way, knows, len(after), len(before))
			}
		}
		m.inspect()
		list := ""
		for _, s := range m.stores {
			s.Digests(func(_ uint64, all []state.ShardDigest) { list += fmt.Sprint(all) })
		}
		digests = append(digests, list)
	}
	if digests[0] != digests[1] {
		t.Errorf("digests of a build that does not know the table %s; want those of one that does, %s", digests[0], digests[1])
	}
}
