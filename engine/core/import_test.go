package core_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// leave has a mover with a shard that is frozen and drained, and the pieces of it.
func leave(t *testing.T) (m *mover, mv core.Move, pieces []*core.Import) {
	t.Helper()
	m = newMover(t, 2, 1)
	m.tellAll(100, 0)
	s := state.ShardOf("k1", shards)
	from := m.serving(s)
	m.run(from, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: uint64(s), Group: uint64(1 - from)}})
	mv = m.cores[from].Moves()[0]
	if !mv.Drained {
		t.Fatalf("move = %+v; want it drained", mv)
	}
	pieces = leader.Pieces(mv, m.cores[from].Departure(s), m.stored(from, s))
	if len(pieces) != 2 {
		t.Fatalf("%d pieces; want the rows and the end", len(pieces))
	}
	return m, mv, pieces
}

// take has the new group take a step, and returns the code.
func (m *mover) take(mv core.Move, im *core.Import) string {
	m.t.Helper()
	out := m.run(mv.To, core.Item{Import: im})
	return out.Replies[len(out.Replies)-1].Code
}

// TestImportTakesPiecesInTurn sends pieces twice, out of turn, changed and short.
func TestImportTakesPiecesInTurn(t *testing.T) {
	m, mv, pieces := leave(t)
	end := *pieces[1]
	if code := m.take(mv, &end); code != core.CodeImportNumber {
		t.Errorf("the end first: %q; want %s", code, core.CodeImportNumber)
	}
	damaged := *pieces[0]
	damaged.Rows = slices.Clone(damaged.Rows)
	damaged.Rows[0].Value = append(bytes.Clone(damaged.Rows[0].Value), 0)
	if code := m.take(mv, &damaged); code != core.CodeImportBad {
		t.Errorf("the rows, one with a byte more: %q; want %s", code, core.CodeImportBad)
	}
	for i, want := range []string{"", core.CodeImportNumber} {
		if code := m.take(mv, pieces[0]); code != want {
			t.Errorf("the rows, time %d: %q; want %q", i+1, code, want)
		}
	}
	wrong := *end.Last
	wrong.Rows--
	if code := m.take(mv, &core.Import{Shard: end.Shard, From: end.From, Move: end.Move, Version: end.Version, Number: 2, Last: &wrong}); code != core.CodeImportBad {
		t.Errorf("an end with a row less: %q; want %s", code, core.CodeImportBad)
	}
	ahead := *end.Last
	ahead.LogTime += state.Hour
	if code := m.take(mv, &core.Import{Shard: end.Shard, From: end.From, Move: end.Move, Version: end.Version, Number: 2, Last: &ahead}); code != core.CodeNotYet {
		t.Errorf("an end of a later time: %q; want %s", code, core.CodeNotYet)
	}
	m.pump()
	if code := m.take(mv, &end); code != core.CodeImportOver && code != "" {
		t.Errorf("the end: %q; want it taken", code)
	}
	m.pump()
	if code := m.take(mv, &end); code != core.CodeImportOver {
		t.Errorf("the end again: %q; want %s", code, core.CodeImportOver)
	}
	if g := m.serving(mv.Shard); g != mv.To {
		t.Errorf("group %d serves the shard; want %d", g, mv.To)
	}
	m.inspect()
}

// TestMoveIsCalledOff calls a move off after a piece was taken: no other piece
// is, the old group goes on, and the shard can move later.
func TestMoveIsCalledOff(t *testing.T) {
	m, mv, pieces := leave(t)
	if code := m.take(mv, pieces[0]); code != "" {
		t.Fatalf("the rows: %q", code)
	}
	cancel := &core.Import{Shard: uint64(mv.Shard), From: uint64(mv.From), Move: mv.Move, Version: mv.Version, Cancel: true}
	for i, want := range []string{"", core.CodeImportBarred} {
		if code := m.take(mv, cancel); code != want {
			t.Errorf("cancel, time %d: %q; want %q", i+1, code, want)
		}
	}
	for _, p := range pieces {
		if code := m.take(mv, p); code != core.CodeImportBarred {
			t.Errorf("piece %d after that: %q; want %s", p.Number, code, core.CodeImportBarred)
		}
	}
	for i, want := range []string{"", "move_unknown"} {
		out := m.run(mv.From, core.Item{Control: &core.Control{ID: "t", Kind: core.ControlThaw, Shard: uint64(mv.Shard), Move: mv.Move}})
		if r := out.Replies[0]; r.Code != want {
			t.Errorf("thaw, time %d: %+v; want %q", i+1, r, want)
		}
	}
	before := m.total("k1").N
	m.waiting = append(m.waiting, told{Key: "k1", N: 5})
	m.pump()
	if got := m.total("k1").N; got != before+5 {
		t.Errorf("total after the move was called off = %d; want %d", got, before+5)
	}
	if left := m.stored(mv.To, mv.Shard); len(left) != 0 {
		t.Errorf("%d rows are left where the shard did not go", len(left))
	}
	m.run(mv.From, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: uint64(mv.Shard), Group: uint64(mv.To)}})
	m.pump()
	if g := m.serving(mv.Shard); g != mv.To || m.total("k1").N != before+5 {
		t.Errorf("moved again: group %d serves it, total %d; want group %d, %d", g, m.total("k1").N, mv.To, before+5)
	}
	m.inspect()
}

