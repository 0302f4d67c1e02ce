package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/internal/apachekafka"
)

// everyBroker measures on the embedded broker, in memory and on disk, and on an
// Apache Kafka that is started as Kafka's own scripts do.
func everyBroker(b *testing.B, run func(b *testing.B, broker *testBroker)) {
	b.Run("memory", func(b *testing.B) { run(b, newEmbedded(b, embedded.Config{}).unbounded()) })
	b.Run("disk", func(b *testing.B) { run(b, newEmbedded(b, embedded.Config{DataDir: b.TempDir()}).unbounded()) })
	b.Run("apache", func(b *testing.B) {
		run(b, onApache(b, apachekafka.Run(b, apachekafka.Config{JVM: apachekafka.ServerJVM})).unbounded())
	})
}

// unbounded is for measurements that take as long as they are told to.
func (b *testBroker) unbounded() *testBroker {
	b.ctx = context.Background()
	return b
}

// warmUp is how long a broker is worked before it is measured: Java's compiler
// takes most of a core for half a minute.
func (b *testBroker) warmUp() time.Duration {
	if b.apache != nil {
		return 30 * time.Second
	}
	return time.Second
}

// A viewer reads output partitions as a committed reader does, and notes how
// long after the time in its value each record becomes visible.
type viewer struct {
	began time.Time
	seen  chan int // how many records a poll brought
	done  chan error

	mu   sync.Mutex // guards hist
	hist *hdrhistogram.Histogram
}

func (b *testBroker) view(ctx context.Context, ids []connectors.PartitionID) *viewer {
	f := b.fetcher()
	for _, id := range ids {
		f.Assign(id, 0)
	}
	v := &viewer{began: time.Now(), seen: make(chan int, 1<<16), done: make(chan error, 1), hist: hdrhistogram.New(1, 60_000_000, 3)}
	go func() {
		for {
			fetches, err := f.Poll(ctx)
			n := 0
			for _, fetch := range fetches {
				err = errors.Join(err, fetch.Err)
				n += v.note(fetch.Records)
			}
			if n > 0 {
				v.seen <- n
			}
			if err != nil {
				v.done <- err
				return
			}
		}
	}()
	return v
}

func (v *viewer) note(records []connectors.RawRecord) (n int) {
	at := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range records {
		if !records[i].Control {
			_ = v.hist.RecordValue((at - int64(binary.BigEndian.Uint64(records[i].Value))) / 1000)
			n++
		}
	}
	return n
}

// now is the time as it is written into values.
func (v *viewer) now() int64 { return int64(time.Since(v.began)) }

// value is one of a size that says when it was due.
func value(at int64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = "abcdefghijklmnop"[(int(at)>>(i%13)^i)&15] // compresses somewhat, as JSON does
	}
	binary.BigEndian.PutUint64(b, uint64(at))
	return b
}

func (v *viewer) report(b *testing.B) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range []float64{50, 99, 99.9} {
		b.ReportMetric(float64(v.hist.ValueAtPercentile(p))/1000, fmt.Sprintf("p%g-ms", p))
	}
}

// forget drops what was noted so far.
func (v *viewer) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hist.Reset()
}

func (v *viewer) await(b *testing.B, n int) {
	for n > 0 {
		select {
		case m := <-v.seen:
			n -= m
		case err := <-v.done:
			b.Fatal(err)
		}
	}
}

// BenchmarkVisible is the time from Send to the record's arrival at a reader of
// committed records, one transaction at a time.
func BenchmarkVisible(b *testing.B) {
	for _, records := range []int{1, 20} {
		b.Run(fmt.Sprint("records=", records), func(b *testing.B) {
			everyBroker(b, func(b *testing.B, broker *testBroker) { benchmarkVisible(b, broker, records) })
		})
	}
}

