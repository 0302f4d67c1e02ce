package kafka

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/internal/apachekafka"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// A testBroker is where a test runs.
type testBroker struct {
	tb     testing.TB
	ctx    context.Context
	addrs  []string
	broker *embedded.Broker     // nil: Apache Kafka
	apache *apachekafka.Cluster // nil: the embedded broker
	prefix string               // of topics and clusters, unique to the test
}

// eachBroker runs a test against the embedded broker and against Apache Kafka.
func eachBroker(t *testing.T, run func(t *testing.T, b *testBroker)) {
	t.Run("embedded", func(t *testing.T) { run(t, newEmbedded(t, embedded.Config{})) })
	t.Run("apache", func(t *testing.T) { run(t, newApache(t)) })
}

// newEmbedded starts an embedded broker of the test's own.
func newEmbedded(tb testing.TB, cfg embedded.Config) *testBroker {
	tb.Helper()
	b, err := embedded.Start(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	return (&testBroker{tb: tb, addrs: []string{b.Addr()}, broker: b}).init()
}

// shared is the Apache Kafka of all tests of this process, once one has asked.
var shared struct {
	once    sync.Once
	cluster *apachekafka.Cluster
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// newApache uses the shared Apache Kafka. Tests keep apart by the names of
// their topics and clusters.
func newApache(tb testing.TB) *testBroker {
	tb.Helper()
	if testing.Short() {
		tb.Skip("skipped: starts Apache Kafka; run without -short")
	}
	apachekafka.Require(tb)
	shared.once.Do(func() {
		shared.cluster, shared.err = apachekafka.Start(context.Background(), apachekafka.Config{
			Secure: true, Properties: map[string]string{"log.cleaner.backoff.ms": "100", "broker.session.timeout.ms": "1500"}})
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(shared.cluster.Logs())
		}
	})
	return onApache(tb, shared.cluster)
}

func onApache(tb testing.TB, c *apachekafka.Cluster) *testBroker {
	return (&testBroker{tb: tb, addrs: c.Addrs(), apache: c}).init()
}

func (b *testBroker) init() *testBroker {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	b.tb.Cleanup(cancel)
	b.ctx = ctx
	b.prefix = fmt.Sprintf("t%d", time.Now().UnixNano())
	return b
}

func (b *testBroker) config() Config {
	return Config{Brokers: b.addrs, Cluster: b.prefix, Incarnation: 1}
}

// topic creates a topic and returns its partitions.
func (b *testBroker) topic(name string, partitions int32) []connectors.PartitionID {
	b.tb.Helper()
	admin, err := NewAdmin(b.config())
	if err != nil {
		b.tb.Fatal(err)
	}
	defer admin.Close()
	name = b.prefix + "." + name
	if err := admin.Ensure(b.ctx, []Topic{{Name: name, Partitions: partitions}}); err != nil {
		b.tb.Fatal(err)
	}
	// A broker may not know yet that it leads a partition which was just made.
	var infos []connectors.TopicInfo
	for len(infos) != 1 {
		if infos, err = admin.Describe(b.ctx, []string{name}); b.ctx.Err() != nil {
			b.tb.Fatalf("Describe(%s) = %v, %v; want one topic", name, infos, err)
		}
	}
	var ids []connectors.PartitionID
	for p := range infos[0].Partitions {
		ids = append(ids, connectors.PartitionID{Topic: name, TopicID: infos[0].TopicID, Partition: p})
	}
	return ids
}

func (b *testBroker) fetcher() *Fetcher {
	b.tb.Helper()
	f, err := NewFetcher(b.config())
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(f.Close)
	return f
}

func (b *testBroker) sink(cfg Config) *Sink {
	b.tb.Helper()
	s, err := NewSink(cfg, 0, 1)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(s.Close)
	return s
}

func (b *testBroker) open(s *Sink, from int64) connectors.Progress {
	b.tb.Helper()
	p, err := s.Open(b.ctx, from)
	if err != nil {
		b.tb.Fatalf("Open(%d): %v", from, err)
	}
	return p
}

// client is a plain client, for what a test does behind our back.
func (b *testBroker) client(opts ...kgo.Opt) *kgo.Client {
	b.tb.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(c.Close)
	return c
}

func (b *testBroker) admin() *kadm.Client { return kadm.NewClient(b.client()) }

// put writes values to a partition without a transaction.
func (b *testBroker) put(id connectors.PartitionID, values ...string) {
	b.tb.Helper()
	c := b.client()
	for _, v := range values {
		r := &kgo.Record{Topic: id.Topic, Partition: id.Partition, Value: []byte(v)}
		if err := c.ProduceSync(b.ctx, r).FirstErr(); err != nil {
			b.tb.Fatal(err)
		}
	}
}

// transaction is an open transaction of a client of its own.
func (b *testBroker) transaction(id connectors.PartitionID, transactionalID string, values ...string) *kgo.Client {
	b.tb.Helper()
	c := b.client(kgo.TransactionalID(transactionalID))
	if err := c.BeginTransaction(); err != nil {
		b.tb.Fatal(err)
	}
	for _, v := range values {
		r := &kgo.Record{Topic: id.Topic, Partition: id.Partition, Value: []byte(v)}
		if err := c.ProduceSync(b.ctx, r).FirstErr(); err != nil {
			b.tb.Fatal(err)
		}
	}
	return c
}

func (b *testBroker) end(c *kgo.Client, how kgo.TransactionEndTry) {
	b.tb.Helper()
	if err := c.EndTransaction(b.ctx, how); err != nil {
		b.tb.Fatal(err)
	}
}

// poll polls until done says so.
func (b *testBroker) poll(f *Fetcher, done func(f connectors.Fetch) bool) {
	b.tb.Helper()
	for {
		fetches, err := f.Poll(b.ctx)
		if err != nil {
			b.tb.Fatalf("Poll: %v", err)
		}
		for _, fetch := range fetches {
			if done(fetch) {
				return
			}
		}
	}
}

// readAll reads a partition from an offset to its end, once nothing in it is
// undecided: a broker writes a transaction's markers after it has answered.
func (b *testBroker) readAll(id connectors.PartitionID, from int64) (values []string, last connectors.Fetch) {
	b.tb.Helper()
	b.settle(id)
	return b.readStable(id, from)
}

// settle waits until every transaction on a partition is decided.
func (b *testBroker) settle(id connectors.PartitionID) {
	b.tb.Helper()
	adm := b.admin()
	for stable, last := int64(0), int64(-1); stable != last; {
		var err error
		if stable, last, err = ends(b.ctx, adm, id); err != nil {
			b.tb.Fatal(err)
		}
	}
}

// readStable reads a partition from an offset to its last stable one.
func (b *testBroker) readStable(id connectors.PartitionID, from int64) (values []string, last connectors.Fetch) {
	b.tb.Helper()
	f := b.fetcher()
	f.Assign(id, from)
	b.poll(f, func(fetch connectors.Fetch) bool {
		if fetch.Err != nil {
			b.tb.Fatal(fetch.Err)
		}
		for _, r := range fetch.Records {
			if !r.Control {
				values = append(values, string(r.Value))
			}
		}
		last = fetch
		return fetch.Position >= fetch.Stable
	})
	return values, last
}