// TestShardIsLetGo loses the message that says that a shard has arrived: the old
// group is told otherwise, once.
func TestShardIsLetGo(t *testing.T) {
	m, mv, pieces := leave(t)
	for i := 0; i < 3; i++ { // the groups tell each other watermarks in between
		for _, p := range pieces {
			if code := m.take(mv, p); code == core.CodeNotYet {
				m.carry(mv.To, m.cores[mv.To])
				m.carry(mv.From, m.cores[mv.From])
			}
		}
	}
	if !m.cores[mv.To].Serves(mv.Shard) {
		t.Fatal("the new group does not serve the shard")
	}
	for i, want := range []string{"", "move_unknown"} {
		out := m.run(mv.From, core.Item{Control: &core.Control{ID: "t", Kind: core.ControlPlaced, Shard: uint64(mv.Shard), Move: mv.Move}})
		if r := out.Replies[0]; r.Code != want {
			t.Errorf("let go, time %d: %+v; want %q", i+1, r, want)
		}
	}
	m.pump()
	if got := m.cores[mv.From].Placements()[mv.Shard]; got.Group != mv.To || got.Version != mv.Version || len(m.stored(mv.From, mv.Shard)) > 0 {
		t.Errorf("the old group has the shard at %+v, with %d rows; want it gone to %d", got, len(m.stored(mv.From, mv.Shard)), mv.To)
	}
	m.inspect()
}

// TestFrozenShardWaits offers a frozen shard everything that could change it.
func TestFrozenShardWaits(t *testing.T) {
	m, mv, _ := leave(t)
	rows := fmt.Sprint(m.stored(mv.From, mv.Shard))
	c := m.cores[mv.From]
	if _, err := c.Query("tally", "total", "k1", &told{}); err == nil {
		t.Error("a frozen shard is asked; its new group may have gone on")
	}
	if _, err := c.QueryStale("tally", "total", "k1", &told{}); err != nil {
		t.Errorf("QueryStale = %v", err)
	}
	again := m.run(mv.From, core.Item{Control: &core.Control{ID: "again", Kind: core.ControlMove, Shard: uint64(mv.Shard), Group: uint64(mv.To)}})
	if r := again.Replies[0]; r.Code != "move_running" {
		t.Errorf("a second move: %+v; want move_running", r)
	}
	m.now += 100 * state.Day // timers, expiry
	m.run(mv.From)
	m.run(mv.From, core.Item{Lane: &core.Lane{Incarnation: 1, From: uint64(core.GroupShard(shards, mv.To)), To: uint64(mv.Shard), First: 1,
		Messages: []core.Message{{Kind: core.KindEvent, Key: "k1"}}}})
	if got := fmt.Sprint(m.stored(mv.From, mv.Shard)); got != rows {
		t.Errorf("the rows of a frozen shard have changed")
	}
	c = m.reopen(mv.From)
	m.run(mv.From)
	if got := fmt.Sprint(m.stored(mv.From, mv.Shard)); got != rows || c.Serves(mv.Shard) {
		t.Errorf("after a restart the frozen shard is served, or its rows have changed")
	}
}

// reopen restarts a group.
func (m *mover) reopen(g int) *core.Core {
	m.t.Helper()
	p, _ := plan(m.t)
	s, err := m.stores[g].Reopen(core.Tables(p))
	if err != nil {
		m.t.Fatal(err)
	}
	m.cores[g], m.stores[g] = newCore(m.t, p, g, len(m.cores), s), s
	return m.cores[g]
}
