package sample

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Send produces one event to an input topic, named by its alias, under a Kafka
// key.
type Send func(ctx context.Context, topic, key string, e *operators.Event) error

// Pace of the sample.
const (
	tick       = 100 * time.Millisecond
	orderEvery = 4  // ticks
	stockEvery = 20 // ticks: a delivery
	saleEvery  = 30 // ticks: a sale at the till
	rushEvery  = 450
	rushFirst  = 80
	rushOrders = 30
	shipAfter  = 15 * time.Second
	maxPlanned = 10_000 // events planned for later; beyond, decisions are not shipped
)

// Settled waits until stock of an SKU is known: whoever opens a shop looks at
// the shelves before taking orders.
type Settled func(ctx context.Context, sku string) error

// Shop is the sample's state. Decided may be called by any goroutine.
type Shop struct {
	send     Send
	settled  Settled
	progress *progress
	now      func() time.Time

	mu   sync.Mutex // guards plan
	plan plan
}

// New makes a shop that remembers in a file how far it has come.
func New(send Send, settled Settled, file string) (*Shop, error) {
	p, err := loadProgress(file)
	if err != nil {
		return nil, err
	}
	return &Shop{send: send, settled: settled, progress: p, now: time.Now}, nil
}

// Run opens the shop, if it was never opened, and trades until ctx ends.
func (s *Shop) Run(ctx context.Context) error {
	if !s.progress.Opened {
		if err := s.open(ctx); err != nil {
			return stopped(ctx, err)
		}
		for i := range products {
			if err := s.settled(ctx, products[i].SKU); err != nil {
				return stopped(ctx, err)
			}
		}
		s.progress.Opened = true
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		if err := s.trade(ctx); err != nil {
			return stopped(ctx, err)
		}
		if err := s.progress.save(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// stopped hides what failed only because ctx has ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("sample shop: %w", err)
}

// trade does what one tick asks for.
func (s *Shop) trade(ctx context.Context) error {
	s.progress.Tick++
	n := s.progress.Tick
	var batch []planned
	if n%orderEvery == 1 {
		batch = append(batch, s.order(n/orderEvery)...)
	}
	if n%stockEvery == 0 {
		batch = append(batch, delivery(n/stockEvery))
	}
	if n%saleEvery == 0 {
		batch = append(batch, sale(n/saleEvery))
	}
	if n%rushEvery == rushFirst {
		batch = append(batch, rushDelivery(n/rushEvery)...)
	}
	if i := n%rushEvery - rushFirst - 10; i >= 0 && i < rushOrders {
		batch = append(batch, rushOrder(n/rushEvery, i))
	}
	batch = append(batch, s.due()...)
	for _, e := range batch {
		if err := s.deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// planned is an event and when to send it.
type planned struct {
	due     time.Time
	topic   string
	key     string
	id      string
	typ     string
	payload state.Visitable
}

func (s *Shop) deliver(ctx context.Context, e planned) error {
	return s.send(ctx, e.topic, e.key, &operators.Event{Source: "sample", ID: e.id, Type: e.typ,
		Time: state.TimeOf(s.now()), Payload: state.Nested{Value: e.payload}})
}

// later plans an event.
func (s *Shop) later(after time.Duration, e planned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plan) < maxPlanned {
		e.due = s.now().Add(after)
		heap.Push(&s.plan, e)
	}
}

// due takes what is to be sent now.
func (s *Shop) due() []planned {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch []planned
	for len(s.plan) > 0 && !s.plan[0].due.After(s.now()) {
		batch = append(batch, heap.Pop(&s.plan).(planned))
	}
	return batch
}

// Decided tells the warehouse about a decision read from the topic: it ships
// what was allocated a little later, and some of it comes back.
func (s *Shop) Decided(order string, attempt int64, lines []event.DecidedLine) {
	number := fmt.Sprintf("%s-%d", order, attempt)
	shipped := &event.OrderShipped{Order: order, Document: "S-" + number}
	byPlace := map[string]bool{}
	for _, l := range lines {
		for _, p := range l.Parts {
			byPlace[p.Location] = true
		}
	}
	if len(byPlace) == 0 {
		return
	}
	s.later(shipAfter, planned{topic: "sales", key: order, id: shipped.Document, typ: "order.shipped", payload: shipped})
	if r := returnOf(order, number, lines); r != nil {
		s.later(2*shipAfter, planned{topic: "sales", key: order, id: r.Document, typ: "return.received", payload: r})
	}
}

// Released tells the warehouse that an order's allocation was taken back, read
// from the topic: what was going to be shipped of it stays.
func (s *Shop) Released(order string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = slices.DeleteFunc(s.plan, func(e planned) bool {
		return e.key == order && (e.typ == "order.shipped" || e.typ == "return.received")
	})
	heap.Init(&s.plan)
}

// plan is a heap of planned events, earliest first.
type plan []planned

func (p plan) Len() int           { return len(p) }
func (p plan) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p plan) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *plan) Push(e any)        { *p = append(*p, e.(planned)) }
func (p *plan) Pop() any {
	old := *p
	e := old[len(old)-1]
	*p = old[:len(old)-1]
	return e
}
