package kafka

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
)

func record(id connectors.PartitionID, value string) connectors.OutRecord {
	return connectors.OutRecord{Topic: id.Topic, Key: []byte("k"), Value: []byte(value)}
}

// send sends one record per value, in one transaction.
func (b *testBroker) send(s *Sink, slot int, id connectors.PartitionID, number uint64, values ...string) (int64, error) {
	var records []connectors.OutRecord
	for _, v := range values {
		records = append(records, record(id, v))
	}
	return s.Send(b.ctx, slot, records, map[uint16]uint64{7: number})
}

func TestSendKeepsOrderAndProgressIsReadBack(t *testing.T) {
	eachBroker(t, testSendKeepsOrderAndProgressIsReadBack)
}

func testSendKeepsOrderAndProgressIsReadBack(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	s := b.sink(b.config())
	if p := b.open(s, 0); len(p.Through) != 0 || p.Offset != 0 {
		t.Errorf("Open of a new cluster = %+v; want nothing", p)
	}
	var want []string
	var next, earlier int64
	for i := range 9 {
		values := []string{fmt.Sprint(2 * i), fmt.Sprint(2*i + 1)}
		want = append(want, values...)
		earlier = next
		var err error
		if next, err = b.send(s, i, out, uint64(2*i+2), values...); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := b.readAll(out, 0); !slices.Equal(got, want) {
		t.Errorf("records = %v; want %v", got, want)
	}
	for _, c := range []struct {
		from int64
		want map[uint16]uint64
	}{
		{0, map[uint16]uint64{7: 18}},
		{earlier, map[uint16]uint64{7: 18}},
		{next, map[uint16]uint64{}},
	} {
		p := b.open(b.sink(b.config()), c.from)
		if !maps.Equal(p.Through, c.want) || p.Offset < next {
			t.Errorf("Open(%d) = %+v; want %v and an offset from %d on", c.from, p, c.want, next)
		}
	}
}

func TestTombstonesHeadersAndPartitions(t *testing.T) {
	eachBroker(t, testTombstonesHeadersAndPartitions)
}

func testTombstonesHeadersAndPartitions(t *testing.T, b *testBroker) {
	ids := b.topic("out", 4)
	s := b.sink(b.config())
	b.open(s, 0)
	// The partitions are those that Kafka's own producer would choose.
	records := []connectors.OutRecord{
		{Topic: ids[0].Topic, Key: []byte("foobar"), Headers: []connectors.Header{{Key: "decision", Value: []byte("d-1")}}},
		{Topic: ids[0].Topic, Key: []byte("21"), Value: []byte("x")},
	}
	if _, err := s.Send(b.ctx, 0, records, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		b.settle(id)
	}
	f := b.fetcher()
	r, err := f.ReadOne(b.ctx, ids[2], 0)
	if err != nil || r.Value != nil || string(r.Key) != "foobar" || len(r.Headers) != 1 || string(r.Headers[0].Value) != "d-1" {
		t.Errorf("record of key foobar in partition 2 = %+v, %v; want a tombstone with a header", r, err)
	}
	if r, err := f.ReadOne(b.ctx, ids[0], 0); err != nil || string(r.Key) != "21" {
		t.Errorf("record of key 21 in partition 0 = %+v, %v", r, err)
	}
}

func TestASecondOpenFencesTheFirst(t *testing.T) { eachBroker(t, testASecondOpenFencesTheFirst) }

func testASecondOpenFencesTheFirst(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	old, fresh := b.sink(b.config()), b.sink(b.config())
	b.open(old, 0)
	if _, err := b.send(old, 0, out, 1, "a"); err != nil {
		t.Fatal(err)
	}
	if p := b.open(fresh, 0); p.Through[7] != 1 {
		t.Errorf("Open = %+v; want progress 1", p)
	}
	if _, err := b.send(old, 1, out, 2, "zombie"); !errors.Is(err, connectors.ErrFenced) {
		t.Errorf("Send of the old leader: %v; want %v", err, connectors.ErrFenced)
	}
	if _, err := b.send(old, 1, out, 2, "zombie"); !errors.Is(err, errNotOpen) {
		t.Errorf("Send after an error: %v; want %v", err, errNotOpen)
	}
	if _, err := b.send(fresh, 1, out, 2, "b"); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.readAll(out, 0); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("records = %v; want [a b]", got)
	}
}

