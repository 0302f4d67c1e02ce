package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/backup"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

// load produces numbers for names, in turn, until it is stopped.
type load struct {
	stop chan struct{}
	done chan int // rounds produced
}

const loadNames = 10

func (r *rig) load(from int) *load {
	l := &load{stop: make(chan struct{}), done: make(chan int, 1)}
	go func() {
		for i := from; ; i++ {
			select {
			case <-l.stop:
				l.done <- i
				return
			default:
				produce(r.t, r.broker.Addr(), round(i)...)
			}
		}
	}()
	return l
}

func round(i int) (lines [][]byte) {
	for n := range loadNames {
		lines = append(lines, tally.Line(fmt.Sprint("k", i, "-", n), fmt.Sprint("name", n), 1))
	}
	return lines
}

func (l *load) end() (rounds int) {
	close(l.stop)
	return <-l.done
}

// sums waits until every name's total is what was produced.
func (r *rig) sums(rounds int) {
	r.t.Helper()
	for n := range loadNames {
		eventually(r.t, fmt.Sprintf("total %d of name%d", rounds, n), func() bool {
			return r.sum(r.follower(), fmt.Sprint("name", n), connectors.Linearizable) >= int64(rounds)
		})
		if got := r.sum(r.follower(), fmt.Sprint("name", n), connectors.Linearizable); got != int64(rounds) {
			r.t.Errorf("name%d = %d; want %d", n, got, rounds)
		}
	}
}

// save saves a snapshot through a node.
func (r *rig) save(i int) string {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "saved")
	if _, err := (backup.Saving{Dir: dir, From: r.nodes[i]}).Save(patient(r.t)); err != nil {
		r.t.Fatal(err)
	}
	return dir
}

// restore makes all nodes anew of a snapshot.
func (r *rig) restore(dir string) {
	r.t.Helper()
	for i := range r.cfgs {
		r.cfgs[i].Dir = filepath.Join(r.t.TempDir(), "node")
		restoreNode(r.t, r.cfgs[i], dir)
	}
}

