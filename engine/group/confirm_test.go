package group

import (
	"context"
	"testing"

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
