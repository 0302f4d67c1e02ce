package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"anabranch.dev/connectors/kafka"
)

// stream produces orders at a rate until it is told to stop.
type stream struct {
	cfg      *KafkaConfig
	topics   *topics
	producer *kafka.Producer
	shop     shop

	next atomic.Int64 // order to make
	load stretch      // since the last start
	end  context.CancelFunc
	done chan error
	busy time.Duration // read after done
}

func newStream(cfg *KafkaConfig, t *topics, p *kafka.Producer) *stream {
	return &stream{cfg: cfg, topics: t, producer: p, shop: shop{w: cfg.Workload, began: time.Now()}}
}

// endless is more orders than any run makes.
const endless = 1 << 40

// start begins to produce.
func (s *stream) start(ctx context.Context) {
	var offering context.Context
	offering, s.end = context.WithCancel(ctx)
	s.done = make(chan error, 1)
	s.load = schedule{began: time.Now(), rate: s.cfg.Rate}.part(int(s.next.Load()), endless)
	s.load.began = s.load.began.Add(-s.load.due(s.load.from).Sub(s.load.began)) // the next one is due now
	go func() {
		busy, err := s.load.offer(offering, func(from, to int) error {
			for n := from; n < to; n++ {
				if err := produceOrder(ctx, s.producer, s.topics, &s.shop, n, s.cfg.Partitions); err != nil {
					return err
				}
			}
			s.next.Store(int64(to))
			return nil
		})
		s.busy += busy
		if errors.Is(err, context.Canceled) {
			err = nil // told to stop
		}
		s.done <- err
	}()
}

// stop ends producing, waits until everything is written, and says how long the
// stream was at work.
func (s *stream) stop(ctx context.Context) (time.Duration, error) {
	s.end()
	err := <-s.done
	return s.busy, errors.Join(err, s.producer.Flush(ctx))
}

// burst makes so many orders at once.
func (s *stream) burst(ctx context.Context, orders int) error {
	began := time.Now()
	for range orders {
		if err := produceOrder(ctx, s.producer, s.topics, &s.shop, s.made(), s.cfg.Partitions); err != nil {
			return err
		}
		s.next.Add(1)
	}
	s.busy += time.Since(began)
	return s.producer.Flush(ctx)
}

// due is when an order of this start was to be made.
func (s *stream) due(n int) time.Time { return s.load.due(n) }

// made counts the orders produced.
func (s *stream) made() int { return int(s.next.Load()) }

// gapMeter measures the longest stretch without an order's first decision.
type gapMeter struct {
	mu   sync.Mutex // guards what follows
	seen []bool
	some int
	last time.Time
	gap  time.Duration
}

// note takes a decision.
func (g *gapMeter) note(n int, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n >= len(g.seen) {
		g.seen = append(g.seen, make([]bool, n+1)...)
	}
	if g.seen[n] {
		return
	}
	g.seen[n] = true
	g.some++
	if !g.last.IsZero() {
		g.gap = max(g.gap, at.Sub(g.last))
	}
	g.last = at
}

// count is how many orders have a decision.
func (g *gapMeter) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.some
}

// reset forgets the stretches that are over.
func (g *gapMeter) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gap = 0
}

// longest is the longest stretch since reset that ended or lasts.
func (g *gapMeter) longest(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.gap, now.Sub(g.last))
}
