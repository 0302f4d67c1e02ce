package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// bury makes a dead letter in the shard of a name.
func (r *rig) bury(name string) (id string) {
	r.t.Helper()
	reply, err := r.nodes[0].Submit(patient(r.t), tally.Event("bad-"+name, name, -1), false)
	if err != nil || reply.Outcome != core.OutcomeDeadLetter {
		r.t.Fatalf("Submit(%s, -1) = %+v, %v; want a dead letter", name, reply, err)
	}
	return reply.DeadLetter
}

func letterIDs(letters []operators.DeadLetter) (ids []string) {
	for i := range letters {
		ids = append(ids, letters[i].ID)
	}
	slices.Sort(ids)
	return ids
}

// TestDeadLettersOfMovingShards lists dead letters, at every node, while shards
// that hold some are frozen and move to and fro: each is listed once, always.
func TestDeadLettersOfMovingShards(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	var want []string
	for i := range 12 {
		want = append(want, r.bury(fmt.Sprint("name", i)))
	}
	slices.Sort(want)
	name, shard := r.nameIn()
	own := want[slices.IndexFunc(want, func(id string) bool { s, _ := core.DeadLetterShard(id); return s == shard })]
	list := func(n *running) {
		letters, err := n.DeadLetters(patient(t), connectors.DeadLetterFilter{})
		if got := letterIDs(letters); err != nil || !slices.Equal(got, want) {
			t.Errorf("DeadLetters = %v, %v; want %v", got, err, want)
		}
	}

	goOn := r.freeze(shard)
	for i, n := range r.nodes {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if letters, err := n.DeadLetters(ctx, connectors.DeadLetterFilter{}); !errors.Is(err, connectors.ErrUnavailable) {
			t.Errorf("node %d: DeadLetters while a shard is frozen = %v, %v; want them unavailable", i+1, letterIDs(letters), err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		if d, err := n.DeadLetter(ctx, own); !errors.Is(err, connectors.ErrUnavailable) {
			t.Errorf("node %d: DeadLetter of the frozen shard = %s, %v; want it unavailable", i+1, d.ID, err)
		}
		cancel()
	}
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		list(r.nodes[0]) // waits
	}()
	goOn()
	<-listed
	list(r.nodes[2])

	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 8 {
			if err := r.nodes[0].Move(patient(t), int(shard), i%2); err != nil {
				t.Errorf("move %d: %v", i, err)
				return
			}
		}
	}()
	for moving := true; moving; {
		select {
		case <-done:
			moving = false
		default:
		}
		for _, n := range r.nodes {
			list(n)
		}
	}
	reply, err := r.nodes[0].Redrive(patient(t), own)
	if err != nil || reply.Outcome != core.OutcomeDeadLetter {
		t.Errorf("Redrive(%s) of %s = %+v, %v; want it refused by its operator again", own, name, reply, err)
	}
}

// TestDeadLettersElsewhere asks a group for the dead letters of shards of which
// one has left: that one is left to be asked for elsewhere, from the same place
// on.
func TestDeadLettersElsewhere(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	name, shard := r.nameIn()
	id := r.bury(name)
	if err := r.nodes[0].Move(patient(t), int(shard), 1); err != nil {
		t.Fatal(err)
	}
	ask := func(group int) (found *oldest, left []*lettersRequest) {
		t.Helper()
		asked := newShardSet(r.cfgs[0].Shards + 2)
		asked.add(shard)
		asked.add(core.GroupShard(r.cfgs[0].Shards, group))
		found = &oldest{limit: 10}
		q := &lettersRequest{Group: uint64(group), Limit: 7, Shards: asked, After: &operators.DeadLetter{ID: "dl"}}
		left, err := r.nodes[0].lettersOf(patient(t), q, found)
		if err != nil {
			t.Fatal(err)
		}
		return found, left
	}
	found, left := ask(0)
	if len(found.letters) != 0 || len(left) != 1 {
		t.Fatalf("the old group has %d dead letters, and leaves %d requests; want none and 1", len(found.letters), len(left))
	}
	if got := slices.Collect(shardSet(left[0].Shards).all()); !slices.Equal(got, []state.Shard{shard}) || left[0].Limit != 7 || left[0].After.ID != "dl" {
		t.Errorf("left are shards %v after %s, %d at most; want shard %d after dl, 7 at most", got, left[0].After.ID, left[0].Limit, shard)
	}
	if found, left = ask(1); len(left) != 0 || len(found.letters) != 1 || found.letters[0].ID != id {
		t.Errorf("the new group has %d dead letters, and leaves %d requests; want 1 and none", len(found.letters), len(left))
	}
}
