package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/raftlog"
)

func lines(from, to int) (list [][]byte) {
	for i := from; i < to; i++ {
		list = append(list, tally.Line(fmt.Sprint("k", i), "a", 1))
	}
	return list
}

// applied says how many events of topics were applied.
func (r *running) applied() (n int64) {
	r.t.Helper()
	s, err := r.Status(patient(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, in := range s.Inputs {
		n += in.Applied
	}
	return n
}

func TestFromTopicToTopicOverRestarts(t *testing.T) {
	for _, groups := range []int{1, 2} {
		t.Run(fmt.Sprint(groups, " groups"), func(t *testing.T) {
			b := startBroker(t, 0, allTopics...)
			produce(t, b.Addr(), lines(0, 100)...)
			cfg := config(t, t.TempDir(), b.Addr())
			cfg.Groups = groups
			r := start(t, cfg)
			r.ready()
			expectOnce(t, b.Addr(), "a", 100)
			r.mustEnd()

			produce(t, b.Addr(), lines(100, 150)...)
			r = start(t, cfg)
			r.ready()
			expectOnce(t, b.Addr(), "a", 150)
			if n := r.applied(); n != 150 {
				t.Errorf("%d events applied; want 150", n)
			}
			killed := r.kill()
			r.mustEnd()

			produce(t, b.Addr(), lines(150, 200)...)
			cfg.Dir = killed
			r = start(t, cfg)
			r.ready()
			expectOnce(t, b.Addr(), "a", 200)
			answer, _, err := r.Ask(patient(t), tally.Stage, tally.Query, "a", &tally.Question{}, connectors.Linearizable)
			if err != nil || answer.(*tally.Total).Sum != 200 {
				t.Errorf("Ask = %v, %v; want 200", answer, err)
			}
			r.mustEnd()
		})
	}
}

func TestDeadLetters(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	produce(t, b.Addr(), []byte("garbage"), tally.Line("n1", "a", -1), tally.Line("g1", "a", 1), []byte("more garbage"))
	r := start(t, config(t, t.TempDir(), b.Addr()))
	r.ready()
	ctx := patient(t)
	if reply, err := r.Submit(ctx, tally.Event("api1", "b", -5), false); err != nil || reply.Outcome != core.OutcomeDeadLetter {
		t.Fatalf("Submit = %+v, %v; want a dead letter", reply, err)
	}
	consume(t, b.Addr(), "t.dead-letters", 4)
	all, err := r.DeadLetters(ctx, connectors.DeadLetterFilter{})
	if err != nil || len(all) != 4 {
		t.Fatalf("DeadLetters = %v, %v; want 4", all, err)
	}
	for i := range all[1:] {
		if all[i].LogTime > all[i+1].LogTime {
			t.Errorf("dead letters %d and %d are not oldest first", i, i+1)
		}
	}
	bad, err := r.DeadLetters(ctx, connectors.DeadLetterFilter{Code: "unreadable", Limit: 1})
	if err != nil || len(bad) != 1 {
		t.Fatalf("DeadLetters of unreadable, 1 at most = %v, %v; want 1", bad, err)
	}
	next, err := r.DeadLetters(ctx, connectors.DeadLetterFilter{Code: "unreadable", After: bad[0].ID})
	if err != nil || len(next) != 1 || next[0].ID == bad[0].ID {
		t.Fatalf("DeadLetters after the first = %v, %v; want the other one", next, err)
	}
	// Its bytes are read again from the topic, and are as bad as they were.
	reply, err := r.Redrive(ctx, bad[0].ID)
	if err != nil || reply.Outcome != core.OutcomeDeadLetter || reply.Code != "unreadable" || reply.DeadLetter == bad[0].ID {
		t.Errorf("Redrive = %+v, %v; want another dead letter, unreadable", reply, err)
	}
	if _, err := r.DeadLetter(ctx, bad[0].ID); !errors.Is(err, connectors.ErrNotFound) {
		t.Errorf("DeadLetter after its redrive = %v; want %v", err, connectors.ErrNotFound)
	}
	r.mustEnd()
}

func TestWatch(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	r := start(t, config(t, t.TempDir(), b.Addr()))
	r.ready()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watched, lazy := r.Watch(ctx), r.Watch(ctx)
	const n = watchBuffer + 10
	for i := range n {
		if _, err := r.Submit(patient(t), tally.Event(fmt.Sprint(i), "a", 1), false); err != nil {
			t.Fatal(err)
		}
		if w := <-watched; w.Lost != 0 || w.Record.Number != uint64(i+1) {
			t.Fatalf("watched number %d with %d lost; want %d, none lost", w.Record.Number, w.Lost, i+1)
		}
	}
	for range watchBuffer {
		<-lazy
	}
	if _, err := r.Submit(patient(t), tally.Event("last", "a", 1), false); err != nil {
		t.Fatal(err)
	}
	if w := <-lazy; w.Lost != n-watchBuffer {
		t.Errorf("a slow watcher was told of %d lost; want %d", w.Lost, n-watchBuffer)
	}
	cancel()
	eventually(t, "end of the watch", func() bool {
		_, open := <-watched
		return !open
	})
	r.mustEnd()
}

func TestDataDirectoryIsGuarded(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), b.Addr())
	r := start(t, cfg)
	r.ready()
	if _, err := Open(cfg); !errors.Is(err, ErrInUse) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open of a directory in use = %v; want one line, %v", err, ErrInUse)
	}
	r.mustEnd()

	for _, tt := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Cluster = "other" }, "cluster is test, not other"},
		{func(c *Config) { c.ID = "n2" }, "node is n1, not n2"},
		{func(c *Config) { c.Shards = 32 }, "shards is 16, not 32"},
		{func(c *Config) { c.Clock = ClockReplay }, "clock is wall, not replay"},
		{func(c *Config) { c.Fingerprint = "f2" }, "fingerprint is f1, not f2"},
	} {
		other := cfg
		tt.change(&other)
		if _, err := Open(other); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open = %v; want one line with %q", err, tt.want)
		}
	}

	foreign := cfg
	foreign.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign.Dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(foreign); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("Open of a foreign directory = %v; want %v", err, ErrForeign)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg.Peer = taken.Addr().String()
	if _, err := Open(cfg); !errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open with a port in use = %v; want one line that says so", err)
	}
	cfg.Peer = "127.0.0.1:0"
	r = start(t, cfg) // what was refused has left nothing locked
	r.ready()
	r.mustEnd()
}

