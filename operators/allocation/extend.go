package allocation

import (
	"slices"

	"anabranch.dev/state"
)

// extend adds places to the best plan, one at a time the one that fills most of
// what is still open, until all places together could not fill more. Of places
// that fill the same the cheaper parcel wins, then the first by name. Then
// places that turned out to be superfluous are dropped.
func (s *search) extend() {
	set := slices.Clone(s.best.places)
	used := make([]bool, len(s.p.places))
	for _, place := range set {
		used[place] = true
	}
	s.left = slices.Grow(s.left[:0], len(s.p.wants))[:len(s.p.wants)]
	for i := range s.p.wants {
		s.left[i] = s.p.wants[i].quantity
		for _, a := range s.p.wants[i].supply {
			if used[a.place] {
				s.left[i] -= min(s.left[i], a.quantity)
			}
		}
	}
	for {
		next := s.mostGain(used)
		if next < 0 {
			break
		}
		used[next] = true
		set = append(set, next)
		for i := range s.p.wants {
			for _, a := range s.p.wants[i].supply {
				if a.place == next {
					s.left[i] -= min(s.left[i], a.quantity)
				}
			}
		}
	}
	slices.Sort(set)
	s.compared++
	s.keep(s.p.workOut(s.drop(set)))
}

// mostGain is the unused place that fills most of what is left, or -1.
func (s *search) mostGain(used []bool) int {
	gain := make([]int64, len(s.p.places))
	for i := range s.p.wants {
		if s.left[i] == 0 {
			continue
		}
		for _, a := range s.p.wants[i].supply {
			if !used[a.place] {
				gain[a.place] += min(s.left[i], a.quantity)
			}
		}
	}
	best := -1
	for i, g := range gain {
		if g > 0 && (best < 0 || g > gain[best] || g == gain[best] && s.p.places[i].parcel < s.p.places[best].parcel) {
			best = i
		}
	}
	return best
}

// drop leaves out places, dearest parcel first, without which as much is filled.
func (s *search) drop(set []int) []int {
	dearest := slices.Clone(set)
	slices.SortFunc(dearest, func(a, b int) int {
		if x, y := s.p.places[a].parcel, s.p.places[b].parcel; x != y {
			return cmpInt(y, x)
		}
		return b - a
	})
	const enough = 32 // each try walks all wants
	for _, place := range dearest[:min(enough, len(dearest))] {
		without := slices.DeleteFunc(slices.Clone(set), func(p int) bool { return p == place })
		if s.p.workOut(without).filled == s.possible {
			set = without
		}
	}
	return set
}

// workOut is the plan of a set of places, without those that would give nothing.
func (p *problem) workOut(set []int) plan {
	units := make([]int64, len(p.places))
	var pl plan
	p.take(set, func(_, place int, quantity int64) {
		units[place] += quantity
		pl.filled += quantity
	})
	for _, place := range set {
		if units[place] == 0 {
			continue
		}
		if len(pl.places) > 0 {
			pl.cost += p.split
		}
		pl.places = append(pl.places, place)
		pl.cost += p.places[place].parcel + p.places[place].unit*state.Decimal(units[place])
	}
	return pl
}
