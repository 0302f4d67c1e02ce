package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// undo gathers the parts of reservations that one event takes back or settles,
// so that each claim and each attempt is told once.
type undo struct {
	o      *Operator
	c      operators.Context
	head   *Head
	claims []claimUndo
	byHold map[claimKey]int
	tries  []attemptUndo
}

type claimKey struct {
	attempt, round int64
	sku            string
}

type claimUndo struct {
	claimKey
	parts []event.HoldPart
}

type attemptUndo struct {
	attempt int64
	lines   []event.ReleasedLine
}

func (o *Operator) undo(c operators.Context, head *Head) *undo {
	return &undo{o: o, c: c, head: head, byHold: map[claimKey]int{}}
}

// take removes up to units reserved units from a line, the newest parts first
// when they are given back, the oldest first when they ship, only from parts
// that fn names, and returns how many it removed.
func (u *undo) take(l *Line, units int64, newest bool, fn func(p *ReservedPart) bool) int64 {
	before := units
	parts := make([]ReservedPart, len(l.Parts))
	copy(parts, l.Parts)
	for k := range parts {
		i := k
		if newest {
			i = len(parts) - 1 - k
		}
		p := &parts[i]
		if units == 0 {
			break
		}
		if n := min(units, p.Quantity); n > 0 && fn(p) {
			p.Quantity -= n
			units -= n
			u.note(l, p, n)
		}
	}
	l.Parts = l.Parts[:0:0]
	for i := range parts {
		if parts[i].Quantity > 0 {
			l.Parts = append(l.Parts, parts[i])
		}
	}
	u.head.Reserved -= before - units
	return before - units
}

// takeExpired lets units ship from a location that are reserved no more.
func (u *undo) takeExpired(l *Line, units int64, location string) int64 {
	units = min(units, l.Expired)
	if units == 0 || location == "" {
		return 0
	}
	l.Expired -= units
	u.claims = append(u.claims, claimUndo{
		claimKey: claimKey{attempt: u.head.Attempt, sku: l.SKU},
		parts:    []event.HoldPart{{Line: l.Line, Location: location, Quantity: units}},
	})
	return units
}

func anyPart(*ReservedPart) bool { return true }

// note files n units of a part.
func (u *undo) note(l *Line, p *ReservedPart, n int64) {
	key := claimKey{p.Attempt, p.Round, l.SKU}
	i, known := u.byHold[key]
	if !known {
		i = len(u.claims)
		u.byHold[key] = i
		u.claims = append(u.claims, claimUndo{claimKey: key})
	}
	u.claims[i].parts = append(u.claims[i].parts, event.HoldPart{
		Line: l.Line, Location: p.Location, Pool: p.Pool, Quantity: n})

	t := u.attempt(p.Attempt)
	part := event.Part{Location: p.Location, Pool: p.Pool, Quantity: n}
	if k := len(t.lines); k > 0 && t.lines[k-1].Line == l.Line {
		t.lines[k-1].Parts = append(t.lines[k-1].Parts, part)
		return
	}
	t.lines = append(t.lines, event.ReleasedLine{Line: l.Line, SKU: l.SKU, Parts: []event.Part{part}})
}

func (u *undo) attempt(attempt int64) *attemptUndo {
	for i := range u.tries {
		if u.tries[i].attempt == attempt {
			return &u.tries[i]
		}
	}
	u.tries = append(u.tries, attemptUndo{attempt: attempt})
	return &u.tries[len(u.tries)-1]
}

// release gives the parts back to their SKUs.
func (u *undo) release(reason string) {
	for i := range u.claims {
		k := &u.claims[i]
		u.head.Releases++
		u.o.ReleaseStock.Emit(u.c, k.sku, &event.HoldReleased{
			Order: u.c.Key(), Attempt: k.attempt, Round: k.round, Resource: k.sku, Reason: reason,
			Number: u.head.Releases, Parts: k.parts,
		})
	}
}

// settle tells the SKUs that the parts have left.
func (u *undo) settle(document string) {
	for i := range u.claims {
		k := &u.claims[i]
		u.o.SettleStock.Emit(u.c, k.sku, &event.HoldSettled{
			Order: u.c.Key(), Attempt: k.attempt, Resource: k.sku, Document: document, Parts: k.parts,
		})
	}
}

// parcels keeps the parcels of the places that the parts were at.
func (u *undo) parcels(keep func(attempt int64, row, location string, units int64)) {
	for i := range u.tries {
		t := &u.tries[i]
		var places []string
		units := map[string]int64{}
		for j := range t.lines {
			for _, p := range t.lines[j].Parts {
				if _, known := units[p.Location]; !known {
					places = append(places, p.Location)
				}
				units[p.Location] += p.Quantity
			}
		}
		for _, at := range places {
			keep(t.attempt, parcelRow(t.attempt, at), at, units[at])
		}
	}
}

// shrinkParcels takes units out of their parcels. One that is empty before it
// was sent gives its capacity back.
func (u *undo) shrinkParcels(reason string) {
	u.parcels(func(attempt int64, row, _ string, units int64) {
		p, limited := u.o.parcels.Get(u.c, row)
		if !limited {
			return
		}
		p.Reserved -= units
		u.o.parcels.Set(u.c, row, p)
		if p.Reserved == 0 && !p.Shipped {
			u.o.ReleaseCapacity.Emit(u.c, p.Capacity, &event.HoldReleased{
				Order: u.c.Key(), Attempt: attempt, Round: p.Round, Resource: p.Capacity, Reason: reason,
			})
		}
	})
}

// sendParcels settles the capacity of parcels that leave. What leaves a place
// later for the same attempt counts as the same parcel.
func (u *undo) sendParcels(document string) {
	u.parcels(func(attempt int64, row, location string, units int64) {
		p, limited := u.o.parcels.Get(u.c, row)
		if !limited {
			return
		}
		p.Reserved -= units
		first := !p.Shipped
		p.Shipped = true
		u.o.parcels.Set(u.c, row, p)
		if first {
			u.o.SettleCapacity.Emit(u.c, p.Capacity, &event.HoldSettled{
				Order: u.c.Key(), Attempt: attempt, Resource: p.Capacity, Document: document,
				Parts: []event.HoldPart{{Location: location, Quantity: 1}},
			})
		}
	})
}

// publish says outside what of which attempt was released.
func (u *undo) publish(reason string) {
	for i := range u.tries {
		t := &u.tries[i]
		u.o.Released.Emit(u.c, u.c.Key(), &event.AllocationReleased{
			Order: u.c.Key(), Attempt: t.attempt, Reason: reason, Lines: t.lines,
		})
	}
}
