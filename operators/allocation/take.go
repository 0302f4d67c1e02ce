package allocation

import "slices"

// take divides what is wanted among a plan's places, the cheapest to pick from
// first, and calls fn for each piece in order of want.
func (p *problem) take(places []int, fn func(want, place int, quantity int64)) {
	if len(places) == 1 {
		p.takeAll(places[0], fn)
		return
	}
	byUnit := slices.Clone(places)
	slices.SortFunc(byUnit, p.unitOrder)
	has := make([]int64, len(p.places))
	for i := range p.wants {
		w := &p.wants[i]
		for _, a := range w.supply {
			has[a.place] = a.quantity
		}
		left := w.quantity
		for _, place := range byUnit {
			if take := min(left, has[place]); take > 0 {
				fn(i, place, take)
				left -= take
			}
		}
		for _, a := range w.supply {
			has[a.place] = 0
		}
	}
}

// takeAll is take from one place.
func (p *problem) takeAll(place int, fn func(want, place int, quantity int64)) {
	for i := range p.wants {
		w := &p.wants[i]
		for _, a := range w.supply {
			if take := min(w.quantity, a.quantity); a.place == place && take > 0 {
				fn(i, place, take)
			}
		}
	}
}
