package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// alter changes the one file that matches, as rot does.
func alter(t testing.TB, change func(b []byte) []byte, pattern ...string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(found) != 1 {
		t.Fatalf("files %v = %v, %v; want one", pattern, found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(found[0]), os.WriteFile(found[0], change(b), 0o644)); err != nil { // it may be linked
		t.Fatal(err)
	}
}

func flip(at int) func(b []byte) []byte {
	return func(b []byte) []byte { b[at] ^= 4; return b }
}

// quarantine lists what was put aside on a node, oldest first.
func (r *rig) quarantine(i int) []string {
	r.t.Helper()
	list, err := filepath.Glob(filepath.Join(r.cfgs[i].Dir, quarantineDir, "group-0-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// replaced waits until a node has a healthy replica of a generation.
func (r *rig) replaced(i, generation int) {
	r.t.Helper()
	want := fmt.Sprintf("%s.%d", r.cfgs[i].ID, generation)
	var s connectors.GroupStatus
	defer func() {
		if r.t.Failed() {
			r.t.Logf("replica of node %d: %+v", i+1, s)
		}
	}()
	eventually(r.t, "replica "+want, func() bool {
		s = r.replica(i)
		return s.Replica == want && s.Damaged == "" && s.Role != roleJoining && s.Voters == 3
	})
	r.ready()
}

// A replica whose files are damaged while its node is stopped is put aside, with
// the reason, and replaced by one that takes its state from the others.
func TestDamagedReplicaIsReplaced(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 60)...)
	r.expect("a", 60)
	bad := r.follower()
	dir := r.cfgs[bad].Dir + "/group-0"
	total := 60
	for generation, tt := range []struct {
		name   string
		damage func()
	}{
		{"log", func() { alter(t, flip(400), dir, "log", "*.wal") }},
		{"state", func() { alter(t, flip(200), dir, "state", "*.sst") }},
		{"snapshot", func() { alter(t, flip(30), dir, "snapshots", "*", "meta.json") }},
		{"directory", func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if tt.name == "snapshot" {
			if err := r.nodes[bad].group(0).Snapshot(); err != nil {
				t.Fatal(err)
			}
		}
		before := r.quarantine(bad)
		r.stop(bad)
		tt.damage()
		produce(t, r.broker.Addr(), lines(total, total+30)...) // life goes on
		total += 30
		r.start(bad)
		r.replaced(bad, generation+2)
		r.expect("a", total)
		if tt.name == "directory" {
			continue // there is nothing to put aside
		}
		after := r.quarantine(bad)
		if len(after) != min(len(before)+1, quarantined) {
			t.Fatalf("%s: quarantine holds %v; want one more than %v, %d at most", tt.name, after, before, quarantined)
		}
		reason, err := os.ReadFile(filepath.Join(after[len(after)-1], reasonFile))
		if err != nil || !strings.Contains(string(reason), group.ErrDamaged.Error()) || !strings.Contains(string(reason), fmt.Sprintf("%s.%d", r.cfgs[bad].ID, generation+1)) {
			t.Errorf("%s: reason in quarantine = %q, %v; want the replica and what is wrong", tt.name, reason, err)
		}
	}
	r.same()
	r.stop(r.leader()) // the replica counts
	produce(t, r.broker.Addr(), lines(total, total+30)...)
	r.expect("a", total+30)
}

// Two of three damaged: no file is touched, and it is said why. When one of
// them is well again, the other is replaced.
func TestDamagedMajorityIsRefused(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 60)...)
	r.expect("a", 60)
	for i := range r.nodes {
		r.stop(i)
	}
	saved := copyDir(t, r.cfgs[1].Dir)
	for _, i := range []int{0, 1} {
		alter(t, flip(400), r.cfgs[i].Dir, "group-0", "log", "*.wal")
	}
	r.startAll()
	for i, other := range []string{"n2 is damaged too", "n1 is damaged too"} {
		eventually(t, "a refusal", func() bool {
			s := r.replica(i)
			return s.Role == roleDamaged && strings.Contains(s.Damaged, other) && strings.Contains(s.Damaged, "n3") && strings.Contains(s.Damaged, noRecovery)
		})
		if why := r.nodes[i].notReady(); !strings.Contains(why, "damaged on this node") {
			t.Errorf("node %d is not ready because %q; want the damage", i+1, why)
		}
		if put := r.quarantine(i); len(put) > 0 {
			t.Errorf("node %d has put aside %v; want its files untouched", i+1, put)
		}
	}
	r.stop(1)
	r.cfgs[1].Dir = saved
	r.start(1)
	r.replaced(0, 2)
	r.expect("a", 60)
}

func TestDamagedOfTwoIsRefused(t *testing.T) {
	r := newRig(t, 2, nil)
	r.startAll()
	if err := r.nodes[1].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	r.submit(0, "1", "a")
	r.stop(0)
	alter(t, flip(400), r.cfgs[0].Dir, "group-0", "log", "*.wal")
	r.start(0)
	eventually(t, "a refusal", func() bool { return strings.Contains(r.replica(0).Damaged, "of two members one alone") })
	if put := r.quarantine(0); len(put) > 0 {
		t.Errorf("put aside %v; want the files untouched", put)
	}
}

func TestDamagedAloneFailsToOpen(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), b.Addr())
	r := start(t, cfg)
	r.ready()
	eventually(t, "the replica is written down", func() bool { return r.slots[0].state().Made })
	r.mustEnd()
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "group-0")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, errGone) {
		t.Errorf("Open without the group's directory = %v; want %v", err, errGone)
	}
}