func TestBrokerAway(t *testing.T) {
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := away.Addr().(*net.TCPAddr)
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	r := start(t, config(t, t.TempDir(), address.String()))
	eventually(t, "a reason for not being ready", func() bool {
		s, err := r.Status(patient(t))
		return err == nil && strings.HasPrefix(s.NotReady, "inputs: ") && r.group(0).Leading()
	})
	// Events of the API are decided meanwhile; their records wait.
	if reply, err := r.Submit(patient(t), tally.Event("1", "a", 1), true); err != nil || reply.Decision == "" {
		t.Errorf("Submit without a broker = %+v, %v; want a decision", reply, err)
	}
	b := startBroker(t, address.Port, allTopics...)
	if b.Port() != address.Port {
		t.Skipf("port %d was taken meanwhile", address.Port)
	}
	r.ready()
	expectOnce(t, b.Addr(), "a", 1)
	r.mustEnd()
}

func TestFullDiskStopsTheNode(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), b.Addr())
	var full atomic.Bool
	cfg.Disk = func(o *raftlog.Options) {
		o.Fault = func(op raftlog.Op, name string) error {
			if full.Load() && op == raftlog.OpWrite {
				return syscall.ENOSPC
			}
			return nil
		}
	}
	r := start(t, cfg)
	r.ready()
	produce(t, b.Addr(), lines(0, 30)...)
	expectOnce(t, b.Addr(), "a", 30)
	full.Store(true)
	produce(t, b.Addr(), lines(30, 60)...)
	if err := <-r.done; !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("Run on a full disk = %v; want one line that says so", err)
	}
	cfg.Disk = nil
	r = start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 60)
	r.mustEnd()
}

func TestReplayClockWaitsForAllTopics(t *testing.T) {
	b := startBroker(t, 0, "t.totals", "t.dead-letters")
	cfg := config(t, t.TempDir(), b.Addr())
	cfg.Clock = ClockReplay
	r := start(t, cfg)
	eventually(t, "the reason", func() bool { return strings.Contains(r.notReady(), "t.numbers") })
	r.mustEnd()
}

func TestMetrics(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	produce(t, b.Addr(), lines(0, 10)...)
	r := start(t, config(t, t.TempDir(), b.Addr()))
	r.ready()
	expectOnce(t, b.Addr(), "a", 10)
	w := httptest.NewRecorder()
	r.cfg.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"anabranch_node_ready 1",
		`anabranch_group_leader{group="0"} 1`,
		`anabranch_outbox_records_total{group="0",type="total"} 10`,
		`anabranch_source_lag_records{group="0",partition="0",topic="numbers"} 0`,
		`anabranch_delivery_operations_total{group="0",operation="open",outcome="ok"} 1`,
		"anabranch_log_fsync_seconds_count",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	r.mustEnd()
}

func TestValidateReportsAllFaults(t *testing.T) {
	err := Config{ID: "a b", Shards: -1, Durability: "often", Clock: "sun"}.WithDefaults().Validate()
	for _, want := range []string{"node id", "cluster name", "data directory", "shards", "durability", "clock", "codec", "store", "sink", "topology"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v; want it to name the %s", err, want)
		}
	}
}

// TestStoppedBeforeItRuns stops a node before its replicas run: they let go of
// their files all the same.
func TestStoppedBeforeItRuns(t *testing.T) {
	cfg := config(t, t.TempDir(), startBroker(t, 0, allTopics...).Addr())
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	for _, s := range n.slots {
		if err := s.run(ctx); err != nil {
			t.Errorf("run = %v; want nil", err)
		}
	}
	if err := n.release(); err != nil {
		t.Fatal(err)
	}
	if n, err = Open(cfg); err != nil { // it would wait for the files for ever
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}
