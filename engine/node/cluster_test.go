package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
)

// What the leader decides is seen and can be asked for on every node, and goes
// on when the leader stops.
func TestThreeNodes(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 100)...)
	r.expect("a", 100)
	for i := range r.nodes {
		if sum := r.sum(i, "a", connectors.Linearizable); sum != 100 {
			t.Errorf("node %d: total is %d; want 100", i+1, sum)
		}
		r.submit(i, fmt.Sprint("api", i), "b")
		if sum := r.sum(i, "b", connectors.Linearizable); sum != int64(i+1) {
			t.Errorf("node %d: total of b right after a submit is %d; want %d", i+1, sum, i+1)
		}
	}

	before := r.leader()
	r.stop(before)
	produce(t, r.broker.Addr(), lines(100, 200)...)
	r.expect("a", 200)
	r.start(before)
	r.ready()
	r.expect("a", 200)
	r.same()
	for i := range r.nodes {
		if got := r.replica(i).Replica; got != fmt.Sprintf("n%d.1", i+1) {
			t.Errorf("node %d has replica %s after restarts; want its first", i+1, got)
		}
	}
}

// Every node answers everything.
func TestForwarding(t *testing.T) {
	r := startRig(t, nil)
	ctx := patient(t)
	n := r.nodes[r.follower()]
	watched := n.Watch(ctx)
	produce(t, r.broker.Addr(), []byte("garbage"), tally.Line("1", "a", 1))
	for range 2 { // a total and a dead letter
		if w := <-watched; w.Record == nil || w.Lost != 0 {
			t.Fatalf("watched on a follower: %+v; want a record", w)
		}
	}
	consume(t, r.broker.Addr(), "t.dead-letters", 1)

	reply, err := n.Submit(ctx, tally.Event("x", "a", 1), true)
	if err != nil {
		t.Fatal(err)
	}
	if stage, key, err := n.FindDecision(ctx, reply.Decision); err != nil || stage != tally.Stage || key != "a" {
		t.Errorf("FindDecision(%s) = %s, %s, %v; want %s, a", reply.Decision, stage, key, err, tally.Stage)
	}
	if _, err := n.Submit(ctx, tally.Event("bad", "a", -1), false); err != nil {
		t.Fatal(err)
	}
	letters, err := n.DeadLetters(ctx, connectors.DeadLetterFilter{})
	if err != nil || len(letters) != 2 {
		t.Fatalf("DeadLetters = %v, %v; want 2", letters, err)
	}
	if after, err := n.DeadLetters(ctx, connectors.DeadLetterFilter{After: letters[0].ID}); err != nil || len(after) != 1 || after[0].ID != letters[1].ID {
		t.Errorf("DeadLetters after the first = %v, %v; want the second", after, err)
	}
	if d, err := n.DeadLetter(ctx, letters[0].ID); err != nil || d.ID != letters[0].ID {
		t.Errorf("DeadLetter = %v, %v; want the first", d, err)
	}
	if reply, err := n.Redrive(ctx, letters[0].ID); err != nil || reply.Outcome != core.OutcomeDeadLetter {
		t.Errorf("Redrive = %+v, %v; want another dead letter", reply, err)
	}
	if err := n.Skip(ctx, 0, 1, 1); !errors.Is(err, connectors.ErrNotFound) {
		t.Errorf("Skip of a group that is not halted = %v; want %v", err, connectors.ErrNotFound)
	}
	if _, _, err := n.Ask(ctx, tally.Stage, tally.Query, "nobody", &tally.Question{}, connectors.Linearizable); !errors.Is(err, connectors.ErrNotFound) {
		t.Errorf("Ask for nobody = %v; want %v", err, connectors.ErrNotFound)
	}

	list, err := n.Nodes(ctx)
	if err != nil || len(list) != 3 {
		t.Fatalf("Nodes = %v, %v; want 3", list, err)
	}
	for i, s := range list {
		if s.Node != fmt.Sprintf("n%d", i+1) || s.HTTP != fmt.Sprintf("http-%d", i+1) || s.Peer != r.cfgs[i].Peer || !s.Ready || len(s.Groups) != 1 {
			t.Errorf("Nodes[%d] = %+v; want n%d, ready, with a group", i, s, i+1)
		}
	}
	for _, tt := range []struct {
		node int
		want string
	}{
		{r.leader(), "anabranch_node_members 3"},
		{r.leader(), "anabranch_node_members_reached 3"},
		{r.leader(), `anabranch_group_follower_lag_entries{group="0",node="` + n.cfg.ID + `"} 0`},
		{r.leader(), `anabranch_group_votes{group="0"} 1`},
		{r.leader(), "anabranch_node_clock_offset_seconds "},
		{r.follower(), `anabranch_node_forwarded_calls_total{call="submit",outcome="ok"} 2`},
		{r.follower(), `anabranch_node_forwarded_calls_total{call="ask",outcome="error"} 1`},
	} {
		eventually(t, tt.want, func() bool { return strings.Contains(r.metrics(tt.node), tt.want) })
	}

	target := (r.leader() + 1) % 3
	if err := n.Transfer(ctx, 0, r.cfgs[target].ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node that it was handed to leads alone", func() bool { // the old one may not have noticed yet
		return r.nodes[target].group(0).Leading() && r.leader() == target
	})
	if err := n.Transfer(ctx, 0, "n9"); !errors.Is(err, connectors.ErrNotFound) {
		t.Errorf("Transfer to a stranger = %v; want %v", err, connectors.ErrNotFound)
	}
	gone := r.follower()
	r.stop(gone)
	other := r.nodes[r.follower()]
	if list, err := other.Nodes(ctx); err != nil || list[gone].Unreachable == "" {
		t.Errorf("Nodes = %+v, %v; want a reason why node %d does not answer", list, err, gone+1)
	}
}

