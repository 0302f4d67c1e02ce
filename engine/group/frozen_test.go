package group

import (
	"context"
	"fmt"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// TestFrozenShardUnderMessages has another group send messages for a shard that
// is frozen, each of them again and again, until the shard is thawed. They don't
// fill the log, and are applied then.
func TestFrozenShardUnderMessages(t *testing.T) {
	acks := make(chan core.LaneAck, 100)
	cfg := config(t, t.TempDir(), &broker{})
	cfg.Core.Groups = 2
	cfg.Core.GroupOf = func(s state.Shard) int { return int(s) * 2 / testShards }
	cfg.SendLaneAck = func(a core.LaneAck) { acks <- a }
	g := start(t, cfg)
	defer g.mustEnd()
	const name = "name5"
	shard := state.ShardOf(name, testShards)
	if cfg.Core.GroupOf(shard) != 0 {
		t.Fatalf("%s is in shard %d, which is not of group 0", name, shard)
	}
	ctx := context.Background()
	control := func(k core.Control) {
		t.Helper()
		if r, err := g.Control(ctx, k); err != nil || r.Code != "" {
			t.Fatalf("Control(%s) = %+v, %v; want it applied", k.Kind, r, err)
		}
	}
	const messages = 20
	send := func(n uint64) {
		e := tally.Event(fmt.Sprint("id", n), name, 1)
		g.Lane(&core.Lane{Incarnation: 1, From: testShards - 1, To: uint64(shard), First: n, Messages: []core.Message{{
			Kind: core.KindPrimary, Port: uint64(cfg.Core.Plan.Input(e.Type).Port.ID), Key: name, Time: e.Time,
			Cause: operators.Cause{Source: e.Source, ID: e.ID, Time: e.Time}, Payload: e.Payload}}})
		eventually(t, "nothing in flight", func() bool {
			busy := true
			_, err := g.look(ctx, func(tn *tenure) { busy = tn.machines.Proposer.InFlight() > 0 })
			return err == nil && !busy
		})
	}

	control(core.Control{Kind: core.ControlMove, Shard: uint64(shard), Group: 1})
	before := g.Commit()
	for range 10 {
		for n := range uint64(messages) {
			send(n + 1)
		}
	}
	if n := g.Commit() - before; n > 20 {
		t.Errorf("%d entries while %d messages came for a frozen shard; want few", n, 10*messages)
	}
	control(core.Control{Kind: core.ControlThaw, Shard: uint64(shard), Move: g.Moves()[0].Move})
	for n := range uint64(messages) {
		send(n + 1)
	}
	for a := range acks {
		if a.To != uint64(shard) {
			t.Fatalf("acknowledged %+v; want shard %d", a, shard)
		}
		if a.Through == messages {
			break
		}
	}
	if sum := g.sum(name); sum != messages {
		t.Errorf("sum = %d; want %d", sum, messages)
	}
}
