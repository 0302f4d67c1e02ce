package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/internal/tally"
)

// startSome forms a cluster of the first three of several nodes. The others know
// those and themselves.
func startSome(t testing.TB, nodes int, each func(i int, cfg *Config)) *rig {
	t.Helper()
	r := newRig(t, nodes, func(i int, cfg *Config) {
		all := cfg.Join
		cfg.Join = slices.Clone(all[:3])
		if i >= 3 {
			cfg.Join = append(cfg.Join, all[i])
		}
		if each != nil {
			each(i, cfg)
		}
	})
	for i := range 3 {
		r.start(i)
	}
	if err := r.nodes[0].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	return r
}

// state is that of a member as a node knows it, "removed" if it is none.
func (r *rig) state(i int, node string) string {
	id := r.nodes[i].dir.now()
	if m := id.member(node); m != nil {
		return stateWord(m.State)
	}
	return "removed"
}

// becomes waits until all nodes that run know a member to be in a state.
func (r *rig) becomes(node, state string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%s is %s everywhere", node, state), func() bool {
		for i := range r.nodes {
			if r.nodes[i] != nil && r.nodes[i].isFormed() && r.state(i, node) != state {
				return false
			}
		}
		return true
	})
}

// again makes a change until it is no longer refused for want of a leader.
func again(t testing.TB, what string, fn func() (connectors.Membership, error)) (m connectors.Membership) {
	t.Helper()
	eventually(t, what, func() bool {
		var err error
		m, err = fn()
		if err != nil && !errors.Is(err, connectors.ErrUnavailable) && !errors.Is(err, connectors.ErrUnknown) {
			t.Fatalf("%s: %v", what, err)
		}
		return err == nil
	})
	return m
}

// refused fails unless a change is refused with a word.
func refused(t testing.TB, want string, fn func() (connectors.Membership, error)) {
	t.Helper()
	if m, err := fn(); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("change = %+v, %v; want it refused: %s", m, err, want)
	}
}

// removed waits until a node has ended because it was removed, and starts it
// again, which must be refused.
func (r *rig) removed(i int) {
	r.t.Helper()
	select {
	case err := <-r.nodes[i].done:
		if !errors.Is(err, ErrRemoved) {
			r.t.Fatalf("node %d: Run = %v; want ErrRemoved", i+1, err)
		}
	case <-patient(r.t).Done():
		r.t.Fatalf("node %d does not notice that it was removed", i+1)
	}
	r.nodes[i].stop()
	r.nodes[i] = nil
	if n, err := Open(r.cfgs[i]); !errors.Is(err, ErrRemoved) {
		r.t.Errorf("Open of node %d, which was removed = %v, %v; want ErrRemoved", i+1, n, err)
	}
	r.sound(i)
}

// sound fails unless a stopped node's directory has nothing wrong with it but
// for its groups' files.
func (r *rig) sound(i int) {
	r.t.Helper()
	o, err := OpenOffline(r.cfgs[i].Dir, func(place string, err error) { r.t.Errorf("node %d: %s: %v", i+1, place, err) })
	if err != nil {
		r.t.Fatal(err)
	}
	if err := o.Close(); err != nil || !o.Known {
		r.t.Errorf("node %d: identity known: %v, %v", i+1, o.Known, err)
	}
}

// submitting submits events one after the other until it is ended, and tells how many.
func (r *rig) submitting(i int) (end func() int) {
	stop, count := make(chan struct{}), 0
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			e := tally.Event(fmt.Sprint("e", count), "a", 1)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := r.nodes[i].Submit(ctx, e, false)
			cancel()
			if err == nil {
				count++ // else again, with the same id
			}
		}
	})
	return func() int { close(stop); running.Wait(); return count }
}