// A request that comes during an election waits for its end.
func TestRequestsWaitForALeader(t *testing.T) {
	r := startRig(t, nil)
	leader := r.leader()
	follower := r.follower()
	n := r.nodes[leader]
	r.nodes[leader] = nil
	n.stop()
	for i := range 50 {
		r.submit(follower, fmt.Sprint(i), "a")
	}
	// What was acknowledged by the new leader is seen by the next question,
	// whomever it asks.
	for i := range r.nodes {
		if r.nodes[i] != nil {
			if sum := r.sum(i, "a", connectors.Linearizable); sum != 50 {
				t.Errorf("node %d: sum right after the takeover = %d; want 50", i+1, sum)
			}
		}
	}
	n.mustEnd()
	expectOnce(t, r.broker.Addr(), "a", 50)
	// With two of three away there is nobody to wait for.
	r.stop(r.follower())
	ctx, cancel := context.WithTimeout(context.Background(), leaderPause*10)
	defer cancel()
	last := r.nodes[follower]
	if last == nil {
		last = r.nodes[3-leader-follower]
	}
	eventually(t, "no leader", func() bool { return last.leaderOf(0) == "" })
	if _, err := last.Submit(ctx, tally.Event("late", "a", 1), false); !errors.Is(err, connectors.ErrUnavailable) && !errors.Is(err, connectors.ErrUnknown) {
		t.Errorf("Submit without a quorum = %v; want %v", err, connectors.ErrUnavailable)
	}
}

// A node whose directory is gone finds the cluster, and rejoins under a name
// that none of its replicas ever had.
func TestWipedNodeRejoins(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 60)...)
	r.expect("a", 60)
	wiped := r.follower()
	seen := map[string]bool{r.replica(wiped).Replica: true}
	for range 2 {
		r.stop(wiped)
		if err := os.RemoveAll(r.cfgs[wiped].Dir); err != nil {
			t.Fatal(err)
		}
		r.start(wiped)
		r.ready()
		name := r.replica(wiped).Replica
		if seen[name] || !strings.HasPrefix(name, r.cfgs[wiped].ID+".") {
			t.Errorf("replica after a wipe is %s; want a name that none had before (%v)", name, seen)
		}
		seen[name] = true
	}
	r.expect("a", 60)
	r.same()
	// It counts for the quorum again.
	r.stop((wiped + 1) % 3)
	produce(t, r.broker.Addr(), lines(60, 90)...)
	r.expect("a", 90)
}

// An old disk that is put back is known as that, and replaced.
func TestOldDiskPutBack(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 30)...)
	r.expect("a", 30)
	node := r.follower()
	r.stop(node)
	old := copyDir(t, r.cfgs[node].Dir)
	if err := os.RemoveAll(r.cfgs[node].Dir); err != nil {
		t.Fatal(err)
	}
	r.start(node)
	r.ready()
	wiped := r.replica(node).Replica
	produce(t, r.broker.Addr(), lines(30, 60)...)
	r.expect("a", 60)
	r.stop(node)
	r.cfgs[node].Dir = old
	r.start(node)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%+v", r.replica(node))
		}
	})
	eventually(t, "a replica newer than "+wiped, func() bool {
		s := r.replica(node)
		return generationOf(s.Replica) == generationOf(wiped)+1 && s.Voters == 3
	})
	r.ready()
	r.expect("a", 60)
	r.same()
}
