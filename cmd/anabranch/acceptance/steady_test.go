package acceptance

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
	"anabranch.dev/topology/retail"
)

// steady is a flow of orders that goes on whatever happens.
type steady struct {
	shop *shop
	stop context.CancelFunc
	done chan struct{}
	more atomic.Int64 // orders to place at once, beside the flow

	mu     sync.Mutex // guards what follows
	placed map[string]time.Time
	err    error
}

// steadyStep is how often orders are placed.
const steadyStep = 10 * time.Millisecond

// flow begins to place orders, so many a second. Until it has ended nothing
// else may be written with the shop.
func (s *shop) flow(perSecond int) *steady {
	ctx, stop := context.WithCancel(s.t.Context())
	f := &steady{shop: s, stop: stop, done: make(chan struct{}), placed: map[string]time.Time{}}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(steadyStep)
		defer tick.Stop()
		for began := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			due := int(time.Since(began).Seconds()*float64(perSecond)) + int(f.more.Load())
			for len(f.placed) < due && ctx.Err() == nil {
				if !f.place(len(f.placed)) {
					return
				}
			}
		}
	}()
	s.t.Cleanup(f.end)
	return f
}

func (f *steady) place(number int) bool {
	id := fmt.Sprintf("o-%06d", number)
	_, err := f.shop.queue(f.shop.t.Context(), "sales", connectors.OutRecord{Key: []byte(id), Value: []byte(order(id, 1))})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.placed[id], f.err = time.Now(), err
	return err == nil
}

// end stops placing orders.
func (f *steady) end() {
	f.stop()
	<-f.done
}

// trial is a cluster that decides orders all the time while something is done
// to it.
type trial struct {
	*fleet
	t      *testing.T
	shop   *shop
	orders *steady
	log    *decisions
	gaps   *gaps
	topic  *tail
	sent   map[string]time.Time // by order: its decision
}

// snapshots makes nodes take them often.
const snapshots = "limits: {log: 1MiB}"

// newTrial starts a cluster on a broker of its own and so many orders a second.
func newTrial(t *testing.T, perSecond int, sections func(i int) string) *trial {
	t.Helper()
	return newTrialOf(t, perSecond, "", sections)
}

// newTrialOf is newTrial with settings for the cluster.
func newTrialOf(t *testing.T, perSecond int, settings string, sections func(i int) string) *trial {
	t.Helper()
	broker := startOwnKafka(t).address()
	key := filepath.Join(t.TempDir(), "people.key")
	if p := process.Start(t, "key", "create", key); p.End() != 0 {
		t.Fatal(p.Output())
	}
	r := &trial{t: t, fleet: startFleet(t, broker, key, settings, sections), shop: newShop(t, broker), log: newDecisions(t)}
	t.Cleanup(r.explain)
	r.leader()
	r.shop.opening(1_000_000)
	r.orders = r.shop.flow(perSecond)
	r.gaps, r.sent = &gaps{log: r.log}, map[string]time.Time{}
	r.topic = newTail(t, broker, r.take, retail.DefaultTopics()[retail.TopicAllocations])
	r.decide(1)
	return r
}

// explain shows what the nodes said last, if the test has failed.
func (r *trial) explain() {
	for i, n := range r.nodes {
		if r.t.Failed() && n != nil {
			r.t.Logf("n%d:\n%s", i+1, tailOf(n.Output()))
		}
	}
}

// take takes a decision down.
func (r *trial) take(topic string, raw *connectors.RawRecord) {
	at := raw.Time.Wall()
	r.gaps.sent = append(r.gaps.sent, at)
	r.log.add(topic, raw)
	r.sent[r.log.list[len(r.log.list)-1].Order] = at
}

// delay is within what time the slowest of 100 orders that were placed in a
// span got their decision, from Kafka's point of view.
func (r *trial) delay(from, to time.Time) time.Duration {
	r.t.Helper()
	r.orders.mu.Lock()
	defer r.orders.mu.Unlock()
	var list []time.Duration
	for id, at := range r.orders.placed {
		if sent, ok := r.sent[id]; ok && at.After(from) && at.Before(to) {
			list = append(list, sent.Sub(at))
		}
	}
	if len(list) == 0 {
		r.t.Fatal("no order in the span")
	}
	slices.Sort(list)
	return list[len(list)*99/100].Round(time.Millisecond)
}

// decide waits for so many decisions from now on.
func (r *trial) decide(more int) {
	r.t.Helper()
	r.topic.toEnd()
	want := len(r.log.list) + more
	r.read("more decisions", func() bool { return len(r.log.list) >= want })
}

// read reads decisions until a condition holds.
func (r *trial) read(what string, holds func() bool) {
	r.t.Helper()
	end := time.Now().Add(time.Minute)
	r.topic.until(what, nil, func() bool {
		if time.Now().After(end) {
			_, status := r.nodes[r.leader()].Client("cluster", "status")
			r.t.Fatalf("not in a minute: %s, after %d; last sent %v\n%s", what, len(r.log.list), r.gaps.sent[len(r.gaps.sent)-1], status)
		}
		return holds()
	})
}

// followers are the nodes that don't lead.
func (r *trial) followers() (lead int, others []int) {
	r.t.Helper()
	lead = r.leader()
	for i := range r.nodes {
		if i != lead {
			others = append(others, i)
		}
	}
	return lead, others
}

// replica is the name of a node's replica.
func (r *trial) replica(i int) (name string) {
	r.t.Helper()
	process.Until(r.t, process.Patience, "a replica's name", func() bool {
		v, ok := r.look(i)
		if ok {
			name = v.Groups[0].Replica
		}
		return ok
	})
	return name
}

// finish ends the orders and wants each decided once, and the same state
// everywhere.
func (r *trial) finish() {
	r.t.Helper()
	r.orders.end()
	if r.orders.err != nil {
		r.t.Fatal(r.orders.err)
	}
	r.shop.flush()
	r.settle(r.shop.sent())
	r.topic.toEnd()
	r.log.good()
	times := map[string]int{}
	for _, d := range r.log.list {
		if d.Type != "allocation.released" && d.Attempt == 1 {
			times[d.Order]++
		}
	}
	for id := range r.orders.placed {
		if times[id] != 1 {
			r.t.Errorf("order %s is decided %d times; want once", id, times[id])
		}
	}
	if len(times) != len(r.orders.placed) {
		r.t.Errorf("orders decided = %d; want the %d placed", len(times), len(r.orders.placed))
	}
	filled := r.sameDigests()
	r.t.Logf("%d orders decided once each, %d shards with rows the same on all replicas; longest time without a decision %v",
		len(times), filled, r.gaps.longest())
}

// within is the longest time without a decision that touches a span.
func (g *gaps) within(from, to time.Time) (longest time.Duration) {
	sent := slices.SortedFunc(slices.Values(g.sent), time.Time.Compare)
	for i := 1; i < len(sent); i++ {
		if sent[i].After(from) && sent[i-1].Before(to) {
			longest = max(longest, sent[i].Sub(sent[i-1]))
		}
	}
	return longest.Round(time.Millisecond)
}
