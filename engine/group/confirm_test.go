package group

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/internal/tally"
)

// What was asked for before a check began doesn't count in it, nor does what a
// follower of another term says; this replica needs no answer of its own.
func TestConfirmations(t *testing.T) {
	voters := []raft.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}, {ID: "e"}}
	var c confirmations
	before := c.begun()
	round := c.begin()
	for _, step := range []struct {
		replica     raft.ServerID
		term, round uint64
		want        bool
	}{
		{"b", 2, before, false}, // late
		{"c", 2, before, false},
		{"x", 2, round, false}, // no voter
		{"b", 1, round, false}, // another term
		{"b", 2, round, false}, // two of five
		{"a", 2, round, false}, // ourselves
		{"c", 2, c.begin(), true},
		{"d", 3, round, true},
		{"c", 2, before, true}, // a late one takes nothing back
	} {
		c.note(step.replica, step.term, step.round)
		if got := c.majority(voters, "a", 2, round); got != step.want {
			t.Errorf("majority after %+v = %v; want %v", step, got, step.want)
		}
	}
	if c.majority(voters, "a", 2, c.begin()) {
		t.Error("a new round is confirmed by answers of the one before")
	}
}

// A read names the index of the entry that it sees, also when that was applied a
// moment ago.
func TestReadNamesWhatItSees(t *testing.T) {
	r := start(t, config(t, t.TempDir(), &broker{}))
	defer r.mustEnd()
	r.add("1", "a", 1)
	r.movedMu.Lock() // entries are applied, and their indexes not noted
	second := r.add("2", "a", 1)
	answer, index, err := r.Ask(context.Background(), tally.Stage, tally.Query, "a", &tally.Question{}, connectors.Stale)
	r.movedMu.Unlock()
	if err != nil || answer.(*tally.Total).Sum != 2 || index != second.Index {
		t.Errorf("Ask = %+v at index %d, %v; want 2, at index %d", answer, index, err, second.Index)
	}
}

// A check that is carried out when the replica leads again, in another term, says
// nothing about who led meanwhile.
func TestCheckOfALaterTerm(t *testing.T) {
	c := newTrio(t, nil)
	first := c.leader()
	first.verify.mu.Lock()
	first.verify.busy = true // another check is under way
	first.verify.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- first.Fresh(context.Background(), connectors.Linearizable) }()
	eventually(t, "a read that waits for its check", func() bool {
		first.verify.mu.Lock()
		defer first.verify.mu.Unlock()
		return first.verify.next != nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	second := c.members[(first.node+1)%3]
	for _, hand := range []struct{ from, to *member }{{first, second}, {second, first}} {
		eventually(t, "a hand-over", func() bool { return hand.from.Transfer(ctx, nodeName(hand.to.node)) == nil })
		eventually(t, "the named node leads", hand.to.Leading)
	}
	first.waits.Go(func() { first.verify.run(first.Group) })
	if err := <-answered; !errors.Is(err, connectors.ErrUnavailable) {
		t.Errorf("Fresh = %v; want %v", err, connectors.ErrUnavailable)
	}
}