func TestOpenAbortsWhatWasLeftOpen(t *testing.T) { eachBroker(t, testOpenAbortsWhatWasLeftOpen) }

func testOpenAbortsWhatWasLeftOpen(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	s := b.sink(b.config())
	for slot := range slots {
		b.transaction(out, s.transactionalID(slot), "lost")
	}
	b.open(s, 0)
	if _, err := b.send(s, 0, out, 1, "a"); err != nil {
		t.Fatal(err)
	}
	got, last := b.readAll(out, 0)
	if !slices.Equal(got, []string{"a"}) || last.Stable < slots+1 {
		t.Errorf("records = %v up to %d; want [a] behind %d aborted ones", got, last.Stable, slots)
	}
}

func TestANewIncarnationFencesEarlierOnes(t *testing.T) {
	eachBroker(t, testANewIncarnationFencesEarlierOnes)
}

func testANewIncarnationFencesEarlierOnes(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	var sinks []*Sink
	for incarnation := uint64(1); incarnation <= 3; incarnation++ {
		cfg := b.config()
		cfg.Incarnation = incarnation
		sinks = append(sinks, b.sink(cfg))
	}
	first, other, last := sinks[0], sinks[1], sinks[2]
	b.open(first, 0)
	if _, err := b.send(first, 0, out, 41, "a"); err != nil {
		t.Fatal(err)
	}
	b.open(other, 0)
	if p := b.open(last, 0); len(p.Through) != 0 {
		t.Errorf("progress of a new incarnation = %v; want none", p.Through)
	}
	for i, s := range []*Sink{first, other} {
		if _, err := b.send(s, 1, out, 42, "zombie"); !errors.Is(err, connectors.ErrFenced) && !errors.Is(err, errNotOpen) {
			t.Errorf("Send of incarnation %d: %v; want %v", i+1, err, connectors.ErrFenced)
		}
	}
	if got, _ := b.readAll(out, 0); !slices.Equal(got, []string{"a"}) {
		t.Errorf("records = %v; want [a]", got)
	}
	// Fenced leaders open again. Once the new life has written they know better.
	if _, err := b.send(last, 0, out, 43, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Open(t.Context(), 0); !errors.Is(err, connectors.ErrPermanent) || !strings.Contains(err.Error(), "incarnation 3") {
		t.Errorf("Open of incarnation 1 = %v; want it refused for good, naming incarnation 3", err)
	}
}

func TestARecordTooLargeIsPermanentAndTakesItsTransactionAlong(t *testing.T) {
	eachBroker(t, testARecordTooLargeIsPermanentAndTakesItsTransactionAlong)
}

func testARecordTooLargeIsPermanentAndTakesItsTransactionAlong(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	s := b.sink(b.config())
	b.open(s, 0)
	noise := make([]byte, maxBatchBytes) // can't be compressed
	rand.NewChaCha8([32]byte{}).Read(noise)
	if _, err := b.send(s, 0, out, 2, "small", string(noise)); !errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("Send of %d bytes: %v; want %v", maxBatchBytes, err, connectors.ErrPermanent)
	}
	if p := b.open(s, 0); len(p.Through) != 0 {
		t.Errorf("progress = %v; want none", p.Through)
	}
	if got, _ := b.readAll(out, 0); len(got) != 0 {
		t.Errorf("records = %v; want none", got)
	}
}

// A decision about thousands of lines is more than 1 MiB of JSON, and a tenth of
// that on the way.
func TestALargeRecordIsCompressed(t *testing.T) { eachBroker(t, testALargeRecordIsCompressed) }

func testALargeRecordIsCompressed(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	s := b.sink(b.config())
	b.open(s, 0)
	large := strings.Repeat(`{"line":1,"sku":"85123A","outcome":"allocated"},`, 100_000)
	if _, err := b.send(s, 0, out, 2, "small", large); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.readAll(out, 0); !slices.Equal(got, []string{"small", large}) {
		t.Errorf("%d records; want the small one and the large one", len(got))
	}
}