func restoreNode(t testing.TB, cfg Config, dir string) {
	t.Helper()
	m, err := backup.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.WithDefaults()
	incarnation, err := m.Fits(backup.Target{Cluster: cfg.Cluster, Topology: cfg.Plan.Name, FeatureLevel: core.Level, Shards: cfg.Shards,
		Groups: cfg.Groups, Clock: cfg.Clock, Lateness: cfg.Lateness, Fingerprint: cfg.Fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	r := Restoring{Incarnation: incarnation, Snapshot: m.Sum}
	for _, g := range m.Groups {
		r.Parts = append(r.Parts, RestoringPart{Dir: backup.GroupDir(dir, g.Group), Index: g.Index, Term: g.Term})
	}
	if err := Restore(patient(t), cfg, r); err != nil {
		t.Fatal(err)
	}
}

// A snapshot saved under load is one cut of all groups: restored as a new cluster
// it goes on from there, and every input comes to its decision.
func TestSnapshotUnderLoadIsRestored(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	l := r.load(0)
	eventually(t, "some decisions", func() bool { return r.sum(0, "name3", connectors.Stale) > 5 })
	var dirs []string
	for range 3 { // each at another moment of the load
		dirs = append(dirs, r.save(r.follower()))
	}
	after := r.sum(0, "name3", connectors.Linearizable)
	eventually(t, "decisions after the cut", func() bool { return r.sum(0, "name3", connectors.Stale) > after+5 })
	rounds := l.end()
	r.sums(rounds)
	for i := range r.nodes {
		r.stop(i)
	}

	dir := dirs[1]
	r.restore(dir)
	for g := range 2 {
		sameRows(t, backup.GroupDir(dir, g), filepath.Join(r.cfgs[0].Dir, fmt.Sprintf("group-%d", g), "seed", "state"), g)
	}
	r.startAll()
	if err := r.nodes[0].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	l = r.load(rounds)
	rounds = l.end()
	r.sums(rounds)
	r.same()
	s, err := r.nodes[1].Status(patient(t))
	if err != nil || s.Incarnation != 2 {
		t.Errorf("Status = incarnation %d, %v; want 2", s.Incarnation, err)
	}
	delivered := map[string]bool{}
	for _, v := range consume(t, r.broker.Addr(), "t.totals", rounds*loadNames) {
		delivered[v] = true
	}
	for n := range loadNames {
		for i := 1; i <= rounds; i++ {
			if v := fmt.Sprintf("name%d=%d", n, i); !delivered[v] {
				t.Errorf("%s was never delivered", v)
			}
		}
	}
	// A node that loses its directory comes back into the new incarnation.
	gone := r.follower()
	r.stop(gone)
	if err := os.RemoveAll(r.cfgs[gone].Dir); err != nil {
		t.Fatal(err)
	}
	r.start(gone)
	r.ready()
	if got := r.nodes[gone].incarnation(); got != 2 {
		t.Errorf("incarnation of a node that came back = %d; want 2", got)
	}
	r.same()
}

// sameRows compares a group's state in a snapshot with the one made of it: all
// shards have equal digests and rows but the group's own, where one row differs.
func sameRows(t testing.TB, saved, made string, g int) {
	t.Helper()
	plan, err := tally.Plan()
	if err != nil {
		t.Fatal(err)
	}
	look := func(dir string) (digests map[state.Shard]state.Digest, rows []string) {
		found, err := pebblestate.Inspect(patient(t), pebblestate.Options{Dir: dir, Tables: core.Tables(plan), Codec: codec.New()}, func(place string, err error) {
			t.Errorf("%s: %s: %v", dir, place, err)
		})
		if err != nil {
			t.Fatal(err)
		}
		digests = map[state.Shard]state.Digest{}
		for _, d := range found.Digests {
			digests[d.Shard] = d.Digest
		}
		for _, shard := range found.Shards {
			err := found.Reader.Rows(shard, func(id state.CellID, tab *state.Table, row string, v state.Visitable) bool {
				b, err := codec.New().Append(nil, core.Level, v)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, fmt.Sprintf("%v %s %q %x", id, tab, row, b))
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := found.Close(); err != nil {
			t.Fatal(err)
		}
		return digests, rows
	}
	before, rowsBefore := look(saved)
	after, rowsAfter := look(made)
	own := core.GroupShard(16, g)
	for shard, d := range before {
		if shard != own && after[shard] != d {
			t.Errorf("digest of shard %d = %s; want %s", shard, after[shard], d)
		}
	}
	if len(rowsBefore) != len(rowsAfter) || len(rowsBefore) < 20 {
		t.Fatalf("%d rows before, %d after; want as many", len(rowsBefore), len(rowsAfter))
	}
	var differ []string
	for i := range rowsBefore {
		if rowsBefore[i] != rowsAfter[i] {
			differ = append(differ, rowsAfter[i])
		}
	}
	if len(differ) != 1 || !strings.Contains(differ[0], "group") {
		t.Errorf("rows that differ: %q; want the group's own", differ)
	}
}

// Nodes of different lives don't become one cluster.
func TestOnlyNodesOfOneSnapshotAreFormed(t *testing.T) {
	r := startRig(t, nil)
	dir := r.save(0)
	for i := range r.nodes {
		r.stop(i)
	}
	r.restore(dir)
	r.cfgs[2].Dir = t.TempDir() // forgotten
	r.startAll()
	err := r.nodes[0].Init(patient(t))
	if err == nil || !strings.Contains(err.Error(), "node n3") || !strings.Contains(err.Error(), "restore all nodes from one snapshot") {
		t.Fatalf("Init = %v; want n3 refused, which is new", err)
	}
	r.stop(2)
	r.cfgs[2].Dir = filepath.Join(t.TempDir(), "node")
	restoreNode(t, r.cfgs[2], dir)
	r.start(2)
	if err := r.nodes[0].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
}

// Of three nodes one is left: it goes on as a cluster of its own, in a new
// incarnation, and the others are not let in with what they have.
func TestOneOfThreeRecovers(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	l := r.load(0)
	eventually(t, "some decisions", func() bool { return r.sum(0, "name3", connectors.Stale) > 10 })
	rounds := l.end()
	for n := range loadNames { // what one group has passed on, the other must have on this node
		eventually(t, "all decided", func() bool { return r.sum(1, fmt.Sprint("name", n), connectors.Stale) == int64(rounds) })
	}
	left := r.leave(1)
	l = r.load(rounds)
	rounds = l.end() + 1
	produce(t, r.broker.Addr(), round(rounds-1)...)
	r.sums(rounds)
	for i := range r.nodes {
		r.stop(i)
	}
	r.cfgs[1].Dir = left
	plan := Recovering{Survivors: []string{"n2"}, Now: time.Unix(1_800_000_000, 0)}
	if _, err := Recover(patient(t), r.cfgs[1], Recovering{Survivors: []string{"n1", "n2"}}); err == nil || !strings.Contains(err.Error(), "majority") {
		t.Errorf("Recover with two of three = %v; want it refused", err)
	}
	before := listing(t, left)
	said, err := Recover(patient(t), r.cfgs[1], plan)
	if err != nil {
		t.Fatal(err)
	}
	if after := listing(t, left); !slices.Equal(before, after) {
		t.Errorf("asking what would be lost changed the directory: %v; want %v", after, before)
	}
	plan.Apply = true
	done, err := Recover(patient(t), r.cfgs[1], plan)
	if err != nil {
		t.Fatal(err)
	}
	if done.Incarnation != 2 || !slices.Equal(done.Lost, []string{"n1", "n3"}) || len(done.Groups) != 2 || done.Groups[0].Index != said.Groups[0].Index || done.Groups[0].Index == 0 {
		t.Errorf("Recover = %+v; want incarnation 2 without n1 and n3, and what was said: %+v", done, said)
	}
	r.start(1)
	r.nodes[1].ready()
	for n := range loadNames {
		eventually(t, "every input decided", func() bool { return r.sum(1, fmt.Sprint("name", n), connectors.Stale) >= int64(rounds) })
		if got := r.sum(1, fmt.Sprint("name", n), connectors.Linearizable); got != int64(rounds) {
			t.Errorf("name%d = %d; want %d: what was read again or sent again counts once", n, got, rounds)
		}
	}
	r.start(0)
	eventually(t, "a word about the incarnation", func() bool {
		v := r.nodes[0].peers.of("n2")
		return v != nil && strings.Contains(v.fault, "incarnation")
	})
}

// leave stops a node, keeps its directory as it is then, and starts it again: what
// is decided afterwards is not in what is kept.
func (r *rig) leave(i int) string {
	r.t.Helper()
	r.stop(i)
	dir := copyDir(r.t, r.cfgs[i].Dir)
	r.start(i)
	r.ready()
	return dir
}

// listing is all files of a directory with their sizes.
func listing(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			list = append(list, fmt.Sprint(path, info.Size(), info.ModTime().UnixNano()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
