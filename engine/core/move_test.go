package core_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// TestShardsMove tells keys of several groups the same twice, without moves and
// with shards on the move all the time: what the keys come to is the same, and
// so is what is emitted for each, in the same order.
func TestShardsMove(t *testing.T) {
	for _, groups := range []int{2, 3} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprint(groups, " groups, seed ", seed), func(t *testing.T) {
				still := newMover(t, groups, seed)
				still.tellAll(300, 0)
				moving := newMover(t, groups, seed)
				moving.tellAll(300, 4)
				if moving.moved < 20 {
					t.Errorf("%d shards have moved; want 20 at least", moving.moved)
				}
				for k := range keysTold {
					key := fmt.Sprint("k", k)
					if got, want := moving.total(key), still.total(key); got != want {
						t.Errorf("%s came to %+v; want %+v", key, got, want)
					}
					if got, want := moving.emitted[key], still.emitted[key]; !slices.Equal(got, want) {
						t.Errorf("%s emitted %v; want %v", key, got, want)
					}
				}
				moving.inspect()
			})
		}
	}
}

const keysTold = 12

// mover is a rig whose shards may be anywhere. Time stands still while it moves
// one, so that what is emitted can be compared.
type mover struct {
	*rig
	rand    *rand.Rand
	emitted map[string][]string
	moved   int
	waiting []told
}

func newMover(t *testing.T, groups int, seed uint64) *mover {
	m := &mover{rig: newRig(t, groups), rand: rand.New(rand.NewPCG(seed, 1)), emitted: map[string][]string{}}
	return m
}

// serving is the group that serves a shard, -1 while none does.
func (m *mover) serving(s state.Shard) int {
	return slices.IndexFunc(m.cores, func(c *core.Core) bool { return c.Serves(s) })
}

// run applies items and keeps what is emitted.
func (m *mover) run(g int, items ...core.Item) *core.Output {
	m.t.Helper()
	out := m.apply(g, items...)
	if out.Halt != nil {
		m.t.Fatalf("group %d halted: %+v", g, out.Halt)
	}
	for _, r := range out.Records {
		if r.Topic != "latest" {
			m.emitted[r.Key] = append(m.emitted[r.Key], fmt.Sprintf("%s %d %+v", r.ID, r.Number, r.Payload.Value))
		}
	}
	return out
}

// tellAll tells random keys random things, and moves a shard now and then; in
// the meantime more is told.
func (m *mover) tellAll(n, moveEvery int) {
	m.t.Helper()
	moves := rand.New(rand.NewPCG(m.rand.Uint64(), 2))
	for i := range n {
		e := told{Key: fmt.Sprint("k", m.rand.IntN(keysTold)), N: m.rand.Int64N(9) + 1}
		e.Do = []string{"", "ask", "wake", "settle", "brief", "latest", "reject", "ask-refused"}[m.rand.IntN(8)]
		e.Deep = m.rand.Int64N(int64(3 * state.Second))
		m.now += 100 * state.Millisecond
		m.waiting = append(m.waiting, e)
		if moveEvery > 0 && i%moveEvery == 0 {
			m.begin(moves)
			m.reopen(moves.IntN(len(m.cores)))
		}
		m.pump()
	}
	for range 20 {
		m.now += state.Second
		m.pump()
	}
}

// begin freezes a random shard.
func (m *mover) begin(r *rand.Rand) {
	s := state.Shard(r.IntN(shards))
	from := m.serving(s)
	if from < 0 {
		return
	}
	to := (from + 1 + r.IntN(len(m.cores)-1)) % len(m.cores)
	m.run(from, core.Item{Control: &core.Control{Kind: core.ControlMove, Shard: uint64(s), Group: uint64(to)}})
}

// pump carries everything to where it belongs until nothing is left to do.
func (m *mover) pump() {
	m.t.Helper()
	for busy := true; busy; {
		busy = m.feed()
		for g, c := range m.cores {
			m.run(g) // a tick
			busy = m.carry(g, c) || busy
			busy = m.acknowledge(g, c) || busy
			for _, mv := range c.Moves() {
				busy = m.advance(g, c, mv) || busy
			}
		}
	}
}

// feed tells what waits, if somebody reads the partition.
func (m *mover) feed() bool {
	g := m.serving(core.PartitionShard(part, shards))
	if len(m.waiting) == 0 || g < 0 {
		return false
	}
	m.run(g, core.Item{Range: m.rangeOf(m.waiting...)})
	m.waiting = nil
	return true
}

