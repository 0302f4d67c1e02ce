package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
	"anabranch.dev/topology/retail"
)

// run runs a command to its end.
func run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	p := process.Start(t, args...)
	return p.End(), p.Output() + p.Errors()
}

func mustRun(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out := run(t, args...)
	if code != want {
		t.Fatalf("%v = %d: %s; want %d", args, code, out, want)
	}
	return out
}

// anew gives all nodes other, empty data directories.
func (f *fleet) anew(name string) {
	f.t.Helper()
	for i, path := range f.configs {
		text, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		next := strings.Replace(string(text), "data: "+f.data(i)+",", "data: "+filepath.Join(f.dir, name, fmt.Sprintf("n%d", i+1))+",", 1)
		if next == string(text) {
			f.t.Fatalf("no data directory to replace in %s", text)
		}
		if err := os.WriteFile(path, []byte(next), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	f.dir = filepath.Join(f.dir, name)
}

// answered are the orders that have a decision.
type answered map[string]int

func (a answered) tail(t *testing.T, broker string) *tail {
	return newTail(t, broker, func(_ string, r *connectors.RawRecord) {
		var e decided
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != "allocation.released" && e.Attempt == 1 {
			a[e.Order]++
		}
	}, retail.DefaultTopics()[retail.TopicAllocations])
}

// TestBackup saves a cluster of two groups under load, makes another one of what
// was saved, and then loses two of its three nodes: decisions go on each time, and
// no order is without one.
func TestBackup(t *testing.T) {
	skipShort(t, "saves, restores and recovers three processes")
	broker := startOwnKafka(t).address()
	key := filepath.Join(t.TempDir(), "people.key")
	mustRun(t, 0, "key", "create", key)
	f := startFleet(t, broker, key, ", groups: 2", nil)
	f.spread(2)
	s := newShop(t, broker)
	s.opening(1_000_000)
	orders := s.flow(200)
	done := answered{}
	topic := done.tail(t, broker)
	topic.until("decisions", nil, func() bool { return len(done) > 200 })

	backups := t.TempDir()
	saved := filepath.Join(backups, "monday")
	began := time.Now()
	if code, out := f.nodes[(f.leader()+1)%3].Client("snapshot", "save", saved); code != 0 {
		t.Fatalf("snapshot save = %d: %s", code, out)
	}
	t.Logf("saved under load in %v", time.Since(began).Round(time.Millisecond))
	before := len(done)
	topic.until("decisions after the cut", nil, func() bool { return len(done) > before+300 })
	orders.end()
	s.flush()
	f.settle(s.sent())
	f.stop()

	out := mustRun(t, 0, "snapshot", "list", backups)
	if !strings.Contains(out, "monday") || !strings.Contains(out, "yes") {
		t.Errorf("snapshot list:\n%s\nwant it whole", out)
	}
	f.anew("restored")
	refusesDamage(t, f.configs[0], f.data(0), saved)
	for i, path := range f.configs {
		mustRun(t, 0, "snapshot", "restore", saved, "--config", path)
		if out := mustRun(t, 0, "verify", f.data(i)); !strings.Contains(out, "nothing is off") {
			t.Errorf("verify of a restored directory:\n%s", out)
		}
	}
	for i := range f.nodes {
		f.start(i)
	}
	if code, out := f.nodes[0].Client("cluster", "init"); code != 0 {
		t.Fatalf("cluster init = %d: %s", code, out)
	}
	all := decideMore(t, s, topic, done, "restored", len(orders.placed))
	t.Logf("%d orders decided, %d shards with rows the same on three replicas", all, f.sameDigests())

	lead := f.leader()
	for i := range f.nodes {
		f.kill(i)
	}
	mustRun(t, 2, "cluster", "recover", "--config", f.configs[lead], "--survivors", fmt.Sprintf("n%d", lead+1), "--acknowledge-loss", "deb")
	said := mustRun(t, 0, "cluster", "recover", "--config", f.configs[lead], "--survivors", fmt.Sprintf("n%d", lead+1))
	if !strings.Contains(said, "Nothing was changed") || !strings.Contains(said, "--acknowledge-loss dev") {
		t.Errorf("cluster recover said:\n%s", said)
	}
	mustRun(t, 0, "cluster", "recover", "--config", f.configs[lead], "--survivors", fmt.Sprintf("n%d", lead+1), "--acknowledge-loss", "dev")
	mustRun(t, 0, "verify", f.data(lead))
	f.start(lead)
	decideMore(t, s, topic, done, "recovered", all)
	if f.nodes[lead].Interrupt() != 0 {
		t.Errorf("the recovered node did not stop in order:\n%s", f.nodes[lead].Output())
	}
	mustRun(t, 0, "verify", f.data(lead))
}

// decideMore places orders and waits until all that there ever were are decided.
func decideMore(t *testing.T, s *shop, topic *tail, done answered, name string, before int) (all int) {
	t.Helper()
	const more = 50
	for i := range more {
		s.send("sales", order(fmt.Sprintf("%s-%d", name, i), 1))
	}
	s.flush()
	topic.until("decisions of the "+name+" cluster", nil, func() bool { return len(done) >= before+more })
	for i := range more {
		if id := fmt.Sprintf("%s-%d", name, i); done[id] == 0 {
			t.Errorf("order %s has no decision", id)
		}
	}
	return before + more
}

// refusesDamage wants a snapshot of which a file is missing, changed or cut off
// refused by the file's name, with nothing written.
func refusesDamage(t *testing.T, config, data, saved string) {
	t.Helper()
	table := largest(t, filepath.Join(saved, "group-1"), "*.sst")
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o644)
		},
		"cut off": func(path string) error { return os.Truncate(path, 100) },
	} {
		broken := filepath.Join(t.TempDir(), "broken")
		if err := os.CopyFS(broken, os.DirFS(saved)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(broken, "group-1", filepath.Base(table))
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		if out := mustRun(t, 1, "snapshot", "restore", broken, "--config", config); !strings.Contains(out, path) {
			t.Errorf("restore with a file %s said:\n%s\nwant %s named", name, out, path)
		}
		mustRun(t, 3, "snapshot", "list", broken)
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Errorf("restore with a file %s left %s", name, data)
		}
	}
}
