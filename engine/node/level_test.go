package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
)

func knowing(levels ...uint64) func(i int, cfg *Config) {
	return func(i int, cfg *Config) { cfg.knows = levels[i] }
}

// replace stops a node and starts it with another build.
func (r *rig) replace(i int, knows uint64) {
	r.t.Helper()
	r.stop(i)
	r.cfgs[i].knows = knows
	r.start(i)
	r.ready()
}

// work has every node take a few events, which all replicas come to agree on.
func (r *rig) work(name string) {
	r.t.Helper()
	for i := range r.nodes {
		for n := range 3 {
			r.submit(i, fmt.Sprint(name, i, n), name)
		}
	}
	n := 3 * len(r.nodes)
	eventually(r.t, "sums delivered", func() bool {
		return strings.Contains(strings.Join(consume(r.t, r.broker.Addr(), "t.totals", n), " "), fmt.Sprint(name, "=", n))
	})
	r.expect(name, n)
	r.same()
	for i := range r.nodes {
		if aside := r.quarantine(i); len(aside) > 0 {
			r.t.Fatalf("node %d has put replicas aside: %v", i+1, aside)
		}
	}
}

// surplus brings an event in at a node that knows level 2, with a field that came
// with it.
func (r *rig) surplus(at int, name string, want int) {
	r.t.Helper()
	e := tally.Event(name, name, 1)
	e.Payload.Value.(*tally.Added).More = 5
	eventually(r.t, "event taken", func() bool {
		_, err := r.nodes[at].Submit(patient(r.t), e, false)
		return err == nil
	})
	for i := range r.nodes {
		eventually(r.t, fmt.Sprintf("node %d: total %d", i+1, want), func() bool { return r.sum(i, name, connectors.Stale) == int64(want) })
	}
	r.same()
}

// levels waits until every node has a level in force.
func (r *rig) levels(want uint64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("feature level %d everywhere", want), func() bool {
		for i := range r.nodes {
			s, err := r.nodes[i].Status(patient(r.t))
			if err != nil || s.LevelInForce != int(want) || slices.ContainsFunc(s.Groups, func(g connectors.GroupStatus) bool { return g.Level != want }) {
				return false
			}
		}
		return true
	})
}

// refusedUpgrade fails unless an upgrade is refused for these reasons.
func (r *rig) refusedUpgrade(at int, wants ...string) {
	r.t.Helper()
	_, err := r.nodes[at].Upgrade(patient(r.t))
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			r.t.Fatalf("upgrade = %v; want it refused: %s", err, want)
		}
	}
}

// A cluster is brought from one feature level to the next node by node: mixed, its
// replicas stay equal, whoever leads, and a node may go back. After the upgrade
// one can't, and does no harm.
func TestRollingUpgrade(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.knows, cfg.Groups = 1, 2 })
	r.work("before")
	if u, err := r.nodes[0].Upgrade(patient(t)); err != nil || u != (connectors.Upgraded{Before: 1, Level: 1}) {
		t.Fatalf("upgrade of a cluster of one level = %+v, %v; want nothing to change", u, err)
	}
	for i, step := range []struct {
		node  int
		knows uint64
	}{{0, 2}, {1, 2}, {0, 1}, {0, 2}} {
		r.replace(step.node, step.knows)
		for leader := range 2 { // one of either build, in most of the steps
			eventually(t, "leadership handed over", func() bool { return r.nodes[2].Transfer(patient(t), 0, r.cfgs[leader].ID) == nil })
			r.work(fmt.Sprint("mixed", i, leader))
		}
		if step.knows == 2 {
			for group := range 2 {
				eventually(t, "leadership handed over", func() bool { return r.nodes[2].Transfer(patient(t), group, r.cfgs[step.node].ID) == nil })
			}
			r.surplus(step.node, fmt.Sprint("surplus", i), 1) // what not all know counts for nobody
		}
		r.refusedUpgrade(step.node, "feature level 2 can't be put in force", "node n3 knows feature level 1")
	}
	r.levels(1)
	r.stop(2)
	eventually(t, "a refusal, as a node is away", func() bool {
		_, err := r.nodes[0].Upgrade(patient(t))
		return err != nil && strings.Contains(err.Error(), "node n3 does not answer")
	})
	r.cfgs[2].knows = 2
	r.start(2)
	r.ready()
	if u, err := r.nodes[r.follower()].Upgrade(patient(t)); err != nil || u != (connectors.Upgraded{Before: 1, Level: 2}) {
		t.Fatalf("upgrade = %+v, %v", u, err)
	}
	r.levels(2)
	r.work("after")
	r.surplus(0, "surplus", 6)

	r.stop(2)
	r.cfgs[2].knows = 1
	if n, err := Open(r.cfgs[2]); !errors.Is(err, core.ErrLevelUnknown) {
		t.Fatalf("Open of an older build = %v, %v; want it to refuse", n, err)
	} else if want := "this build knows feature level 1, the group is at 2: upgrade this node"; !strings.Contains(err.Error(), want) {
		t.Errorf("Open of an older build = %v; want %s", err, want)
	}
	r.cfgs[2].knows = 2
	r.start(2)
	r.ready()
	r.work("again")
}

// An older build that has the entry which raises the level only in its log stops
// when it comes to that.
func TestOlderBuildMeetsRaise(t *testing.T) {
	r := startRig(t, knowing(2, 2, 2))
	r.levels(2) // formed at it, by the first entry
	r.work("before")
	dir := r.nodes[2].kill() // the state is written behind the log
	r.stop(2)
	r.cfgs[2].Dir = dir
	cfg := r.cfgs[2]
	cfg.knows = 1
	n, err := Open(cfg)
	if err == nil {
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		err = n.Run(ctx)
	}
	if !errors.Is(err, core.ErrLevelUnknown) {
		t.Fatalf("older build = %v; want it to stop", err)
	}
	r.start(2)
	r.ready()
	r.work("after")
}

// A new cluster begins at the level that all of its nodes know, and lets nobody in
// who does not know the level in force.
func TestLevelOfNewCluster(t *testing.T) {
	r := startSome(t, 4, knowing(2, 3, 2, 1))
	eventually(t, "level 2", func() bool {
		s, err := r.nodes[1].Status(patient(t))
		return err == nil && s.LevelInForce == 2 && s.FeatureLevel == 3
	})
	r.start(3)
	refused(t, "it knows feature level 1, the cluster is at 2", func() (connectors.Membership, error) {
		return r.nodes[0].AddNode(patient(t), "n4", r.cfgs[3].Peer)
	})
}