// carry takes lane messages to where their shards are; some are lost.
func (m *mover) carry(g int, c *core.Core) (busy bool) {
	var all []core.LaneOut
	c.PendingLanes(func(l core.LaneOut) bool { all = append(all, l); return true })
	for _, l := range all {
		to := int(l.To) - shards
		if to < 0 {
			to = m.serving(l.To)
		}
		if to < 0 {
			continue
		}
		out := m.run(to, core.Item{Lane: &core.Lane{Incarnation: 1, From: uint64(l.From), To: uint64(l.To), First: l.Number,
			Messages: []core.Message{*l.Message}}})
		for i := range out.LaneAcks {
			if out.LaneAcks[i].Through >= l.Number {
				busy = true
				m.run(g, core.Item{LaneAck: &out.LaneAcks[i]})
			}
		}
	}
	return busy
}

// acknowledge says that all of a group's records are in Kafka.
func (m *mover) acknowledge(g int, c *core.Core) bool {
	through := map[uint64]uint64{}
	c.Pending(func(r *operators.Record) bool { through[r.Shard] = r.Outbox; return true })
	for s := range uint64(shards + len(m.cores)) {
		if n := through[s]; n > 0 {
			m.run(g, core.Item{Ack: &core.Ack{Shard: s, Through: n}})
		}
	}
	return len(through) > 0
}

// advance does the next step of a move. It reports whether there was one.
func (m *mover) advance(g int, c *core.Core, mv core.Move) bool {
	m.t.Helper()
	switch {
	case mv.Phase == core.PhaseFrozen && mv.Drained:
		return m.send(g, c, mv)
	case mv.Phase == core.PhaseLeaving:
		for _, w := range leader.Sweeps(mv, m.stored(g, mv.Shard)) {
			m.run(g, core.Item{Sweep: w})
		}
		if left := m.stored(g, mv.Shard); len(left) > 0 {
			m.t.Fatalf("%d rows of shard %d are left", len(left), mv.Shard)
		}
		return true
	}
	return false
}

// send has the new group take the shard in.
func (m *mover) send(g int, c *core.Core, mv core.Move) bool {
	m.t.Helper()
	busy := false
	for i, im := range leader.Pieces(mv, c.Departure(mv.Shard), m.stored(g, mv.Shard)) {
		out := m.run(mv.To, core.Item{Import: im})
		switch r := out.Replies[len(out.Replies)-1]; r.Code {
		case "":
			busy = true
			if im.Last != nil {
				m.moved++
			}
		case core.CodeNotYet, core.CodeImportNumber:
		default:
			m.t.Fatalf("piece %d of shard %d: %+v", i+1, mv.Shard, r)
		}
	}
	return busy
}

func (m *mover) stored(g int, s state.Shard) (rows []state.StoredRow) {
	m.t.Helper()
	err := m.stores[g].View().Stored(s, func(r state.StoredRow) bool { rows = append(rows, r); return true })
	if err != nil {
		m.t.Fatal(err)
	}
	return rows
}

// total asks the group where the key is.
func (m *mover) total(key string) told {
	m.t.Helper()
	g := m.serving(state.ShardOf(key, shards))
	if g < 0 {
		m.t.Fatalf("nobody serves %s", key)
	}
	a, err := m.cores[g].Query("tally", "total", key, &told{})
	if err != nil {
		m.t.Fatal(err)
	}
	if a == nil {
		return told{}
	}
	return *a.(*told)
}

// inspect looks through every group's rows, and through what a restart reads.
func (m *mover) inspect() {
	m.t.Helper()
	p, _ := plan(m.t)
	for g, s := range m.stores {
		var have []state.Shard
		s.Digests(func(_ uint64, all []state.ShardDigest) {
			for _, d := range all {
				have = append(have, d.Shard)
			}
		})
		cfg := core.Config{Plan: p, Codec: codec.New(), Shards: shards, Group: g, Groups: len(m.cores), Incarnation: 1,
			Clock: core.ClockWall, GroupOf: func(s state.Shard) int { return int(s) % len(m.cores) }}
		err := core.Inspect(cfg, s.View(), have, func(place, what string) { m.t.Errorf("group %d: %s: %s", g, place, what) })
		if err != nil {
			m.t.Error(err)
		}
		again, err := s.Reopen(core.Tables(p))
		if err != nil {
			m.t.Fatal(err)
		}
		c := newCore(m.t, p, g, len(m.cores), again)
		if got, want := fmt.Sprint(c.Placements(), c.Moves(), c.Shards(), c.Partitions()), fmt.Sprint(m.cores[g].Placements(), m.cores[g].Moves(), m.cores[g].Shards(), m.cores[g].Partitions()); got != want {
			m.t.Errorf("group %d after a restart: %s; want %s", g, got, want)
		}
	}
}
