package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state"
)

// leads is the node that leads a group.
func (r *rig) leads(group int) (leader int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprint("a leader of group ", group), func() bool {
		for i, n := range r.nodes {
			if n != nil && n.group(group).Leading() {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// freeze has a shard of the first group frozen for as long as the test likes: its
// new group, the second, takes no step of the move. goOn lets it and waits until
// the shard has arrived.
func (r *rig) freeze(shard state.Shard) (goOn func()) {
	r.t.Helper()
	to := r.nodes[r.leads(1)].group(1)
	if err := to.HoldLanes(patient(r.t), "test", time.Minute); err != nil {
		r.t.Fatal(err)
	}
	moved := make(chan error, 1)
	go func() { moved <- r.nodes[0].Move(patient(r.t), int(shard), 1) }()
	eventually(r.t, "a frozen shard", func() bool {
		for _, n := range r.nodes {
			if !n.group(0).Frozen(shard) {
				return false
			}
		}
		return true
	})
	return func() {
		r.t.Helper()
		if err := to.ReleaseLanes(patient(r.t), "test"); err != nil {
			r.t.Fatal(err)
		}
		if err := <-moved; err != nil {
			r.t.Fatalf("Move = %v; want it moved", err)
		}
	}
}

// nameIn finds a name whose shard belongs to the first group.
func (r *rig) nameIn() (name string, shard state.Shard) {
	for i := 0; ; i++ {
		name = fmt.Sprint("name", i)
		if shard = state.ShardOf(name, r.cfgs[0].Shards); r.nodes[0].groupOf(shard) == 0 {
			return name, shard
		}
	}
}

// proposed counts the commands that were ever proposed.
func (r *rig) proposed() (commands float64) {
	for i := range r.nodes {
		n, _ := r.nodes[i].cfg.Metrics.Total("anabranch_group_entry_events")
		commands += n
	}
	return commands
}

// TestCommandsWaitForAFrozenShard submits commands, at every node and as many as
// may wait, for a shard that is on the move. None of them gets into the log
// before the shard has arrived, and none of them keeps it from arriving.
func TestCommandsWaitForAFrozenShard(t *testing.T) {
	const requests = 3
	r := startRig(t, func(_ int, cfg *Config) {
		cfg.Groups, cfg.balanceEvery, cfg.MaxRequests = 2, 100*time.Millisecond, requests
	})
	r.spread(2)
	name, shard := r.nameIn()
	r.submit(0, "before", name)
	goOn := r.freeze(shard)

	before := r.proposed()
	for i, n := range r.nodes {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := n.Submit(ctx, tally.Event(fmt.Sprint("early", i), name, 1), false)
		cancel()
		if !errors.Is(err, connectors.ErrUnavailable) {
			t.Errorf("node %d: Submit while the shard is frozen = %v; want it unavailable", i+1, err)
		}
	}
	if n := r.proposed() - before; n != 0 {
		t.Errorf("%v commands were proposed while their shard was frozen; want 0", n)
	}

	var waiting sync.WaitGroup
	for i, n := range r.nodes {
		for k := range requests {
			waiting.Go(func() {
				e := tally.Event(fmt.Sprint("late", i, k), name, 1)
				reply, err := n.Submit(patient(t), e, false)
				for errors.Is(err, connectors.ErrOverloaded) { // all came at once to the new group
					reply, err = n.Submit(patient(t), e, false)
				}
				if err != nil || reply.Outcome != core.OutcomeApplied {
					t.Errorf("node %d: Submit = %+v, %v; want it applied", i+1, reply, err)
				}
			})
		}
	}
	eventually(t, "as many requests as may wait", func() bool {
		for _, n := range r.nodes {
			if n.requests.Load() < requests {
				return false
			}
		}
		return true
	})
	if n := r.proposed() - before; n != 0 {
		t.Errorf("%v commands were proposed while their shard was frozen; want 0", n)
	}
	goOn()
	waiting.Wait()
	if sum, want := r.sum(0, name, connectors.Linearizable), int64(1+len(r.nodes)*requests); sum != want {
		t.Errorf("sum = %d; want %d", sum, want)
	}
}

// TestMessagesWaitForAFrozenShard tells a name through Kafka while its shard is on
// the move: what one group has for it there waits for the other group to have it.
func TestMessagesWaitForAFrozenShard(t *testing.T) {
	const rounds = 10
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	name, shard := r.nameIn()
	told := 0
	tell := func() {
		for range rounds {
			var lines [][]byte
			for range partitions {
				lines = append(lines, tally.Line(fmt.Sprint("k", told), name, 1))
				told++
			}
			produce(t, r.broker.Addr(), lines...)
		}
	}
	tell()
	goOn := r.freeze(shard)
	tell()
	goOn()
	tell()
	r.expect(name, told)
}
