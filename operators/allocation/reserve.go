package allocation

import (
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// writeSKU writes the lines of an SKU: what is reserved, what waits for supply,
// what failed.
func (d *decision) writeSKU(s *skuDemand, expires state.Time) {
	supply := d.inbound(s)
	for i := range s.lines {
		want := &s.lines[i]
		line, _ := d.o.line(d.c, d.head, want.Line)
		out := event.DecidedLine{Line: want.Line, SKU: s.sku, Quantity: want.Quantity, Parts: want.Parts}
		got := partsSum(want.Parts)
		open := want.Quantity - got
		later := d.later(want, open, &supply)
		open -= later
		line.Parts = append(make([]ReservedPart, 0, len(line.Parts)+len(want.Parts)), line.Parts...)
		for _, p := range want.Parts {
			line.Parts = append(line.Parts, ReservedPart{
				Attempt: d.head.Attempt, Round: d.head.Round,
				Location: p.Location, Pool: p.Pool, Quantity: p.Quantity, Expires: expires,
			})
		}
		line.Waiting -= want.Quantity
		line.Backordered += later
		line.Failed += open
		d.o.setLine(d.c, d.head, &line)
		if later > 0 {
			d.waiting = append(d.waiting, event.BackorderAsked{
				Order: d.c.Key(), SKU: s.sku, Line: want.Line, Quantity: line.Backordered})
		}
		for j, units := range [...]int64{got, later, open} {
			d.totals[j].add(units, line.UnitPrice)
		}
		d.allocated += got
		d.backordered += later
		d.open += open
		d.judge(s, &out, got, later, open)
		d.lines = append(d.lines, out)
	}
}

// later is how many of a line's open units wait for supply. Units that have
// waited before go on waiting: a backorder is not taken back.
func (d *decision) later(want *Demand, open int64, supply *int64) int64 {
	if d.whole {
		return 0
	}
	if want.Waited {
		return open
	}
	units := min(open, *supply)
	*supply -= units
	return units
}

// judge names a line's outcome and reason.
func (d *decision) judge(s *skuDemand, out *event.DecidedLine, got, later, open int64) {
	switch {
	case later > 0:
		out.Outcome = event.Backordered
	case got > 0:
		out.Outcome = event.Allocated
	default:
		out.Outcome = event.Failed
	}
	if open > 0 || later > 0 {
		out.Reason = d.shortage(s)
	}
}

// writeParcels notes what each place of limited capacity will send, and keeps
// its capacity.
func (d *decision) writeParcels() {
	for k, n := range d.unitsAt() {
		p := &d.places[k]
		if n == 0 || p.capacity == "" {
			continue
		}
		d.o.parcels.Set(d.c, parcelRow(d.head.Attempt, p.location), Parcel{
			Attempt: d.head.Attempt, Capacity: p.capacity, Round: d.head.Round, Reserved: n,
		})
		d.o.DecideCapacity.Emit(d.c, p.capacity, &event.HoldDecided{
			Order: d.c.Key(), Attempt: d.head.Attempt, Round: d.head.Round, Resource: p.capacity,
		})
	}
}
