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

// Delivered implements sim.Workload: the shop does something about a decision.
func (l *Load) Delivered(rec *operators.Record, r *rand.Rand, now state.Time, emit func(sim.Input)) {
	d, ok := rec.Payload.Value.(*event.AllocationDecided)
	if !ok || l.clock != 0 || rec.Type != "allocation.decided" {
		return
	}
	parts := allocated(d)
	if len(parts) == 0 {
		return
	}
	at, doc := now-state.Time(r.Int64N(int64(state.Second))), fmt.Sprintf("%s-%d-%d", d.Order, d.Attempt, l.n)
	one := parts[r.IntN(len(parts))]
	switch r.IntN(10) {
	case 0, 1, 2: // all of it leaves
		l.send(emit, retail.TopicSales, "order.shipped", at, &event.OrderShipped{Order: d.Order, Document: doc}, later(r))
	case 3, 4: // a part leaves, and some of it comes back
		line := event.Line{Line: one.line, SKU: one.sku, Quantity: one.quantity}
		l.send(emit, retail.TopicSales, "order.shipped", at, &event.OrderShipped{Order: d.Order, Document: doc, Location: one.location,
			Lines: []event.Line{line}}, later(r))
		line.Quantity = 1
		l.send(emit, retail.TopicSales, "return.received", at, &event.ReturnReceived{Order: d.Order, Document: doc + "-back",
			Channel: "own_online", Location: place(r.IntN(places)), Currency: "EUR", Lines: []event.Line{line}},
			100*state.Millisecond+later(r))
	case 5: // the customer thinks again
		l.send(emit, retail.TopicSales, "order.cancelled", at, &event.OrderCancelled{Order: d.Order, Document: doc, Currency: "EUR"}, later(r))
	case 6: // a line of it only
		l.send(emit, retail.TopicSales, "order.cancelled", at, &event.OrderCancelled{Order: d.Order, Document: doc, Currency: "EUR",
			Lines: []event.Line{{Line: one.line, SKU: one.sku, Quantity: 1}}}, later(r))
	case 7, 8: // it can't be found there
		if d.Attempt < 4 {
			l.send(emit, retail.TopicSales, "order.rejected", at, &event.OrderRejected{Order: d.Order, Document: doc,
				Location: one.location, Reason: "not found"}, later(r))
		}
	}
}

// part is one allocated quantity of a decision.
type part struct {
	line, quantity int64
	sku, location  string
}

func allocated(d *event.AllocationDecided) (parts []part) {
	for _, line := range d.Lines {
		for _, p := range line.Parts {
			parts = append(parts, part{line.Line, p.Quantity, line.SKU, p.Location})
		}
	}
	return parts
}
