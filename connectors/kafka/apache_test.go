package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/apachekafka"
)

// What we write and read goes over every kind of connection; none opens without
// what it asks for.
func TestSecureConnections(t *testing.T) {
	b := newApache(t)
	ca, cert, key := b.apache.Certificates()
	user := &SASL{Mechanism: MechanismScramSHA512, User: apachekafka.User, Password: apachekafka.Password}
	wrong := &SASL{Mechanism: MechanismScramSHA512, User: apachekafka.User, Password: "wrong"}
	for _, c := range []struct {
		listener  apachekafka.Listener
		tls       *TLS
		sasl      *SASL
		otherTLS  *TLS
		otherSASL *SASL
	}{
		{apachekafka.MutualTLS, &TLS{CAFile: ca, CertFile: cert, KeyFile: key}, nil, &TLS{CAFile: ca}, nil},
		{apachekafka.MutualTLS, &TLS{CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "localhost"}, nil, &TLS{CertFile: cert, KeyFile: key}, nil},
		{apachekafka.Scram, nil, user, nil, wrong},
		{apachekafka.ScramTLS, &TLS{CAFile: ca}, user, &TLS{CAFile: ca}, wrong},
		{apachekafka.ScramTLS, &TLS{CAFile: ca}, user, &TLS{CAFile: ca, ServerName: "elsewhere"}, user},
	} {
		cfg := b.config()
		cfg.Brokers, cfg.TLS, cfg.SASL = b.apache.AddrsOf(c.listener), c.tls, c.sasl
		cfg.Cluster = fmt.Sprintf("%s-%d", b.prefix, time.Now().UnixNano())
		out := b.topic(cfg.Cluster, 1)[0]
		s := b.sink(cfg)
		b.open(s, 0)
		if _, err := b.send(s, 0, out, 1, "a", "b"); err != nil {
			t.Fatalf("%s: %v", c.listener, err)
		}
		f, err := NewFetcher(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		f.Assign(out, 0)
		var got []string
		b.poll(f, func(fetch connectors.Fetch) bool {
			for _, r := range fetch.Records {
				got = append(got, string(r.Value)) // the last is the marker
			}
			return len(got) == 3
		})
		if !slices.Equal(got, []string{"a", "b", ""}) {
			t.Errorf("%s: records = %q; want a, b and a marker", c.listener, got)
		}
		if p := b.open(s, 0); p.Through[7] != 1 {
			t.Errorf("%s: progress = %v; want 1", c.listener, p.Through)
		}
		cfg.TLS, cfg.SASL, cfg.TransactionTimeout = c.otherTLS, c.otherSASL, 200*time.Millisecond
		if err := ping(t, cfg); err == nil {
			t.Errorf("%s: a stranger was let in", c.listener)
		}
	}
}

// Compaction leaves the last progress of each shard, and holes.
func TestProgressIsReadAfterCompaction(t *testing.T) {
	b := newApache(t)
	out := b.topic("out", 1)[0]
	s := b.sink(b.config())
	b.open(s, 0)
	want := map[uint16]uint64{}
	next := int64(0)
	const sends = 40
	for i := range sends {
		through := map[uint16]uint64{uint16(i % 3): uint64(i + 1), uint16(100 + i): 1}
		maps.Copy(want, through)
		var err error
		if next, err = s.Send(b.ctx, i, []connectors.OutRecord{record(out, "x")}, through); err != nil {
			t.Fatal(err)
		}
	}
	progress := b.partition(ProgressTopic(b.prefix), s.group)
	before, _ := b.readAll(progress, 0)
	b.compact(progress.Topic)
	left := before
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for round := uint64(1); len(left) >= len(before); round++ {
		// The cleaner leaves the newest segment alone; one more record, written
		// late enough, begins another.
		<-again.C
		through := map[uint16]uint64{9: round}
		maps.Copy(want, through)
		var err error
		if next, err = s.Send(b.ctx, int(round), []connectors.OutRecord{record(out, "x")}, through); err != nil {
			t.Fatal(err)
		}
		before = append(before, "")
		left, _ = b.readAll(progress, 0)
	}
	if p := b.open(b.sink(b.config()), 0); !maps.Equal(p.Through, want) || p.Offset < next {
		t.Errorf("Open(0) with %d of %d records left = %+v; want %v from %d on", len(left), len(before), p, want, next)
	}
	for from := range next { // a hole is as good a place to begin as any
		f := b.fetcher()
		f.Assign(progress, from)
		b.poll(f, func(fetch connectors.Fetch) bool {
			if fetch.Err != nil || fetch.Position <= from {
				t.Errorf("fetch from %d = %+v; want no fault and to move on", from, fetch)
			}
			return true
		})
		f.Close()
	}
}

// compact has a topic compacted as soon as the cleaner looks.
func (b *testBroker) compact(topic string) {
	b.tb.Helper()
	b.alter(topic, map[string]string{
		"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100", "delete.retention.ms": "0",
	})
}

// alter changes a topic's configuration.
func (b *testBroker) alter(topic string, configs map[string]string) {
	b.tb.Helper()
	var changes []kadm.AlterConfig
	for name, value := range configs {
		changes = append(changes, kadm.AlterConfig{Name: name, Value: kadm.StringPtr(value)})
	}
	responses, err := b.admin().AlterTopicConfigs(b.ctx, changes, topic)
	if err == nil {
		_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		b.tb.Fatal(err)
	}
}

// partition looks a partition of an existing topic up.
func (b *testBroker) partition(topic string, p int32) connectors.PartitionID {
	b.tb.Helper()
	infos, err := b.fetcher().Describe(b.ctx, []string{topic})
	if err != nil || len(infos) != 1 {
		b.tb.Fatalf("Describe(%s) = %v, %v; want one topic", topic, infos, err)
	}
	return connectors.PartitionID{Topic: topic, TopicID: infos[0].TopicID, Partition: p}
}

// A topic grows while it is read and written.
func TestTopicGrows(t *testing.T) { eachBroker(t, testTopicGrows) }

func testTopicGrows(t *testing.T, b *testBroker) {
	old := b.topic("in", 1)[0]
	f := b.fetcher()
	f.Assign(old, 0)
	b.put(old, "a")
	expect(t, b, f, old, "a")
	added := old
	added.Partition = 1
	f.Assign(added, 0) // before it is there
	for {
		if _, err := f.Poll(b.ctx); err != nil {
			if b.ctx.Err() != nil {
				t.Fatal("no word of the missing partition")
			}
			break
		}
	}
	if _, err := b.admin().CreatePartitions(b.ctx, 1, old.Topic); err != nil {
		t.Fatal(err)
	}
	infos, err := f.Describe(b.ctx, []string{old.Topic})
	for err == nil && infos[0].Partitions < 2 { // the brokers tell each other
		infos, err = f.Describe(b.ctx, []string{old.Topic})
	}
	if err != nil || infos[0].TopicID != old.TopicID || !slices.Equal(infos[0].Starts, []int64{0, 0}) {
		t.Fatalf("Describe of the grown topic = %+v, %v; want 2 partitions from 0 under the same id", infos, err)
	}
	b.put(added, "b")
	b.put(old, "c")
	seen := map[int32]string{}
	for len(seen) < 2 {
		fetches, err := f.Poll(b.ctx) // may fail until it has heard of the partition
		if err != nil && b.ctx.Err() != nil {
			t.Fatal(err)
		}
		for _, fetch := range fetches {
			if fetch.Err != nil {
				t.Fatal(fetch.Err)
			}
			for _, r := range fetch.Records {
				seen[fetch.Partition.Partition] += string(r.Value)
			}
		}
	}
	if seen[0] != "c" || seen[1] != "b" {
		t.Errorf("records by partition = %v; want c in 0 and b in 1", seen)
	}
}

// Aborted transactions, holes of compaction and what was deleted lie side by
// side: nothing aborted is read, positions go over all of it to the very end.
func TestHolesOfEveryKind(t *testing.T) {
	b := newApache(t)
	in := b.topic("in", 1)[0]
	b.alter(in.Topic, map[string]string{"cleanup.policy": "compact,delete"})
	b.compact(in.Topic)
	aborted := b.client(kgo.TransactionalID(b.prefix + "-aborted"))
	committed := b.client(kgo.TransactionalID(b.prefix + "-committed"))
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	last := map[string]string{}
	var values []string
	for i := 0; ; i++ {
		key, value := strconv.Itoa(i%5), strconv.Itoa(i)
		last[key] = value
		b.transact(aborted, in, key, "lost", kgo.TryAbort)
		b.transact(committed, in, key, value, kgo.TryCommit)
		<-again.C
		values, _ = b.readAll(in, 0)
		if len(values) <= i {
			break // compacted
		}
	}
	values, end := b.readAll(in, 0)
	for key, value := range last {
		if !slices.Contains(values, value) {
			t.Errorf("records = %v; want the last value %s of key %s among them", values, value, key)
		}
	}
	if slices.Contains(values, "lost") {
		t.Errorf("records = %v; want none of those aborted", values)
	}
	if end.Position != end.Stable {
		t.Errorf("at the end Position, Stable = %d, %d; want the same", end.Position, end.Stable)
	}
	for from := range end.Stable { // a hole is as good a place to begin as any
		if got, last := b.readStable(in, from); last.Position != end.Position || len(got) > len(values) {
			t.Errorf("read from %d = %v up to %d; want to reach %d", from, got, last.Position, end.Position)
		}
	}
}

// transact writes one record in a transaction.
func (b *testBroker) transact(c *kgo.Client, id connectors.PartitionID, key, value string, how kgo.TransactionEndTry) {
	b.tb.Helper()
	if err := c.BeginTransaction(); err != nil {
		b.tb.Fatal(err)
	}
	r := &kgo.Record{Topic: id.Topic, Partition: id.Partition, Key: []byte(key), Value: []byte(value)}
	if err := c.ProduceSync(b.ctx, r).FirstErr(); err != nil {
		b.tb.Fatal(err)
	}
	b.end(c, how)
}
