package simload

import (
	"fmt"
	"math/rand/v2"

	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// Race is the shop with one unit left of each of two items, and two orders that
// both want both.
type Race struct {
	Load
	items [2]string
	seen  map[string]bool // items whose stock was published
	calls int
}

// NewRace makes the race. The seed draws which keys, and so which shards and
// groups, take part.
func NewRace() (*Race, error) {
	l, err := New(0)
	if err != nil {
		return nil, err
	}
	return &Race{Load: *l, seen: map[string]bool{}}, nil
}

// Produce implements sim.Workload: the orders come once the stock is known to be
// there, and some time before all trouble ends.
func (c *Race) Produce(r *rand.Rand, now state.Time, emit func(sim.Input)) bool {
	if c.calls++; c.calls == 1 {
		c.count(r, now, emit)
	}
	if len(c.placed) == 0 && len(c.seen) == 2 {
		c.race(r, now, emit)
	}
	return len(c.placed) == 0 && c.calls < 1_000 // a count may be lost
}

// count puts one unit of each item on the shelf.
func (c *Race) count(r *rand.Rand, now state.Time, emit func(sim.Input)) {
	c.send(emit, retail.TopicReference, "location", now, &event.Location{Location: place(0), Kind: "store", Channel: "own_store",
		Timezone: "UTC", Pools: []string{"store"}}, 0)
	c.items = [2]string{fmt.Sprintf("a-%d", r.IntN(1000)), fmt.Sprintf("b-%d", r.IntN(1000))}
	for _, s := range c.items {
		c.send(emit, retail.TopicStock, "stock.counted", now, &event.StockCounted{SKU: s, Location: place(0), Quantity: 1, Document: s}, 0)
	}
}

// race places the two orders, almost at once, with their lines crosswise.
func (c *Race) race(r *rand.Rand, now state.Time, emit func(sim.Input)) {
	for n := range 2 {
		o := &event.OrderPlaced{Order: fmt.Sprintf("o-%d-%d", n, r.IntN(1_000_000)), Channel: "own_online", Location: place(0), Currency: "EUR"}
		for line := range 2 {
			o.Lines = append(o.Lines, event.Line{Line: int64(line + 1), SKU: c.items[line^n], Quantity: 1, UnitPrice: state.One})
		}
		c.placed = append(c.placed, o)
		c.send(emit, retail.TopicSales, "order.placed", now, o, state.Time(r.Int64N(int64(2*state.Millisecond))))
	}
}

// Delivered implements sim.Workload: it waits for the stock to be published.
func (c *Race) Delivered(rec *operators.Record, _ *rand.Rand, _ state.Time, _ func(sim.Input)) {
	if l, ok := rec.Payload.Value.(*event.StockLevel); ok {
		c.seen[l.SKU] = true
	}
}

// Check finds exactly one winner, beside what [Load.Check] finds.
func (c *Race) Check(f *sim.Final) []error {
	errs := c.Load.Check(f)
	if len(c.placed) == 0 || len(f.Lost) > 0 {
		return errs // there was no race
	}
	f.Counts["race"]++
	won := map[string]int{}
	decided := 0
	for _, rec := range f.Records {
		if d, ok := rec.Payload.Value.(*event.AllocationDecided); ok {
			decided++
			won[d.Order] += len(allocated(d))
		}
	}
	for _, o := range c.placed {
		if n := won[o.Order]; n != 0 && n != 2 {
			errs = append(errs, fmt.Errorf("order %s got %d of 2 last units", o.Order, n))
		}
	}
	if a, b := won[c.placed[0].Order], won[c.placed[1].Order]; decided != 2 || a+b != 2 {
		errs = append(errs, fmt.Errorf("%d decisions for two orders, which got %d and %d of the last two units", decided, a, b))
	}
	return errs
}
