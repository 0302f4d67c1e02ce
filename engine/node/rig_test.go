package node

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

const partitions = 3

// startBroker starts an embedded broker with the tally's topics.
func startBroker(t testing.TB, port int, topics ...string) *embedded.Broker {
	t.Helper()
	cfg := embedded.Config{Port: port}
	for _, name := range topics {
		cfg.Topics = append(cfg.Topics, embedded.Topic{Name: name, Partitions: partitions})
	}
	b, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

var allTopics = []string{"t.numbers", "t.totals", "t.dead-letters"}

func config(t testing.TB, dir, broker string) Config {
	t.Helper()
	plan, err := tally.Plan()
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]string{}
	for _, topic := range plan.Topics {
		topics[topic.Alias] = "t." + topic.Alias
	}
	words := tally.Codec{Topics: map[string]string{"dead-letters": "t.dead-letters"}}
	for alias, name := range topics {
		words.Topics[alias] = name
	}
	brokers := kafka.Config{Brokers: []string{broker}}
	return Config{
		ID: "n1", Dir: dir, Cluster: "test", Version: "test", Peer: "127.0.0.1:0", Shards: 16, HotMemory: 1 << 20, Fingerprint: "f1",
		Plan: plan, Topics: topics, Codec: codec.New(),
		OpenStore: func(o StoreOptions) (group.Store, error) {
			s, err := pebblestate.Open(pebblestate.Options{Dir: o.Dir, Tables: o.Tables, Codec: codec.New(), HotBytes: o.HotMemory})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		NewFetcher: func() (connectors.Fetcher, error) { return kafka.NewFetcher(brokers) },
		NewSink: func(o SinkOptions) (connectors.Sink, error) {
			return kafka.NewSink(kafka.Config{Brokers: []string{broker}, Cluster: o.Cluster, Incarnation: o.Incarnation}, o.Group, o.Groups)
		},
		Decoder: words, Encoder: words, Log: slog.New(slog.DiscardHandler),
	}
}

// running is a node that runs in a test.
type running struct {
	*Node
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, cfg Config) *running {
	t.Helper()
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, t: t, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	return r
}

func (r *running) ready() {
	r.t.Helper()
	if err := r.Ready(patient(r.t)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) mustEnd() {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Fatalf("Run = %v; want an orderly stop", err)
	}
}

// kill returns a copy of the directory as a kill would leave it, taken while
// nothing was written.
func (r *running) kill() (dir string) {
	r.t.Helper()
	commits := func() (sum uint64) {
		r.each(func(_ int, g *group.Group) { sum += g.Commit() })
		return sum
	}
	eventually(r.t, "a moment without entries", func() bool {
		before := commits()
		dir = copyDir(r.t, r.cfg.Dir)
		return commits() == before
	})
	return dir
}

// patient is a context that ends long after a test should have.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	ctx := patient(t)
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// produce writes lines to partitions in turn.
func produce(t testing.TB, broker string, lines ...[]byte) {
	t.Helper()
	p, err := kafka.NewProducer(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i, line := range lines {
		if err := p.Produce(patient(t), connectors.OutRecord{Topic: "t.numbers", Value: line}, int32(i%partitions)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(patient(t)); err != nil {
		t.Fatal(err)
	}
}

// consume reads an output topic, read_committed, until it has n records and is
// at its end, and returns their values in order per partition.
func consume(t testing.TB, broker, topic string, n int) []string {
	t.Helper()
	f, err := kafka.NewFetcher(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	infos, err := f.Describe(patient(t), []string{topic})
	if err != nil || len(infos) != 1 {
		t.Fatalf("Describe(%s) = %v, %v", topic, infos, err)
	}
	for p := range infos[0].Partitions {
		f.Assign(connectors.PartitionID{Topic: topic, TopicID: infos[0].TopicID, Partition: p}, 0)
	}
	values := make([][]string, infos[0].Partitions)
	ended := make([]bool, infos[0].Partitions)
	got := 0
	for ctx := patient(t); ; {
		fetches, err := f.Poll(ctx)
		if err != nil {
			t.Fatalf("%s: %d of %d records: %v", topic, got, n, err)
		}
		for _, fetch := range fetches {
			p := fetch.Partition.Partition
			for _, r := range fetch.Records {
				if !r.Control {
					values[p] = append(values[p], string(r.Value))
					got++
				}
			}
			ended[p] = fetch.Position >= fetch.Stable
		}
		all := got >= n
		for _, e := range ended {
			all = all && e
		}
		if all {
			break
		}
	}
	var flat []string
	for _, v := range values {
		flat = append(flat, v...)
	}
	return flat
}

// expectOnce fails unless every sum from 1 to n of a name was delivered once.
func expectOnce(t testing.TB, broker, name string, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, v := range consume(t, broker, "t.totals", n) {
		if strings.HasPrefix(v, name+"=") {
			seen[v]++
		}
	}
	var odd []string
	for v, times := range seen {
		if times != 1 {
			odd = append(odd, v)
		}
	}
	sort.Strings(odd)
	if len(seen) != n || len(odd) > 0 {
		t.Errorf("%d different totals of %s delivered, more than once %v; want %d, once each", len(seen), name, odd, n)
	}
}

// copyDir copies a directory as a killed process leaves it. Nothing may be in
// flight.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