func TestAddDrainRemove(t *testing.T) {
	r := startSome(t, 5, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 200*time.Millisecond })
	end := r.submitting(1)
	n2 := r.nodes[1]
	r.start(3)
	r.start(4)
	refused(t, "does not answer", func() (connectors.Membership, error) { return n2.AddNode(patient(t), "n6", "127.0.0.1:1") })
	refused(t, "node n4 is at", func() (connectors.Membership, error) { return n2.AddNode(patient(t), "n6", r.cfgs[3].Peer) })
	var adding sync.WaitGroup
	for i := 3; i < 5; i++ { // at the same time, at different nodes
		adding.Go(func() {
			again(t, "add", func() (connectors.Membership, error) {
				return r.nodes[i-2].AddNode(patient(t), r.cfgs[i].ID, r.cfgs[i].Peer)
			})
		})
	}
	adding.Wait()
	r.becomes("n4", "member")
	r.becomes("n5", "member")
	r.ready()

	refused(t, "n1 is not drained", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", true) })
	again(t, "drain", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n1", false) })
	eventually(t, "n1 leads nothing", func() bool { return n2.leaderOf(0) != "n1" && n2.leaderOf(1) != "n1" && n2.leaderOf(0) != "" })
	if err := n2.Transfer(patient(t), 0, "n1"); err == nil || !strings.Contains(err.Error(), "n1 is draining") {
		t.Errorf("Transfer to a drained node = %v; want it refused", err)
	}
	again(t, "undo", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n1", true) })
	r.becomes("n1", "member")
	again(t, "drain", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n1", false) })
	m := again(t, "remove", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", false) })
	if m.State != "leaving" {
		t.Errorf("remove = %+v; want it leaving", m)
	}
	r.removed(0)
	r.becomes("n1", "removed")
	if m := again(t, "remove again", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", false) }); m.Members != 4 {
		t.Errorf("remove again = %+v; want 4 members", m)
	}
	total := end()
	if total < 100 {
		t.Errorf("only %d events went through", total)
	}
	r.expect("a", total)
	r.nodes = r.nodes[1:] // without the one that is gone
	r.same()
	for i, n := range r.nodes {
		for id := range 2 {
			if members, _ := n.group(id).Members(); len(members) != 4 {
				t.Errorf("node %d, group %d: %v; want four replicas", i+2, id, members)
			}
		}
	}
}

func TestRemoveNeedsQuorum(t *testing.T) {
	r := startSome(t, 3, nil)
	n2 := r.nodes[1]
	r.stop(2)
	eventually(t, "n3 is missed", func() bool { return !n2.peers.of("n3").fresh() && !r.nodes[0].peers.of("n3").fresh() })
	again(t, "drain", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n1", false) })
	refused(t, "of the 2 that would remain 1 answer and vote in every group, 2 have to; not so n3",
		func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", false) })
	refused(t, "no other member could lead", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n2", false) })
	refused(t, "n3 does not answer", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n3", false) })
	refused(t, "n7 is not a member", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n7", false) })
	again(t, "remove", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n3", true) })
	r.becomes("n3", "removed")
	r.start(2) // it was off, and is told
	r.removed(2)
	again(t, "remove", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", false) })
	r.removed(0)
	eventually(t, "n2 is alone", n2.isAlone)
	refused(t, "no other member could lead", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n2", false) })
	for i := range 20 {
		r.submit(1, fmt.Sprint("e", i), "a")
	}
	r.expect("a", 20)
}

// A node that was off while the members changed learns it when it is back, also
// if it must go by the new list at once.
func TestOffDuringChange(t *testing.T) {
	r := startSome(t, 4, nil)
	r.stop(2)
	r.start(3)
	again(t, "add", func() (connectors.Membership, error) { return r.nodes[0].AddNode(patient(t), "n4", r.cfgs[3].Peer) })
	r.becomes("n4", "member")
	r.submit(3, "e0", "a")
	r.stop(1) // without n3 there is no majority now
	r.start(2)
	r.becomes("n4", "member")
	eventually(t, "n3 answers n4", func() bool { return r.nodes[3].peers.of("n3").fresh() })
	r.submit(2, "e1", "a")
	r.start(1)
	r.ready()
	r.expect("a", 2)
	r.same()
}

// A cluster of one grows, and goes on without the node that it began with.
func TestGrowFromOne(t *testing.T) {
	r := newRig(t, 2, func(i int, cfg *Config) {
		if i == 0 {
			cfg.Join = nil
		}
	})
	r.start(0)
	r.ready()
	r.submit(0, "e0", "a")
	r.start(1)
	n2 := r.nodes[1]
	eventually(t, "n2 is told how it gets in", func() bool { return strings.Contains(n2.notReady(), "node n2 is not a member of cluster test") })
	again(t, "add", func() (connectors.Membership, error) { return r.nodes[0].AddNode(patient(t), "n2", r.cfgs[1].Peer) })
	r.becomes("n2", "member")
	r.stop(0) // with the usual timeouts from now on
	r.start(0)
	r.ready()
	r.submit(1, "e1", "a")
	again(t, "drain", func() (connectors.Membership, error) { return n2.DrainNode(patient(t), "n1", false) })
	again(t, "remove", func() (connectors.Membership, error) { return n2.RemoveNode(patient(t), "n1", false) })
	r.removed(0)
	eventually(t, "n2 is alone", n2.isAlone)
	r.submit(1, "e2", "a")
	r.expect("a", 3)
}

// What is decided is carried out whoever leads: here the leader stops as soon as
// it has taken the change, and so does the node that joins.
func TestAddGoesOn(t *testing.T) {
	r := startSome(t, 4, func(_ int, cfg *Config) { cfg.Groups = 2 })
	r.start(3)
	gone, asked := r.leader(), r.follower()
	again(t, "add", func() (connectors.Membership, error) { return r.nodes[asked].AddNode(patient(t), "n4", r.cfgs[3].Peer) })
	r.stop(3)
	r.stop(gone)
	r.start(3)
	r.becomes("n4", "member")
	r.sound(gone)
	r.start(gone)
	r.ready()
	r.becomes("n4", "member")
	r.submit(3, "e0", "a")
	r.expect("a", 1)
	r.same()
}
