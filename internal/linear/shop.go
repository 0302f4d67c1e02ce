package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Counted is the SKU of which a power of two comes in per document, so that its
// stock tells which documents have been applied.
const Counted = "counted"

// Scarce are the SKUs that orders compete for. They are several, because judging
// a history takes longer the more of it is about one.
var Scarce = []string{"scarce-1", "scarce-2", "scarce-3"}

// skus are all of them.
func skus() []string { return append([]string{Counted}, Scarce...) }

// Rivals is how many orders compete for one idempotency key at most.
const Rivals = 2

// maxCounted is how many documents of Counted there are: the last brings the
// largest quantity that an event may name.
const maxCounted = 20

// Shop is the clients: each asks one thing after the other, of any node, some of
// it twice.
type Shop struct {
	API     API
	Name    string // tells its SKUs, orders and keys from those of other shops
	Nodes   int
	Seed    uint64
	Timeout time.Duration // how long a client waits for an answer
	Pause   time.Duration // between two requests of a client, at most
	History *History

	mu  sync.Mutex // guards odd
	odd []error
}

// client is one of them.
type client struct {
	*Shop
	id     int
	dice   *rand.Rand
	placed []Operation // orders that it knows to be placed
}

// Open describes the place and the products, which is no part of the history.
func (s *Shop) Open(ctx context.Context) error {
	bodies := []string{`{"id":"l-1","type":"location","location":"riverside","kind":"store","channel":"own_store","lat":39.93,"lon":116.45,"pools":["store"]}`}
	for _, sku := range skus() {
		bodies = append(bodies, fmt.Sprintf(`{"id":"p-%[1]s","type":"product","sku":%[1]q,"price":"8.00","currency":"CNY"}`, s.Name+sku))
	}
	for _, body := range bodies {
		if err := s.until(ctx, func(node int) bool {
			a, err := s.API(ctx, node, &Request{Method: http.MethodPost, Path: eventsPath, Body: body})
			return err == nil && a.Status == http.StatusOK
		}); err != nil {
			return fmt.Errorf("%s: %w", body, err)
		}
	}
	c := s.client(0)
	for _, sku := range skus() {
		first := c.receipt(sku)
		if err := s.until(ctx, func(node int) bool { return c.receive(ctx, node, first).Outcome >= Done }); err != nil {
			return err
		}
	}
	return nil
}

// until tries the nodes in turn until one does.
func (s *Shop) until(ctx context.Context, done func(node int) bool) error {
	for node := 0; !done(node % s.Nodes); node++ {
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Shop) client(id int) *client {
	return &client{Shop: s, id: id, dice: rand.New(rand.NewPCG(s.Seed, uint64(id)+100))}
}

// Run has a number of clients ask until ctx ends.
func (s *Shop) Run(ctx context.Context, clients int) {
	var running sync.WaitGroup
	for id := 1; id <= clients; id++ {
		c := s.client(id)
		running.Go(func() {
			for sleep(ctx, time.Duration(c.dice.Int64N(int64(s.Pause)))) {
				c.act(ctx)
			}
		})
	}
	running.Wait()
}

// Close asks every node for what it has come to, once all of them answer again.
// An error is that one does not, or what made no sense on the way.
func (s *Shop) Close(ctx context.Context) error {
	for _, stale := range []bool{false, true} {
		for node := range s.Nodes {
			for _, sku := range skus() {
				c := s.client(node)
				for c.read(ctx, node, sku, stale).Outcome != Done {
					if !sleep(ctx, 20*time.Millisecond) {
						return fmt.Errorf("node %d does not answer: %w", node+1, ctx.Err())
					}
				}
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.odd...)
}

// strange notes an answer that makes no sense whatever has happened.
func (s *Shop) strange(o *Operation, a *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.odd = append(s.odd, fmt.Errorf("%v: status %d: %s", o, a.Status, a.Body))
}

// act is one thing that a client does.
func (c *client) act(ctx context.Context) {
	sku := skus()[c.dice.IntN(len(skus()))]
	switch n := c.dice.IntN(100); {
	case n < 30:
		c.read(ctx, c.dice.IntN(c.Nodes), sku, false)
	case n < 55:
		c.read(ctx, c.dice.IntN(c.Nodes), sku, true)
	case n < 75:
		c.order(ctx)
	case n < 85 && len(c.placed) > 0:
		o := c.placed[c.dice.IntN(len(c.placed))]
		c.insist(ctx, Operation{Kind: Cancel, SKU: o.SKU, Command: o.Command}, c.cancel)
	default:
		if o := c.receipt(sku); sku != Counted || o.Command < maxCounted {
			c.insist(ctx, o, c.receive)
		}
	}
}

// receipt is the next goods to come in of an SKU.
func (c *client) receipt(sku string) Operation {
	o := Operation{Kind: Receive, SKU: sku, Command: c.History.Number(sku + " received"), Quantity: 1 + c.dice.Int64N(3)}
	if sku == Counted {
		o.Quantity = 1 << min(o.Command, maxCounted)
	}
	return o
}

// order places one, or two that compete for a key through two nodes at once.
func (c *client) order(ctx context.Context) {
	sku := Scarce[c.dice.IntN(len(Scarce))]
	o := Operation{Kind: Place, SKU: sku, Command: Rivals * c.History.Number(sku), Content: 1, Quantity: 1 + c.dice.Int64N(3)}
	if c.dice.IntN(6) > 0 {
		if done := c.insist(ctx, o, c.place); done.Outcome == Done {
			c.placed = append(c.placed, done)
		}
		return
	}
	rival, node := o, c.dice.IntN(c.Nodes)
	rival.Command, rival.Content = o.Command+1, 2
	var both sync.WaitGroup
	both.Go(func() { c.place(ctx, node, o) })
	both.Go(func() { c.place(ctx, (node+1)%c.Nodes, rival) })
	both.Wait()
	if c.dice.IntN(2) == 0 {
		c.place(ctx, c.dice.IntN(c.Nodes), rival)
	}
}

// insist has a command carried out through any node, sometimes through two at
// once, sometimes again though it is known to be done, and nearly always again
// when it is not. It returns what was known at last.
func (c *client) insist(ctx context.Context, o Operation, do func(ctx context.Context, node int, o Operation) Operation) (last Operation) {
	for range 6 {
		node := c.dice.IntN(c.Nodes)
		twice := c.dice.IntN(4) == 0
		var both sync.WaitGroup
		if twice {
			both.Go(func() { do(ctx, (node+1)%c.Nodes, o) })
		}
		last = do(ctx, node, o)
		both.Wait()
		enough := 10 // of 12
		if last.Outcome != Done && last.Outcome != Again {
			enough = 1
		}
		if c.dice.IntN(12) < enough || ctx.Err() != nil {
			break
		}
	}
	return last
}
