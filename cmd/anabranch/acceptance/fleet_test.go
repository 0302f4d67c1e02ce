package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/cmd/anabranch/internal/settled"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/internal/apachekafka"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// kafkaServer is a broker that a test may kill.
type kafkaServer interface {
	address() string
	kill(t *testing.T)
	restart(t *testing.T)
}

// ownKafka is the embedded broker in a process of its own.
type ownKafka struct {
	args []string
	*process.Process
	at string
}

func startOwnKafka(t *testing.T) *ownKafka {
	t.Helper()
	k := &ownKafka{args: []string{"kafka", "--data", filepath.Join(t.TempDir(), "kafka"), "--port", strconv.Itoa(process.FreePort(t))}}
	k.restart(t)
	return k
}

func (k *ownKafka) address() string { return k.at }

func (k *ownKafka) kill(*testing.T) { k.Kill() }

func (k *ownKafka) restart(t *testing.T) {
	t.Helper()
	k.Process = process.Start(t, k.args...)
	k.at = k.Wait(`Kafka on ([0-9.:]+)`)
}

// apache is one broker of Apache Kafka.
type apache struct{ *apachekafka.Cluster }

func startApache(t *testing.T) apache {
	t.Helper()
	return apache{apachekafka.Run(t, apachekafka.Config{Brokers: 1})}
}

func (k apache) address() string { return k.Addrs()[0] }

func (k apache) kill(t *testing.T) {
	t.Helper()
	if err := k.Kill(1); err != nil {
		t.Fatal(err)
	}
}

