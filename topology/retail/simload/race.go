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
type Race struct{ Load }

// NewRace makes the race. The seed shuffles which keys, and so which shards and
// groups, take part.
func NewRace() (*Race, error) {
	l, err := New(0)
	if err != nil {
		return nil, err
	}
	return &Race{*l}, nil
}

// Produce implements sim.Workload.
func (c *Race) Produce(r *rand.Rand, now state.Time, emit func(sim.Input)) bool {
	c.send(emit, retail.TopicReference, "location", now, &event.Location{Location: place(0), Kind: "store", Channel: "own_store",
		Timezone: "UTC", Pools: []string{"store"}}, 0)
	items := []string{fmt.Sprintf("a-%d", r.IntN(1000)), fmt.Sprintf("b-%d", r.IntN(1000))}
	for _, s := range items {
		c.send(emit, retail.TopicStock, "stock.counted", now, &event.StockCounted{SKU: s, Location: place(0), Quantity: 1, Document: s}, 0)
	}
	for range 2 {
		o := &event.OrderPlaced{Order: fmt.Sprintf("o-%d", r.IntN(1_000_000)), Channel: "own_online", Location: place(0), Currency: "EUR"}
		for i, s := range items {
			o.Lines = append(o.Lines, event.Line{Line: int64(i + 1), SKU: s, Quantity: 1, UnitPrice: state.One})
		}
		items[0], items[1] = items[1], items[0]
		c.placed = append(c.placed, o)
		// Late enough for the counts, and almost at once with the other.
		c.send(emit, retail.TopicSales, "order.placed", now+2*state.Second, o, 2*state.Second+state.Time(r.Int64N(int64(2*state.Millisecond))))
	}
	return false
}

// Delivered implements sim.Workload: nothing follows.
func (c *Race) Delivered(*operators.Record, *rand.Rand, state.Time, func(sim.Input)) {}

// Check finds exactly one winner, beside what [Load.Check] finds.
func (c *Race) Check(f *sim.Final) []error {
	errs := c.Load.Check(f)
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
