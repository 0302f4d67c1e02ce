package allocation

import (
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// assign writes the chosen plan into the attempt's lines and returns the units
// assigned. Within a place pools give in order of their name, lines take in
// order of their number.
func (a *attempt) assign(result *choice) int64 {
	a.drop()
	var assigned int64
	line, want := 0, -1
	var taken []int64 // of the offers of the SKU at hand
	a.solve.take(result.best.places, func(w, place int, quantity int64) {
		s := &a.skus[w]
		if w != want {
			line, want = 0, w
			a.units = slices.Grow(a.units[:0], len(s.offers))[:len(s.offers)]
			taken = a.units
			clear(taken)
		}
		assigned += quantity
		for j := range s.offers {
			f := &s.offers[j]
			if f.place != place {
				continue
			}
			for quantity > 0 && taken[j] < a.usable(f) {
				l := &s.lines[line]
				units := min(quantity, a.usable(f)-taken[j], l.Quantity-partsSum(l.Parts))
				if units == 0 {
					line++
					continue
				}
				l.Parts = append(l.Parts, event.Part{Location: f.at.Location, Pool: f.at.Pool, Quantity: units})
				taken[j] += units
				quantity -= units
			}
		}
	})
	return assigned
}

func partsSum(parts []event.Part) int64 {
	var n int64
	for i := range parts {
		n += parts[i].Quantity
	}
	return n
}

// drop takes all parts from the lines.
func (a *attempt) drop() {
	for i := range a.skus {
		for j := range a.skus[i].lines {
			a.skus[i].lines[j].Parts = nil
		}
	}
}

// store writes what the round claims: parts into demands, and which resources
// are claimed. One that is claimed alone is final.
func (a *attempt) store() {
	claims := 0
	for i := range a.skus {
		if a.skus[i].hasParts() {
			claims++
		}
	}
	places := a.usedPlaces()
	for _, k := range places {
		if a.places[k].capacity != "" {
			claims++
		}
	}
	for i := range a.skus {
		s := &a.skus[i]
		for j := range s.lines {
			a.o.setDemand(a.c, a.head, &s.lines[j])
		}
		if s.hasParts() {
			a.claim(s.resource, claims == 1)
		}
	}
	for _, k := range places {
		if key := a.places[k].capacity; key != "" {
			r, _ := a.o.resource(a.c, a.head, kindCapacity+key)
			a.claim(&r, false)
		}
	}
}

func (a *attempt) claim(resource *Resource, final bool) {
	r := *resource
	r.State, r.Round, r.Final = resourceClaimed, a.head.Round, final
	a.o.setResource(a.c, a.head, &r)
}

// claimedRows are the resources this round claims, in row order.
func (a *attempt) claimedRows() []string {
	sc := operators.Scratch[scratch](a.c)
	sc.resources, sc.keys = a.o.listResources(sc.resources[:0], a.c, a.head, ""), sc.keys[:0]
	for _, r := range sc.resources {
		if r.claimed(a.head) {
			sc.keys = append(sc.keys, r.Key)
		}
	}
	return sc.keys
}