// wrong is a store that gets one row wrong when it is told to.
type wrong struct {
	group.Store
	plan *topology.Plan
	bad  *atomic.Bool
}

// Commit implements state.Store.
func (w *wrong) Commit(index uint64) {
	if w.bad.CompareAndSwap(true, false) {
		id := state.CellID{Shard: state.ShardOf("a", 16), Stage: w.plan.Stage(tally.Stage).ID, Key: "a"}
		for _, t := range w.plan.Tables() {
			if row, ok := w.Cell(id).Get(t, "").(*tally.Total); ok {
				w.Cell(id).Set(t, "", &tally.Total{Name: row.Name, Sum: row.Sum + 1000}, 0)
			}
		}
	}
	w.Store.Commit(index)
}

// A replica whose state differs from the majority's stops, also if it leads,
// and is replaced.
func TestDigestInTheMinority(t *testing.T) {
	bad := make([]atomic.Bool, 3)
	r := startRig(t, func(i int, cfg *Config) {
		open, plan := cfg.OpenStore, cfg.Plan
		cfg.OpenStore = func(o StoreOptions) (group.Store, error) {
			s, err := open(o)
			if err != nil {
				return nil, err
			}
			return &wrong{Store: s, plan: plan, bad: &bad[i]}, nil
		}
		cfg.digestEvery = time.Second
	})
	r.submit(0, "first", "a")
	for round, victim := range []int{r.leader(), r.follower()} {
		bad[victim].Store(true)
		n := 0
		healthy := (victim + 1) % 3
		eventually(t, "quarantine", func() bool {
			n++
			r.submit(healthy, fmt.Sprintf("%d-%d", round, n), "b")
			return len(r.quarantine(victim)) == 1
		})
		r.replaced(victim, 2)
		reason, err := os.ReadFile(filepath.Join(r.quarantine(victim)[0], reasonFile))
		if err != nil || !strings.Contains(string(reason), "the majority of voters has another one") ||
			!strings.Contains(string(reason), fmt.Sprintf("first in shard %d", state.ShardOf("a", 16))) {
			t.Errorf("reason in quarantine = %q, %v; want the digest and shard %d", reason, err, state.ShardOf("a", 16))
		}
		eventually(t, "the right total", func() bool { return r.sum(victim, "a", connectors.Stale) == 1 })
	}
	r.same()
}

func TestJudge(t *testing.T) {
	type sums = map[string]map[uint64]state.Digest
	d := func(index, lo uint64) map[uint64]state.Digest { return map[uint64]state.Digest{index: {Lo: lo}} }
	for _, tt := range []struct {
		name   string
		sums   sums
		voters int
		want   verdict
	}{
		{"alone", sums{"a": d(5, 1)}, 3, verdict{kind: agreed}},
		{"equal", sums{"a": d(5, 1), "b": d(5, 1), "c": d(5, 1)}, 3, verdict{kind: agreed}},
		{"no common index", sums{"a": d(5, 1), "b": d(6, 2), "c": d(7, 3)}, 3, verdict{kind: agreed}},
		{"in the majority", sums{"a": d(5, 1), "b": d(5, 1), "c": d(5, 2)}, 3, verdict{kind: agreed}},
		{"in the minority", sums{"a": d(5, 1), "b": d(5, 2), "c": d(5, 2)}, 3, verdict{minority, 5, []string{"b", "c"}}},
		{"all different", sums{"a": d(5, 1), "b": d(5, 2), "c": d(5, 3)}, 3, verdict{undecided, 5, []string{"b", "c"}}},
		{"two voters", sums{"a": d(5, 1), "b": d(5, 2)}, 2, verdict{undecided, 5, []string{"b"}}},
		{"one is silent", sums{"a": d(5, 1), "b": d(5, 2), "c": {}}, 3, verdict{open, 5, []string{"b"}}},
		{"even number", sums{"a": d(5, 1), "b": d(5, 1), "c": d(5, 2), "d": d(5, 2)}, 4, verdict{undecided, 5, []string{"c", "d"}}},
		{"an older index tells", sums{"a": {5: {Lo: 1}, 9: {Lo: 9}}, "b": d(5, 2), "c": d(5, 2)}, 3, verdict{minority, 5, []string{"b", "c"}}},
	} {
		got := judge("a", tt.sums, tt.voters)
		if got.kind != tt.want.kind || got.index != tt.want.index || !slices.Equal(got.others, tt.want.others) {
			t.Errorf("%s: judge = %+v; want %+v", tt.name, got, tt.want)
		}
	}
}