func (k apache) restart(t *testing.T) {
	t.Helper()
	if err := k.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// fleet is three processes of one cluster.
type fleet struct {
	t       *testing.T
	dir     string
	configs []string
	peers   []string              // addresses
	nodes   []*process.Node       // nil: not running
	secure  func(n *process.Node) // nil: their APIs are open
}

// startFleet starts and forms a cluster with a pseudonym key. settings go into
// its cluster section; sections, which may be nil, gives more of a node's file.
func startFleet(t *testing.T, broker, key, settings string, sections func(i int) string) *fleet {
	t.Helper()
	f := newFleet(t, broker, key, settings, sections)
	f.form()
	return f
}

// newFleet writes the configuration of a cluster that does not run yet.
func newFleet(t *testing.T, broker, key, settings string, sections func(i int) string) *fleet {
	t.Helper()
	makeTopics(t, broker)
	if sections == nil {
		sections = func(int) string { return "" }
	}
	f := &fleet{t: t, dir: t.TempDir(), nodes: make([]*process.Node, 3)}
	for _, port := range process.FreePorts(t, len(f.nodes)) {
		f.peers = append(f.peers, "127.0.0.1:"+strconv.Itoa(port))
	}
	for i, peer := range f.peers {
		path := filepath.Join(f.dir, fmt.Sprintf("n%d.yaml", i+1))
		text := fmt.Sprintf("node: {id: n%d, data: %s, peer: %q, http: \"127.0.0.1:0\"}\ncluster: {name: dev, join: [%s]%s}\n"+
			"kafka: {brokers: [%q]}\nprivacy: {pseudonym_key_file: %s}\n%s\n", i+1, f.data(i), peer, strings.Join(f.peers, ", "), settings, broker, key, sections(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.configs = append(f.configs, path)
	}
	return f
}

// form starts all nodes and makes them a cluster.
func (f *fleet) form() {
	f.t.Helper()
	for i := range f.configs {
		f.start(i)
	}
	if code, out := f.nodes[0].Client("cluster", "init"); code != 0 {
		f.t.Fatalf("cluster init = %d: %s", code, out)
	}
}

// makeTopics makes the input topics as 'anabranch dev' has them.
func makeTopics(t *testing.T, broker string) {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), process.Patience)
	defer cancel()
	if err := admin.Ensure(ctx, assembly.KafkaTopics(plan)); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) data(i int) string { return filepath.Join(f.dir, fmt.Sprintf("n%d", i+1)) }

func (f *fleet) start(i int) {
	f.t.Helper()
	f.nodes[i] = process.StartServe(f.t, f.configs[i])
	if f.secure != nil {
		f.secure(f.nodes[i])
	}
}

func (f *fleet) kill(i int) {
	f.nodes[i].Kill()
	f.nodes[i] = nil
}

// view is a node's own view of its cluster.
type view struct {
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready"`
	Groups   []struct {
		Role, Leader, Replica, Damaged string
		Term, Commit, Applied          uint64
		SnapshotIndex                  uint64 `json:"snapshot_index"`
		OutboxRecords                  int    `json:"outbox_records"`
	} `json:"groups"`
}

// look asks a node for its view; ok is false if it has none now.
func (f *fleet) look(i int) (v view, ok bool) {
	return v, f.nodes[i] != nil && f.nodes[i].Get("/v1/cluster", &v) == nil && len(v.Groups) > 0
}

// leader waits for a node that leads.
func (f *fleet) leader() (lead int) {
	f.t.Helper()
	process.Until(f.t, process.Patience, "a leader", func() bool {
		for i := range f.nodes {
			if v, ok := f.look(i); ok && v.Groups[0].Role == "leader" && v.Ready {
				lead = i
				return true
			}
		}
		return false
	})
	return lead
}

// caughtUp waits until a node is ready and has applied what was committed when
// it was asked first.
func (f *fleet) caughtUp(i int) {
	f.t.Helper()
	lead := f.leader()
	v, _ := f.look(lead) // of all groups, though it may lead the first only
	var own view
	process.Until(f.t, 2*time.Minute, fmt.Sprintf("n%d caught up", i+1), func() bool {
		var ok bool
		own, ok = f.look(i)
		select {
		case <-f.nodes[i].Done():
			f.t.Fatalf("n%d ended:\n%s", i+1, f.nodes[i].Output())
		default:
		}
		for i := range v.Groups {
			ok = ok && own.Groups[i].Applied >= v.Groups[i].Commit
		}
		return ok && own.Ready
	})
}

// settle waits until everything in the input topics is applied and delivered.
func (f *fleet) settle(records int64) process.Status {
	f.t.Helper()
	var s process.Status
	var watch settled.Watch
	process.Until(f.t, long, "inputs applied and delivered", func() bool {
		s = f.nodes[f.leader()].Status()
		return s.Settled(&watch, records)
	})
	return s
}

// sameDigests waits until all replicas stand at one index and compares every
// shard's digest. It returns how many shards have rows.
func (f *fleet) sameDigests() (filled int) {
	f.t.Helper()
	type shard struct {
		Shard  int
		Index  uint64
		Digest string
	}
	all := make([][]shard, len(f.nodes))
	process.Until(f.t, time.Minute, "replicas at one index", func() bool {
		for i, n := range f.nodes {
			var answer struct{ Shards []shard }
			if n.Get("/v1/shards?consistency=stale", &answer) != nil || len(answer.Shards) == 0 {
				return false
			}
			all[i] = answer.Shards
		}
		return !slices.ContainsFunc(all, func(list []shard) bool {
			return !slices.EqualFunc(list, all[0], func(a, b shard) bool { return a.Index == b.Index })
		})
	})
	for i := range all {
		if !slices.Equal(all[i], all[0]) {
			f.t.Errorf("n%d at index %d: shards differ from n1's", i+1, all[i][0].Index)
		}
	}
	for _, s := range all[0] {
		if s.Digest != (state.Digest{}).String() {
			filled++
		}
	}
	return filled
}

// stop ends all nodes in order and opens the state that each leaves.
func (f *fleet) stop() (left []*stopped) {
	f.t.Helper()
	for _, n := range f.nodes {
		n.Signal(os.Interrupt)
	}
	for i, n := range f.nodes {
		if code := n.End(); code != 0 {
			f.t.Fatalf("n%d: exit code %d:\n%s", i+1, code, n.Output())
		}
		left = append(left, openStopped(f.t, f.data(i)))
	}
	return left
}