func benchmarkVisible(b *testing.B, broker *testBroker, perSend int) {
	ids := broker.topic("out", 4)
	sink := broker.sink(broker.config())
	broker.open(sink, 0)
	ctx, cancel := context.WithCancel(broker.ctx)
	v := broker.view(ctx, ids)
	records := make([]connectors.OutRecord, perSend)
	i := 0
	send := func() {
		at := v.now()
		for j := range records {
			records[j] = connectors.OutRecord{Topic: ids[0].Topic, Key: fmt.Append(nil, i*perSend+j), Value: value(at, 300)}
		}
		if _, err := sink.Send(ctx, i%slots, records, map[uint16]uint64{7: uint64(i)}); err != nil {
			b.Fatal(err)
		}
		v.await(b, perSend)
		i++
	}
	for v.now() < int64(broker.warmUp()) {
		send()
	}
	v.forget()
	for b.Loop() {
		send()
	}
	v.report(b)
	cancel()
	<-v.done
}

// BenchmarkDelivery is an open loop of 5,000 decisions a second, each of them a
// record of 700 bytes and two stock levels of 200, delivered as the driver does:
// all that waits goes into the next transaction. Run it with -benchtime 50000x.
func BenchmarkDelivery(b *testing.B) {
	everyBroker(b, func(b *testing.B, broker *testBroker) { benchmarkDelivery(b, broker, 5000) })
}

func benchmarkDelivery(b *testing.B, broker *testBroker, rate int) {
	decisions, levels := broker.topic("decisions", 4), broker.topic("levels", 4)
	sink := broker.sink(broker.config())
	broker.open(sink, 0)
	ctx, cancel := context.WithCancel(broker.ctx)
	v := broker.view(ctx, decisions)
	due := make(chan []connectors.OutRecord, 1<<20)
	sent := make(chan error, 1)
	var sends int
	go func() { sent <- deliver(ctx, sink, due, &sends) }()
	every := time.Second / time.Duration(rate)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	n := 0
	decide := func() {
		at := int64(time.Duration(n) * every)
		for v.now() < at {
			<-tick.C
		}
		key := fmt.Append(nil, "order-", n)
		due <- []connectors.OutRecord{
			{Topic: decisions[0].Topic, Key: key, Value: value(at, 700)},
			{Topic: levels[0].Topic, Key: fmt.Append(nil, "sku-", n%997), Value: value(at, 200)},
			{Topic: levels[0].Topic, Key: fmt.Append(nil, "sku-", n%991), Value: value(at, 200)},
		}
		n++
	}
	for v.now() < int64(broker.warmUp()) {
		decide()
	}
	v.forget()
	for b.Loop() {
		decide()
	}
	close(due)
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
	v.await(b, n)
	v.report(b)
	b.ReportMetric(float64(3*n)/float64(sends), "records/txn")
	b.ReportMetric(float64(sends*rate)/float64(n), "txn/s")
	cancel()
	<-v.done
}

// deliver sends what is due until nothing more comes.
func deliver(ctx context.Context, sink *Sink, due <-chan []connectors.OutRecord, sends *int) error {
	for first := range due {
		batch := first
		for len(due) > 0 && len(batch) < 2000 {
			batch = append(batch, <-due...)
		}
		*sends++
		if _, err := sink.Send(ctx, *sends%slots, batch, map[uint16]uint64{7: uint64(*sends)}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkBatch sends transactions of 500 records of 300 bytes.
func BenchmarkBatch(b *testing.B) {
	everyBroker(b, func(b *testing.B, broker *testBroker) {
		ids := broker.topic("out", 4)
		sink := broker.sink(broker.config())
		broker.open(sink, 0)
		records := make([]connectors.OutRecord, 500)
		for i := range records {
			records[i] = connectors.OutRecord{Topic: ids[0].Topic, Key: fmt.Appendf(nil, "key-%d", i), Value: value(int64(i*i), 300)}
		}
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sink.Send(broker.ctx, i%slots, records, map[uint16]uint64{7: uint64(i)}); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(500*i)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkFetch is the time from a plain produce's acknowledgement to the
// record's arrival.
func BenchmarkFetch(b *testing.B) { everyBroker(b, benchmarkFetch) }

func benchmarkFetch(b *testing.B, broker *testBroker) {
	ids := broker.topic("in", 1)
	v := broker.view(broker.ctx, ids)
	c := broker.client(kgo.ProducerLinger(0))
	for b.Loop() {
		r := &kgo.Record{Topic: ids[0].Topic, Value: value(v.now(), 300)}
		c.Produce(broker.ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				v.done <- err
			}
		})
		v.await(b, 1)
	}
	v.report(b)
}
