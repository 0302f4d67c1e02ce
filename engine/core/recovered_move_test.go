package core_test

import (
	"testing"

	"anabranch.dev/engine/core"
)

// deliver takes what group shards have for each other there, in the new life.
func (m *mover) deliver() {
	m.t.Helper()
	for g, c := range m.cores {
		var all []core.LaneOut
		c.PendingLanes(func(l core.LaneOut) bool { all = append(all, l); return true })
		for _, l := range all {
			if to := int(l.To) - shards; to >= 0 {
				out := m.run(to, core.Item{Lane: &core.Lane{Incarnation: m.incarnation, From: uint64(l.From), To: uint64(l.To), First: l.Number,
					Messages: []core.Message{*l.Message}}})
				for i := range out.LaneAcks {
					m.run(g, core.Item{LaneAck: &out.LaneAcks[i]})
				}
			}
		}
	}
}

// TestRecoveredShardHasOneOwner loses, with the end of the old group's log, that
// it has let a shard go: the new one tells it again.
func TestRecoveredShardHasOneOwner(t *testing.T) {
	m, mv, pieces := leave(t)
	for range 3 {
		for _, p := range pieces {
			if m.take(mv, p) == core.CodeNotYet {
				m.carry(mv.To, m.cores[mv.To])
				m.carry(mv.From, m.cores[mv.From])
			}
		}
	}
	through := map[core.LaneAck]uint64{}
	m.cores[mv.To].PendingLanes(func(l core.LaneOut) bool {
		through[core.LaneAck{From: uint64(l.From), To: uint64(l.To)}] = l.Number
		return true
	})
	for a, n := range through { // acknowledged by entries that are lost
		a.Through = n
		m.run(mv.To, core.Item{LaneAck: &a})
	}
	m.run(mv.From, core.Item{Control: &core.Control{Kind: core.ControlThaw, Shard: uint64(mv.Shard), Move: mv.Move}})
	m.reborn(core.LanesRestart)
	if !m.cores[mv.From].Serves(mv.Shard) || !m.cores[mv.To].Serves(mv.Shard) {
		t.Fatal("the shard is not served twice to begin with")
	}
	m.deliver()
	if m.cores[mv.From].Serves(mv.Shard) || !m.cores[mv.To].Serves(mv.Shard) {
		t.Errorf("old group serves it: %v, new one: %v; want the new one only", m.cores[mv.From].Serves(mv.Shard), m.cores[mv.To].Serves(mv.Shard))
	}
}

// TestRecoveredMoveBeginsAgain loses what the old group has noted of a move that
// the new one has begun, or has called off: a later move, of an entry with a lower
// index, is taken.
func TestRecoveredMoveBeginsAgain(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		m, mv, pieces := leave(t)
		if code := m.take(mv, pieces[0]); code != "" {
			t.Fatalf("the rows: %q", code)
		}
		if cancel {
			m.take(mv, &core.Import{Shard: uint64(mv.Shard), From: uint64(mv.From), Move: mv.Move, Version: mv.Version, Cancel: true})
		}
		m.reborn(core.LanesRestart)
		for _, now := range m.cores[mv.To].Moves() {
			if now.Phase != core.PhaseLeaving {
				t.Errorf("the new group has it %s; want what it took deleted", now.Phase)
			}
			m.advance(mv.To, m.cores[mv.To], now)
		}
		again := *pieces[0]
		again.Move--
		if code := m.take(mv, &again); code != "" {
			t.Errorf("called off before: %v: the first piece again = %q; want it taken", cancel, code)
		}
	}
}

// TestRecoveredGroupsHearAnew loses rows that a shard has published: a group that
// has heard them has no more to ask of another than the other can hear.
func TestRecoveredGroupsHearAnew(t *testing.T) {
	m := newMover(t, 2, 1)
	m.tellAll(100, 0)
	s := core.GroupShard(shards, 0)
	for g := range m.cores {
		m.run(g)
	}
	heard := 0
	for g := range m.cores {
		heard += len(m.cores[g].Departure(s).End.Heard)
	}
	if heard == 0 {
		t.Fatal("no group has heard anything")
	}
	m.reborn(core.LanesRestart)
	for g, c := range m.cores {
		if left := c.Departure(s).End.Heard; len(left) > 0 {
			t.Errorf("group %d asks for %+v; want nothing of the life before", g, left)
		}
	}
}
