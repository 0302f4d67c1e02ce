package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

// Of five nodes two are left, one of which was away for a while: the one with more
// is elected, and the other takes its state.
func TestSurvivorsGoOnWithTheMost(t *testing.T) {
	r := newRig(t, 5, nil)
	r.startAll()
	if err := r.nodes[0].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	r.submit(0, "e1", "a")
	eventually(t, "the first event everywhere", func() bool { return r.sum(4, "a", connectors.Stale) == 1 })
	r.stop(4)
	for i := range 20 {
		r.submit(0, fmt.Sprint("more-", i), "a")
	}
	eventually(t, "all events on the first node", func() bool { return r.sum(0, "a", connectors.Stale) == 21 })
	for i := range 4 {
		r.stop(i)
	}
	for _, i := range []int{0, 4} {
		done, err := Recover(patient(t), r.cfgs[i], Recovering{Survivors: []string{"n1", "n5"}, Apply: true, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if len(done.Lost) != 3 || done.Before == "" {
			t.Errorf("Recover on n%d = %+v; want three nodes lost, and the old directory kept", i+1, done)
		}
		r.start(i)
	}
	for _, i := range []int{0, 4} {
		if err := r.nodes[i].Ready(patient(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all that was known", func() bool { return r.sum(i, "a", connectors.Stale) == 21 })
	}
	r.submit(4, "after", "a")
	if got := r.sum(0, "a", connectors.Linearizable); got != 22 {
		t.Errorf("a = %d; want 22", got)
	}
}

// What can be read of a log is kept, up to the first record that can't.
func TestRecoverEndsWhereTheLogIsDamaged(t *testing.T) {
	broker := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), broker.Addr())
	n := start(t, cfg)
	n.ready()
	r := &rig{t: t, broker: broker, cfgs: []Config{cfg}, nodes: []*running{n}}
	const events, bad = 60, 40
	for i := range events {
		r.submit(0, fmt.Sprintf("event-%02d", i), "a")
	}
	cfg.Dir = n.kill()
	n.mustEnd()
	// Of the state nothing is left but the log.
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "group-0", "state")); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(cfg.Dir, "group-0", "log", "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v; want one", segments, err)
	}
	log, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(log, fmt.Appendf(nil, "event-%02d", bad))
	if at < 0 {
		t.Fatal("the event is not in the log")
	}
	log[at] ^= 1
	if err := os.WriteFile(segments[0], log, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); err == nil {
		t.Fatal("a node opened a damaged log")
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "group-0", "state")); err != nil { // of that attempt
		t.Fatal(err)
	}
	done, err := Recover(patient(t), cfg, Recovering{Survivors: []string{"n1"}, Apply: true, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	g := done.Groups[0]
	if g.Unreadable < events-bad || len(g.Faults) == 0 || !strings.Contains(g.Faults[0], "log record") || g.LogTime.IsZero() {
		t.Errorf("Recover = %+v; want the rest of the log named", g)
	}
	n = start(t, cfg)
	n.ready()
	r.nodes[0] = n
	if got := r.sum(0, "a", connectors.Linearizable); got != bad {
		t.Errorf("a = %d; want the %d before the damage", got, bad)
	}
	n.mustEnd()
}

// What groups have said to each other is applied from the logs as it was in their
// life, and once.
func TestRecoverAppliesWhatGroupsSaid(t *testing.T) {
	broker := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), broker.Addr())
	cfg.Groups = 2
	n := start(t, cfg)
	n.ready()
	const rounds = 20
	for i := range rounds {
		produce(t, broker.Addr(), round(i)...)
	}
	r := &rig{t: t, broker: broker, cfgs: []Config{cfg}, nodes: []*running{n}}
	all := func(what string, consistency connectors.Consistency) {
		t.Helper()
		eventually(t, what, func() bool {
			for k := range len(round(0)) {
				if r.sum(0, fmt.Sprint("name", k), consistency) != rounds {
					return false
				}
			}
			return true
		})
	}
	all("all numbers added up", connectors.Linearizable)
	before := n.group(0).Applied()
	cfg.Dir = n.kill()
	n.mustEnd()
	for g := range cfg.Groups { // all is applied from the logs
		if err := os.RemoveAll(filepath.Join(cfg.Dir, fmt.Sprint("group-", g), "state")); err != nil {
			t.Fatal(err)
		}
	}
	done, err := Recover(patient(t), cfg, Recovering{Survivors: []string{"n1"}, Apply: true, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if g := done.Groups[0]; g.Index < before || len(g.Faults) > 0 || g.Unreadable > 0 {
		t.Errorf("Recover = %+v; want all %d entries", g, before)
	}
	r.nodes[0] = start(t, cfg)
	r.ready()
	all("the same sums", connectors.Linearizable)
	r.nodes[0].mustEnd()
}

// Groups that are kept up to different moments may both have a shard, or neither:
// that is said before anything is changed.
func TestRecoverNamesDisputedShards(t *testing.T) {
	cfg := config(t, t.TempDir(), startBroker(t, 0, allTopics...).Addr())
	cfg.Groups = 2
	n := start(t, cfg)
	n.ready()
	const shard = 3
	from := n.groupOf(shard)
	n.mustEnd()
	earlier := t.TempDir()
	groupDir := func(dir string, g int) string { return filepath.Join(dir, fmt.Sprint("group-", g)) }
	for g := range cfg.Groups {
		if err := os.CopyFS(groupDir(earlier, g), os.DirFS(groupDir(cfg.Dir, g))); err != nil {
			t.Fatal(err)
		}
	}
	n = start(t, cfg)
	n.ready()
	if err := n.Move(patient(t), shard, 1-from); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, cfgs: []Config{cfg}, nodes: []*running{n}}
	r.settled()
	n.mustEnd()
	for _, c := range []struct {
		earlier int // group of which an earlier copy is kept
		want    string
	}{
		{-1, ""},
		{from, fmt.Sprintf("shard 3: group %d has it by its latest move, and group %d has lost that it let it go", 1-from, from)},
		{1 - from, "shard 3: no group has it"},
	} {
		kept := cfg
		kept.Dir = filepath.Join(t.TempDir(), "node")
		if err := os.CopyFS(kept.Dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		if c.earlier >= 0 {
			dir := groupDir(kept.Dir, c.earlier)
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(groupDir(earlier, c.earlier)))); err != nil {
				t.Fatal(err)
			}
		}
		done, err := Recover(patient(t), kept, Recovering{Survivors: []string{"n1"}, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(done.Shards, "; "); (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("with an earlier copy of group %d: %q; want %q", c.earlier, got, c.want)
		}
	}
}
