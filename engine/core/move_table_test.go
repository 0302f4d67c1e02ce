package core_test

import (
	"fmt"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// here is what a group has of a shard; back is the move that brings it in again.
type here struct {
	*mover
	shard       state.Shard
	group       int
	away, back  core.Move
	first, last *core.Import
}

// heres are all that a group can have of a shard, each made of the one before.
var heres = []string{"owned", "frozen", "leaving", "gone", "coming"}

func newHere(t *testing.T, name string) *here {
	t.Helper()
	h := &here{mover: newMover(t, 2, 1)}
	h.tellAll(50, 0)
	h.shard = state.ShardOf("k1", shards)
	h.group = h.serving(h.shard)
	h.back = core.Move{Shard: h.shard, From: 1 - h.group, To: h.group, Move: 1000, Version: 2}
	d := core.Departure{End: core.ImportEnd{LogTime: h.now}}
	pieces := leader.Pieces(h.back, d, nil)
	h.first, h.last = pieces[0], pieces[1]
	for _, step := range heres {
		switch step {
		case "frozen":
			h.control(core.ControlMove)
			h.away = h.cores[h.group].Moves()[0]
		case "leaving":
			h.control(core.ControlPlaced)
		case "gone":
			for _, w := range leader.Sweeps(h.away, h.stored(h.group, h.shard)) {
				h.run(h.group, core.Item{Sweep: w})
			}
		case "coming":
			if code := h.take(h.back, h.first); code != "" {
				t.Fatalf("first piece: %s", code)
			}
		}
		if step == name {
			return h
		}
	}
	t.Fatalf("no such thing: %s", name)
	return nil
}

func (h *here) control(kind string) string {
	h.t.Helper()
	k := &core.Control{ID: "t", Kind: kind, Shard: uint64(h.shard), Group: uint64(1 - h.group), Move: h.away.Move}
	return h.run(h.group, core.Item{Control: k}).Replies[0].Code
}

// told is word of the other group that it has the shard.
func (h *here) told(version uint64) {
	h.t.Helper()
	l := &core.Lane{Incarnation: 1, From: uint64(core.GroupShard(shards, 1-h.group)), To: uint64(core.GroupShard(shards, h.group)), First: 1}
	l.First += h.run(h.group, core.Item{Lane: l}).LaneAcks[0].Through // the lane has had so many
	l.Messages = []core.Message{{Kind: core.KindPlaced, Port: uint64(h.shard), Depth: uint64(1 - h.group), Time: state.Time(version)}}
	h.run(h.group, core.Item{Lane: l})
}

// String is what the group has of the shard now.
func (h *here) String() string {
	c := h.cores[h.group]
	at := c.Placements()[h.shard]
	s := fmt.Sprintf("theirs version %d", at.Version)
	if at.Group == h.group {
		s = fmt.Sprintf("ours version %d", at.Version)
	}
	for _, mv := range c.Moves() {
		s += " " + mv.Phase
	}
	if c.Serves(h.shard) {
		s += " served"
	}
	return s
}

// TestMoveSteps takes every step of a move with everything that a group can have
// of the shard, and then has the move called off: nothing of it is taken then, at
// once or later.
func TestMoveSteps(t *testing.T) {
	steps := map[string]func(h *here) string{
		"piece":  func(h *here) string { return h.take(h.back, h.first) },
		"end":    func(h *here) string { return h.take(h.back, h.last) },
		"cancel": func(h *here) string { return h.cancel() },
		"thaw":   func(h *here) string { return h.control(core.ControlThaw) },
		"let go": func(h *here) string { return h.control(core.ControlPlaced) },
		"placed": func(h *here) string { h.told(3); return "" },
	}
	const (
		owned   = "ours version 0 served"
		frozen  = "ours version 0 frozen"
		leaving = "theirs version 1 leaving"
		gone    = "theirs version 1"
		coming  = "theirs version 1 coming"
		left    = "theirs version 3 leaving"
	)
	for _, c := range []struct{ has, step, code, then string }{
		{"owned", "piece", core.CodeNotYet, owned},
		{"owned", "end", core.CodeNotYet, owned},
		{"owned", "cancel", "", owned},
		{"owned", "thaw", "move_unknown", owned},
		{"owned", "let go", "move_unknown", owned},
		{"owned", "placed", "", left},

		{"frozen", "piece", core.CodeNotYet, frozen},
		{"frozen", "end", core.CodeNotYet, frozen},
		{"frozen", "cancel", "", frozen},
		{"frozen", "thaw", "", owned},
		{"frozen", "let go", "", leaving},
		{"frozen", "placed", "", left},

		{"leaving", "piece", core.CodeNotYet, leaving},
		{"leaving", "end", core.CodeNotYet, leaving},
		{"leaving", "cancel", "", leaving},
		{"leaving", "thaw", "move_unknown", leaving},
		{"leaving", "let go", "move_unknown", leaving},
		{"leaving", "placed", "", left},

		{"gone", "piece", "", coming},
		{"gone", "end", core.CodeImportNumber, gone},
		{"gone", "cancel", "", gone},
		{"gone", "thaw", "move_unknown", gone},
		{"gone", "let go", "move_unknown", gone},
		{"gone", "placed", "", "theirs version 3"},

		{"coming", "piece", core.CodeImportNumber, coming},
		{"coming", "end", "", "ours version 2 served"},
		{"coming", "cancel", "", leaving},
		{"coming", "thaw", "move_unknown", coming},
		{"coming", "let go", "move_unknown", coming},
		{"coming", "placed", "", left},
	} {
		t.Run(c.has+", "+c.step, func(t *testing.T) {
			h := newHere(t, c.has)
			if code := steps[c.step](h); code != c.code || h.String() != c.then {
				t.Errorf("answers %q, then %s; want %q, %s", code, h, c.code, c.then)
			}
			if c.then[:4] == "ours" && c.has == "coming" || c.step == "placed" {
				if code := h.cancel(); code != core.CodeImportOver {
					t.Errorf("cancel of a move that is over = %q; want %s", code, core.CodeImportOver)
				}
				return
			}
			h.cancel()
			h.reopen(h.group)
			for h.sweep() {
			}
			for _, im := range []*core.Import{h.first, h.last} {
				if code := h.take(h.back, im); code != core.CodeImportBarred {
					t.Errorf("piece %d of a move that was called off = %q; want %s", im.Number, code, core.CodeImportBarred)
				}
			}
		})
	}
}

func (h *here) cancel() string {
	h.t.Helper()
	return h.take(h.back, &core.Import{Shard: uint64(h.shard), From: uint64(h.back.From), Move: h.back.Move, Version: h.back.Version, Cancel: true})
}

// sweep brings the group as far as it gets without the other.
func (h *here) sweep() bool {
	h.t.Helper()
	for _, mv := range h.cores[h.group].Moves() {
		switch mv.Phase {
		case core.PhaseFrozen:
			h.control(core.ControlPlaced)
			return true
		case core.PhaseLeaving:
			for _, w := range leader.Sweeps(mv, h.stored(h.group, h.shard)) {
				h.run(h.group, core.Item{Sweep: w})
			}
			return true
		}
	}
	return false
}
