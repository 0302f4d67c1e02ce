package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
)

// durabilities are the two kinds of embedded broker, or the one named by the
// environment.
func durabilities(b *testing.B, run func(b *testing.B, broker *testBroker)) {
	if os.Getenv(brokerEnv) != "" {
		run(b, newBroker(b))
		return
	}
	b.Run("memory", func(b *testing.B) { run(b, newFaultyBroker(b, embedded.Config{})) })
	b.Run("disk", func(b *testing.B) { run(b, newFaultyBroker(b, embedded.Config{DataDir: b.TempDir()})) })
}

func percentiles(b *testing.B, h *hdrhistogram.Histogram) {
	for _, p := range []float64{50, 99} {
		b.ReportMetric(float64(h.ValueAtPercentile(p))/1000, fmt.Sprintf("p%g-ms", p))
	}
}

// BenchmarkVisible is the time from Send to the record's arrival at a fetcher
// that reads committed records, one record per transaction.
func BenchmarkVisible(b *testing.B) {
	durabilities(b, func(b *testing.B, broker *testBroker) {
		ids := broker.topic("out", 1)
		sink := broker.sink(broker.config())
		broker.open(sink, 0)
		f := broker.fetcher()
		f.Assign(ids[0], 0)
		arrived := make(chan error)
		ctx, cancel := context.WithCancel(broker.ctx)
		defer cancel()
		go func() {
			for {
				fetches, err := f.Poll(ctx)
				for _, fetch := range fetches {
					err = errors.Join(err, fetch.Err)
					for _, r := range fetch.Records {
						if !r.Control {
							arrived <- nil
						}
					}
				}
				if err != nil {
					arrived <- err
					return
				}
			}
		}()
		value := make([]byte, 300)
		h := hdrhistogram.New(1, 10_000_000, 3)
		i := 0
		for b.Loop() {
			start := time.Now()
			_, err := sink.Send(ctx, i%slots, []connectors.OutRecord{{Topic: ids[0].Topic, Key: []byte("k"), Value: value}}, map[uint16]uint64{7: uint64(i)})
			if err != nil {
				b.Fatal(err)
			}
			if err := <-arrived; err != nil {
				b.Fatal(err)
			}
			_ = h.RecordValue(time.Since(start).Microseconds())
			i++
		}
		percentiles(b, h)
		cancel()
		<-arrived
	})
}

// BenchmarkBatch sends transactions of 500 records of 300 bytes.
func BenchmarkBatch(b *testing.B) {
	durabilities(b, func(b *testing.B, broker *testBroker) {
		ids := broker.topic("out", 4)
		sink := broker.sink(broker.config())
		broker.open(sink, 0)
		records := make([]connectors.OutRecord, 500)
		for i := range records {
			records[i] = connectors.OutRecord{Topic: ids[0].Topic, Key: fmt.Appendf(nil, "key-%d", i), Value: make([]byte, 300)}
			for j := range records[i].Value {
				records[i].Value[j] = byte(i*j>>3 ^ i)
			}
		}
		i := 0
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
func BenchmarkFetch(b *testing.B) {
	broker := newBroker(b)
	ids := broker.topic("in", 1)
	f := broker.fetcher()
	f.Assign(ids[0], 0)
	c := broker.client(kgo.ProducerLinger(0))
	h := hdrhistogram.New(1, 10_000_000, 3)
	record := func() *kgo.Record { return &kgo.Record{Topic: ids[0].Topic, Value: make([]byte, 300)} }
	for b.Loop() {
		start := time.Now()
		done := make(chan error, 1)
		c.Produce(broker.ctx, record(), func(_ *kgo.Record, err error) { done <- err })
		broker.poll(f, func(fetch connectors.Fetch) bool { return len(fetch.Records) > 0 })
		_ = h.RecordValue(time.Since(start).Microseconds())
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	percentiles(b, h)
}
