package allocation

import "anabranch.dev/operators/event"

// assign writes the chosen plan into the attempt's lines and returns the units
// assigned. Within a place pools give in order of their name, lines take in
// order of their number.
func (a *attempt) assign(result *choice) int64 {
	a.drop()
	var assigned int64
	line, want := 0, -1
	var taken []int64 // of the offers of the SKU at hand
	a.solved.take(result.best.places, func(w, place int, quantity int64) {
		s := &a.skus[w]
		if w != want {
			line, want = 0, w
			taken = make([]int64, len(s.offers))
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

// store writes what the round claims: parts into demand rows, and which
// resources are claimed.
func (a *attempt) store() {
	round := a.head.Round
	for i := range a.skus {
		s := &a.skus[i]
		claimed := false
		for j := range s.lines {
			l := &s.lines[j]
			a.o.demands.Set(a.c, demandRow(s.sku, l.Line), *l)
			claimed = claimed || len(l.Parts) > 0
		}
		if claimed {
			s.resource.State, s.resource.Round = resourceClaimed, round
			a.o.resources.Set(a.c, kindStock+s.sku, s.resource)
		}
	}
	for _, k := range a.usedPlaces() {
		if key := a.places[k].capacity; key != "" {
			r, _ := a.o.resources.Get(a.c, kindCapacity+key)
			r.State, r.Round = resourceClaimed, round
			a.o.resources.Set(a.c, kindCapacity+key, r)
		}
	}
}

// claimedRows are the resources this round claims, in row order.
func (a *attempt) claimedRows() []string {
	var rows []string
	a.o.resources.Scan(a.c, "", func(row string, r *Resource) bool {
		if r.State == resourceClaimed && r.Round == a.head.Round {
			rows = append(rows, row)
		}
		return true
	})
	return rows
}
