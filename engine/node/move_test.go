package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state"
)

// TestShardsMoveUnderLoad moves shards from group to group, the ones that hold
// partitions among them, while names are told through Kafka and by commands to
// every node, and a leader is stopped and started in between. Every sum of every
// name is delivered once and in order.
func TestShardsMoveUnderLoad(t *testing.T) {
	const names, moves = 10, 20
	r := startRig(t, func(_ int, cfg *Config) {
		cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond
	})
	r.spread(2)
	var told, commanded int
	tell := func() {
		var lines [][]byte
		for n := range names {
			lines = append(lines, tally.Line(fmt.Sprint("k", told, "-", n), fmt.Sprint("name", n), 1))
		}
		produce(t, r.broker.Addr(), lines...)
		told++
	}
	gone := -1
	random := rand.New(rand.NewPCG(1, 2))
	move := func(i int) {
		t.Helper()
		shard := random.IntN(r.cfgs[0].Shards)
		if i%3 == 0 { // one that is busy
			shard = int(state.ShardOf(fmt.Sprint("name", i%names), r.cfgs[0].Shards))
		}
		at := r.running().groupOf(state.Shard(shard))
		err := r.running().Move(patient(t), shard, 1-at)
		for try := 0; err != nil && gone >= 0 && try < 3; try++ { // a leader has gone
			err = r.running().Move(patient(t), shard, 1-at)
		}
		if err != nil {
			t.Fatalf("move %d: shard %d from group %d: %v", i, shard, at, err)
		}
	}
	for i := range moves {
		tell()
		var asked sync.WaitGroup
		asked.Go(func() { // while it moves
			for n := range r.nodes {
				if r.nodes[n] != nil {
					r.submit(n, fmt.Sprint("c", i, "-", n), "commanded")
					commanded++
				}
			}
		})
		move(i)
		asked.Wait()
		switch i {
		case moves / 2:
			gone = r.leader()
			r.stop(gone)
		case moves/2 + 3:
			r.start(gone)
			r.ready()
		}
	}
	values := consume(t, r.broker.Addr(), "t.totals", names*told+commanded)
	for n := range names {
		name, next := fmt.Sprint("name", n), 1
		for _, v := range values {
			if !strings.HasPrefix(v, name+"=") {
				continue
			}
			if want := fmt.Sprintf("%s=%d", name, next); v != want {
				t.Errorf("delivered %s; want %s", v, want)
			}
			next++
		}
		if next != told+1 {
			t.Errorf("%s was delivered %d times; want %d", name, next-1, told)
		}
	}
	r.ready()
	r.settled()
	r.same()
	for i := range r.nodes {
		if sum := r.sum(i, "commanded", connectors.Linearizable); sum != int64(commanded) {
			t.Errorf("node %d: commanded = %d; want %d", i+1, sum, commanded)
		}
	}
}

// running is a node that runs.
func (r *rig) running() *running {
	for _, n := range r.nodes {
		if n != nil {
			return n
		}
	}
	r.t.Fatal("no node runs")
	return nil
}

// settled waits until no group has a part in a move.
func (r *rig) settled() {
	r.t.Helper()
	eventually(r.t, "no moves", func() bool {
		moves := 0
		for _, n := range r.nodes {
			for id := range r.cfgs[0].Groups {
				moves += len(n.group(id).Moves())
			}
		}
		return moves == 0
	})
}

// TestShardMovesStraightBack moves a shard to and fro: each time, the group it
// comes back to has yet to delete what it had of it, and this node leads both.
func TestShardMovesStraightBack(t *testing.T) {
	cfg := config(t, t.TempDir(), startBroker(t, 0, allTopics...).Addr())
	cfg.Groups = 2
	n := start(t, cfg)
	if err := n.Ready(patient(t)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		at := n.groupOf(0)
		ctx, cancel := context.WithTimeout(t.Context(), movePatience)
		if err := n.Move(ctx, 0, 1-at); err != nil {
			t.Fatalf("move %d, from group %d: %v", i, at, err)
		}
		cancel()
	}
	n.mustEnd()
}

// TestAllShardsMoveAtOnce moves more shards of a group at once than may be frozen:
// the rest wait for their turn.
func TestAllShardsMoveAtOnce(t *testing.T) {
	cfg := config(t, t.TempDir(), startBroker(t, 0, allTopics...).Addr())
	cfg.Groups, cfg.Shards = 2, 6*core.MaxFrozen
	n := start(t, cfg)
	n.ready()
	var moves sync.WaitGroup
	for s := range cfg.Shards {
		to := 1 - n.groupOf(state.Shard(s))
		moves.Go(func() {
			if err := n.Move(patient(t), s, to); err != nil {
				t.Errorf("move of shard %d: %v", s, err)
			}
		})
	}
	moves.Wait()
	(&rig{t: t, cfgs: []Config{cfg}, nodes: []*running{n}}).settled()
	n.mustEnd()
}

// TestMoveIsRefused asks for moves that can't be.
func TestMoveIsRefused(t *testing.T) {
	n := start(t, config(t, t.TempDir(), startBroker(t, 0, allTopics...).Addr()))
	if err := n.Ready(patient(t)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		shard, group int
		want         string
	}{{-1, 0, "not found"}, {9999, 0, "not found"}, {0, 1, "not found"}, {0, 0, ""}} {
		err := n.Move(patient(t), m.shard, m.group)
		if (err == nil) != (m.want == "") || err != nil && !strings.Contains(err.Error(), m.want) {
			t.Errorf("Move(%d, %d) = %v; want %q", m.shard, m.group, err, m.want)
		}
	}
	if got := n.group(0).Moves(); len(got) != 0 {
		t.Errorf("Moves() = %v; want none", got)
	}
	n.mustEnd()
}