// One record of a transaction that fails must not leave the others committed.
func TestAFailedProduceAborts(t *testing.T) {
	for _, c := range []struct {
		answer *kerr.Error
		want   error
	}{
		{kerr.TopicAuthorizationFailed, connectors.ErrPermanent},
		{kerr.ProducerFenced, connectors.ErrFenced},
		{kerr.InvalidTxnState, nil},
	} {
		b := newEmbedded(t, embedded.Config{})
		good, bad := b.topic("good", 1)[0], b.topic("bad", 1)[0]
		s := b.sink(b.config())
		b.open(s, 0)
		b.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: bad.Topic, Err: c.answer})
		records := []connectors.OutRecord{record(good, "a"), record(bad, "b")}
		_, err := s.Send(b.ctx, 0, records, map[uint16]uint64{7: 2})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%v: Send: %v; want %v", c.answer, err, c.want)
		}
		if got, last := b.readAll(good, 0); len(got) != 0 || c.want != connectors.ErrFenced && last.Stable == 0 {
			t.Errorf("%v: records = %v up to %d; want an aborted one", c.answer, got, last.Stable)
		}
		if p := b.open(s, 0); len(p.Through) != 0 {
			t.Errorf("%v: progress = %v; want none", c.answer, p.Through)
		}
		if _, err := s.Send(b.ctx, 0, records, map[uint16]uint64{7: 2}); err != nil {
			t.Errorf("%v: Send after Open: %v", c.answer, err)
		}
	}
}

func TestProgressBeyondTheTopicIsPermanent(t *testing.T) {
	eachBroker(t, testProgressBeyondTheTopicIsPermanent)
}

func testProgressBeyondTheTopicIsPermanent(t *testing.T, b *testBroker) {
	s := b.sink(b.config())
	if _, err := s.Open(b.ctx, 10); !errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("Open(10) of an empty progress topic: %v; want %v", err, connectors.ErrPermanent)
	}
}

func TestForeignProgressIsPermanent(t *testing.T) { eachBroker(t, testForeignProgressIsPermanent) }

func testForeignProgressIsPermanent(t *testing.T, b *testBroker) {
	for i, c := range []struct{ key, value string }{{"nonsense", "1"}, {"x/1", "1"}, {"1/70000", "1"}, {"1/1", "one"}, {"1/1", ""}} {
		cfg := b.config()
		cfg.Cluster = fmt.Sprintf("%s-%d", b.prefix, i)
		s := b.sink(cfg)
		b.open(s, 0)
		r := &kgo.Record{Topic: ProgressTopic(cfg.Cluster), Key: []byte(c.key), Value: []byte(c.value)}
		if err := b.client().ProduceSync(b.ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(b.ctx, 0); !errors.Is(err, connectors.ErrPermanent) {
			t.Errorf("Open with a progress record %s = %s: %v; want %v", c.key, c.value, err, connectors.ErrPermanent)
		}
	}
}

func TestAtLeastOnce(t *testing.T) { eachBroker(t, testAtLeastOnce) }

func testAtLeastOnce(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	cfg := b.config()
	cfg.Delivery = AtLeastOnce
	s := b.sink(cfg)
	if p := b.open(s, 5); len(p.Through) != 0 || p.Offset != 5 {
		t.Errorf("Open(5) = %+v; want nothing from 5", p)
	}
	if s.Slots() != 1 {
		t.Errorf("Slots() = %d; want 1", s.Slots())
	}
	for i, v := range []string{"a", "b", "c"} {
		if next, err := b.send(s, i, out, uint64(i+1), v); err != nil || next != 5 {
			t.Errorf("Send = %d, %v; want 5", next, err)
		}
	}
	got, last := b.readAll(out, 0)
	if !slices.Equal(got, []string{"a", "b", "c"}) || last.Position != 3 {
		t.Errorf("records = %v up to %d; want [a b c] and no markers", got, last.Position)
	}
}

func TestParseTransactionalID(t *testing.T) {
	for id, want := range map[string]uint64{"c-3-0-1": 3, "c-18446744073709551615-15-3": 1<<64 - 1} {
		if got, ok := parseTransactionalID("c", id); !ok || got != want {
			t.Errorf("parseTransactionalID(%q) = %d, %v; want %d", id, got, ok, want)
		}
	}
	// A cluster whose name begins with ours is another cluster.
	for _, id := range []string{"c-x-3-0-1", "c-2-3-0-1", "c-3-0", "d-3-0-1", "c-3-0-x", ""} {
		if got, ok := parseTransactionalID("c", id); ok {
			t.Errorf("parseTransactionalID(%q) = %d; want none", id, got)
		}
	}
}
