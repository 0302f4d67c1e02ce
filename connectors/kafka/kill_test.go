package kafka

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/internal/apachekafka"
)

// A kill is one of a broker in the middle of sending and fetching.
type kill struct {
	what   string
	victim func() int
}

// deliverThrough delivers records while brokers are killed and come back one
// after the other: each is killed in the middle of sending, and comes back once
// `meanwhile` more records were written without it.
func (b *testBroker) deliverThrough(cfg Config, partitions int32, kills []kill, meanwhile uint64) {
	b.tb.Helper()
	var over context.CancelFunc
	b.ctx, over = context.WithTimeout(context.Background(), 3*time.Minute) // brokers start in it
	b.tb.Cleanup(over)
	c := b.courier(cfg, partitions)
	c.open()
	w := b.watch(c.out)
	var done atomic.Uint64
	moved := make(chan struct{}, 1) // told when done has grown
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan struct{})
	var chaos sync.WaitGroup
	chaos.Go(func() {
		defer close(ended)
		for _, k := range kills {
			if !until(ctx, moved, func() bool { return done.Load() > 0 }) {
				return
			}
			at, id := done.Load(), k.victim()
			until(ctx, moved, func() bool { return done.Load() >= at+60 })
			if err := b.apache.Kill(id); err != nil {
				b.tb.Error(err)
				return
			}
			at = done.Load()
			until(ctx, moved, func() bool { return done.Load() >= at+meanwhile })
			began := time.Now()
			if err := b.apache.Restart(ctx, id); err != nil {
				b.tb.Error(err)
				return
			}
			b.tb.Logf("%s, broker %d: back in %v after %d records without it", k.what, id, time.Since(began).Round(time.Millisecond), done.Load()-at)
		}
	})
	defer chaos.Wait()
	defer cancel()
	for last := uint64(0); last == 0 || c.done < last; {
		c.open()
		c.send()
		done.Store(c.done)
		select {
		case moved <- struct{}{}:
		default:
		}
		select {
		case <-ended:
			if last == 0 {
				last = c.done + 60 // and some when all is well again
			}
		default:
		}
	}
	b.tb.Logf("%d records, outcomes %v", c.done, c.outcomes)
	c.check()
	w.check(b, c)
}

// until waits until a condition holds, asked again after each signal, and
// reports whether it did before ctx ended.
func until(ctx context.Context, signal <-chan struct{}, holds func() bool) bool {
	for !holds() {
		select {
		case <-signal:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// check wants the witness to have seen each record once, in order.
func (w *witness) check(b *testBroker, c *courier) {
	b.tb.Helper()
	until(b.ctx, w.more, func() bool { return w.count.Load() >= int64(c.done) })
	w.stop()
	if w.err != nil {
		b.tb.Error(w.err)
	}
	var all []uint64
	for p, numbers := range w.numbers {
		if !slices.IsSorted(numbers) {
			b.tb.Errorf("the reader saw partition %d out of order: %v", p, numbers)
		}
		all = append(all, numbers...)
	}
	slices.Sort(all)
	if err := eachOnce(all, c.done); err != nil {
		b.tb.Errorf("the reader saw of %d records: %v", c.done, err)
	}
	b.tb.Logf("the reader saw %d records through %d failed polls", len(all), w.polls)
}

// One broker is killed and started again: nothing is written meanwhile.
func TestBrokerKilled(t *testing.T) {
	b := newApache(t)
	cfg := b.config()
	cfg.TransactionTimeout = 5 * time.Second
	only := func() int { return 1 }
	b.deliverThrough(cfg, 2, []kill{{"the only broker", only}, {"again", only}}, 0)
}

// Of three brokers the one is killed that leads what matters most. The others
// go on without it.
func TestThreeBrokersLoseOne(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three Apache Kafka brokers; run without -short")
	}
	c := apachekafka.Run(t, apachekafka.Config{Brokers: 3, Properties: map[string]string{"broker.session.timeout.ms": "1500"}})
	b := onApache(t, c)
	cfg := b.config()
	cfg.TransactionTimeout = time.Second // shorter than a broker is missed, so that sends fail
	adm := b.admin()
	leader := func(topic string) func() int {
		return func() int {
			details, err := adm.ListTopics(b.ctx, topic)
			if err != nil || len(details[topic].Partitions) == 0 {
				t.Errorf("leader of %s: %v", topic, err)
				return 1
			}
			return int(details[topic].Partitions[0].Leader)
		}
	}
	coordinator := func() int {
		id := b.sink(cfg).transactionalID(0)
		d := adm.FindTxnCoordinators(b.ctx, id)[id]
		if d.Err != nil {
			t.Errorf("coordinator of %s: %v", id, d.Err)
			return 1
		}
		return int(d.NodeID)
	}
	b.deliverThrough(cfg, 3, []kill{
		{"leader of an output partition", leader(b.prefix + ".out")},
		{"coordinator of a slot", coordinator},
		{"leader of the progress partition", leader(ProgressTopic(b.prefix))},
	}, 30)
}
