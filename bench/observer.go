package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/topology/retail"
)

// observer times every order's first decision as it becomes known. One goroutine
// owns it while it runs; only observed and begin are for others.
type observer struct {
	warmups int
	began   atomic.Pointer[schedule]
	count   atomic.Int64 // orders timed

	timed   []bool // orders whose decision was seen
	latency *hdrhistogram.Histogram
	first   time.Time // when the clock began
	last    time.Time // decision of all
	stalls  Stalls
	longest time.Duration

	atDelivery int64 // timed so
}

func newObserver(cfg *Config) *observer {
	return &observer{warmups: cfg.warmups(), timed: make([]bool, cfg.total()), latency: newHistogram()}
}

// begin says when orders are due. It comes before the first of them.
func (o *observer) begin(s schedule) { o.began.Store(&s) }

// observed counts the orders that are timed.
func (o *observer) observed() int { return int(o.count.Load()) }

// run watches on the node that leads until ctx ends. When another one takes
// over, the old one's decisions are still on their way: both are watched.
func (o *observer) run(ctx context.Context, leaders <-chan string, node func(id string) connectors.Cluster) {
	var now, before <-chan connectors.Watched
	at := ""
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-leaders:
			if id != at {
				at, before, now = id, now, node(id).Watch(ctx)
			}
		case w, ok := <-now:
			if !ok {
				return
			}
			o.record(w.Record)
		case w, ok := <-before:
			if !ok {
				return
			}
			o.record(w.Record)
		}
	}
}

// record takes a replicated record.
func (o *observer) record(r *operators.Record) {
	if r.Topic != retail.TopicAllocations {
		return
	}
	if n, ok := orderNumber(r.Key); ok {
		o.decided(n, time.Now())
	}
}

// decided times an order's first decision.
func (o *observer) decided(n int, now time.Time) {
	s := o.began.Load()
	if s == nil || n >= len(o.timed) || o.timed[n] {
		return
	}
	o.timed[n] = true
	due := s.due(n)
	if n >= o.warmups {
		if o.first.IsZero() {
			o.first = s.due(o.warmups)
		}
		record(o.latency, now.Sub(due))
		// Before it was due nothing was to be decided.
		o.stalled(now.Sub(latest(o.last, due)))
	}
	o.last = now
	o.count.Add(1)
}

func (o *observer) stalled(d time.Duration) {
	if d > 10*time.Millisecond {
		o.stalls.Over10ms++
	}
	if d > 100*time.Millisecond {
		o.stalls.Over100ms++
	}
	o.longest = max(o.longest, d)
}

// late times what the watcher has lost, because it fell behind, by when it was
// delivered: that is later than when it was replicated. It comes after run.
func (o *observer) late(t *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := o.began.Load()
	for n, at := range t.at {
		if n < o.warmups || at.IsZero() || o.timed[n] {
			continue
		}
		o.timed[n] = true
		o.atDelivery++
		record(o.latency, at.Sub(s.due(n)))
	}
}

// report fills in what was timed.
func (o *observer) report(r *Report) {
	l := latencyOf(o.latency)
	r.Latency = &l
	r.Events, r.TimedAtDelivery = o.latency.TotalCount(), o.atDelivery
	if took := o.last.Sub(o.first); took > 0 {
		r.AchievedPerSecond = round(float64(r.Events) / took.Seconds())
	}
	o.stalls.Longest = micros(o.longest)
	r.Stalls = &o.stalls
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
