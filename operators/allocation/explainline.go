package allocation

import (
	"bytes"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// explainLines keeps why each line is served as it is: with the decision itself
// as far as there is room, then in rows of their own. d.lines are in order.
func (d *decision) explainLines() (first []byte) {
	sc := operators.Scratch[scratch](d.c)
	sc.listed = listedNames(sc.listed[:0], d.plan)
	f, chunk := facts{sc.packed[:0]}, int64(0)
	for i := range d.lines {
		l := &d.lines[i]
		d.explainLine(&f, d.sku(l.SKU), l, sc.listed)
		if last := i == len(d.lines)-1; !last && len(f.b) < explanationBytes {
			continue
		}
		if chunk == 0 {
			first = bytes.Clone(f.b)
		} else {
			d.o.explanations.Set(d.c, explanationRow(d.head.Attempt, chunk), Explanation{Facts: bytes.Clone(f.b)})
		}
		chunk++
		f.b = f.b[:0]
	}
	sc.packed = f.b
	return first
}

// listedNames are the names of the places that a plan's facts list.
func listedNames(names [][]byte, plan []byte) [][]byte {
	k := known{b: plan}
	for range k.count() {
		names = append(names, k.name())
	}
	return names
}

// explainLine writes one line's facts, cut to what a line may take:
//
//	line, SKU, quantity, outcome, reason
//	parts: how many, and of each: location, pool, quantity
//	offers: how many, how many more there were, and of each: place, pool ("" if it is that of the one before),
//	on hand, reserved, withheld, safety stock, ATP, doubt, units taken, why it is out
func (a *attempt) explainLine(f *facts, s *skuDemand, d *event.DecidedLine, listed [][]byte) {
	f.number(d.Line)
	f.text(d.SKU)
	f.number(d.Quantity)
	f.text(d.Outcome)
	f.text(d.Reason)
	f.number(int64(len(d.Parts)))
	size := len(d.SKU) + len(d.Reason)
	for i := range d.Parts {
		p := &d.Parts[i]
		f.text(p.Location)
		f.text(p.Pool)
		f.number(p.Quantity)
		size += len(p.Location) + len(p.Pool) + 8
	}
	fit := a.offersThatFit(s, d, size)
	f.number(int64(fit))
	f.number(int64(len(s.offers) - fit))
	next, pool := 0, ""
	for pass := 0; pass < 2 && fit > 0; pass++ { // what was taken first
		for i := 0; i < len(s.offers) && fit > 0; i++ {
			o := &s.offers[i]
			taken := takenAt(d.Parts, o.at)
			if (taken > 0) != (pass == 0) {
				continue
			}
			fit--
			next = a.explainOffer(f, o, taken, listed, next, pool)
			pool = o.at.Pool
		}
	}
}

// offersThatFit is how many of an SKU's offers, what was taken first, a line's
// explanation has room for.
func (a *attempt) offersThatFit(s *skuDemand, d *event.DecidedLine, size int) int {
	fit := 0
	for pass := range 2 {
		for i := range s.offers {
			at := s.offers[i].at
			if (takenAt(d.Parts, at) > 0) != (pass == 0) {
				continue
			}
			if size += len(at.Location) + len(at.Pool) + 48; fit == maxExplainedOffers || size > maxExplainedBytes {
				return fit
			}
			fit++
		}
	}
	return fit
}

// explainOffer writes one offer's facts. Places mostly come in the order in which
// they are listed; next is where to look for this one, and the result where to
// look for the one after it.
func (a *attempt) explainOffer(f *facts, o *offer, taken int64, listed [][]byte, next int, pool string) int {
	at, place := o.at, -1
	for range listed {
		if next++; next > len(listed) {
			next = 1
		}
		if string(listed[next-1]) == at.Location {
			place = next - 1
			break
		}
	}
	a.refer(f, place, at.Location)
	if at.Pool == pool {
		f.text("")
	} else {
		f.text(at.Pool)
	}
	for _, n := range [...]int64{at.OnHand, at.Reserved, at.Withheld, at.SafetyStock, at.ATP, int64(state.One - at.Confidence), taken} {
		f.number(n)
	}
	f.text(o.why)
	return next
}

func takenAt(parts []event.Part, at *event.Available) int64 {
	for i := range parts {
		if parts[i].Location == at.Location && parts[i].Pool == at.Pool {
			return parts[i].Quantity
		}
	}
	return 0
}
