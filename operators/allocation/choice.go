package allocation

import (
	"slices"

	"anabranch.dev/state"
)

// Bounds of the choice.
const (
	maxCandidates = 16  // places whose sets are compared exhaustively
	maxKeptPlans  = 16  // compared plans that are kept for the explanation
	maxPlaces     = 256 // places that are looked at for one order
)

// problem is a choice to make: which places serve what is wanted.
type problem struct {
	wants  []want
	places []candidate // in order of their location
	split  state.Decimal
}

// want is one SKU's quantity and who could promise how much of it.
type want struct {
	quantity int64
	supply   []supply // in order of place, quantities above 0
}

type supply struct {
	place    int
	quantity int64
}

// candidate is a place with its costs.
type candidate struct {
	location string
	parcel   state.Decimal // of the one parcel it would send: shipping, distance, capacity
	unit     state.Decimal // of handling one unit
	fills    int64         // units it could fill alone
	alone    state.Decimal // what that would cost
}

// plan is a set of places and what they can fill together.
type plan struct {
	places []int // in order of their location
	filled int64
	cost   state.Decimal
}

// better orders plans: more filled, then cheaper, then fewer places, then by
// location. It is a total order over different sets.
func (p *plan) better(q *plan) bool {
	if p.filled != q.filled {
		return p.filled > q.filled
	}
	if p.cost != q.cost {
		return p.cost < q.cost
	}
	if len(p.places) != len(q.places) {
		return len(p.places) < len(q.places)
	}
	return slices.Compare(p.places, q.places) < 0
}

// choice is the result of [choose].
type choice struct {
	best       plan
	plans      []plan // the best of those compared, best first, at most [maxKeptPlans]
	compared   int64
	pruned     int64
	candidates []int // the places whose sets were compared, best alone first
	possible   int64 // units that all places together could fill
}

// choose minimises (units unfilled, cost), in this order. Among sets of up to
// three of the best [maxCandidates] places the result is exact: a set is passed
// over only if its lower bound is not better than a plan already found. If
// three places can't fill what all together could, the best set is extended by
// the place that fills most, until nothing more can be filled.
//
// Ties fall to fewer places and then to the first location by name, so that the
// result does not depend on the order of the input.
func choose(p *problem) *choice { return new(search).run(p) }

// search is a choice at work. Its matrix holds supply[want][candidate] of the
// ranked candidates.
type search struct {
	choice
	p      *problem
	matrix []int64
	column []int // by place: its column in the matrix, or -1
	width  int
	left   []int64 // wants still open
	taken  []int   // places of the plans
}

// run makes a choice. The result is good until the next one.
func (s *search) run(p *problem) *choice {
	s.p = p
	s.choice = choice{plans: s.plans[:0], candidates: s.candidates[:0]}
	s.taken = s.taken[:0]
	s.weigh()
	s.rank()
	s.sets()
	if s.best.filled < s.possible {
		s.extend()
	}
	return &s.choice
}

// weigh works out what each place could fill alone.
func (s *search) weigh() {
	p := s.p
	for i := range p.wants {
		w := &p.wants[i]
		var all int64
		for _, a := range w.supply {
			take := min(a.quantity, w.quantity)
			all += take
			p.places[a.place].fills += take
		}
		s.possible += min(all, w.quantity)
	}
	for i := range p.places {
		c := &p.places[i]
		c.alone = c.parcel + c.unit*state.Decimal(c.fills)
	}
}

// rank picks the candidates: places that fill most alone, then the cheapest.
func (s *search) rank() {
	for i := range s.p.places {
		if s.p.places[i].fills > 0 {
			s.candidates = append(s.candidates, i)
		}
	}
	slices.SortFunc(s.candidates, func(a, b int) int {
		x, y := &s.p.places[a], &s.p.places[b]
		switch {
		case x.fills != y.fills:
			return cmpInt(y.fills, x.fills)
		case x.alone != y.alone:
			return cmpInt(x.alone, y.alone)
		}
		return a - b
	})
	if len(s.candidates) > maxCandidates {
		s.candidates = s.candidates[:maxCandidates]
	}
	column := slices.Grow(s.column[:0], len(s.p.places))[:len(s.p.places)]
	s.column = column
	for i := range column {
		column[i] = -1
	}
	for col, place := range s.candidates {
		column[place] = col
	}
	s.width = len(s.candidates)
	s.matrix = slices.Grow(s.matrix[:0], s.width*len(s.p.wants))[:s.width*len(s.p.wants)]
	clear(s.matrix)
	for i := range s.p.wants {
		for _, a := range s.p.wants[i].supply {
			if col := column[a.place]; col >= 0 {
				s.matrix[i*s.width+col] = a.quantity
			}
		}
	}
}

func cmpInt[T int64 | state.Decimal](a, b T) int {
	if a < b {
		return -1
	}
	return 1
}

// sets compares all sets of one, two and three candidates.
func (s *search) sets() {
	var set [3]int
	for a := range s.width {
		set[0] = a
		s.consider(set[:1])
	}
	n := int64(s.width)
	if pairs := n * (n - 1) / 2; s.dearer(2) {
		s.pruned += pairs + pairs*(n-2)/3
		return
	}
	for a := range s.width {
		for b := a + 1; b < s.width; b++ {
			set[0], set[1] = a, b
			s.consider(set[:2])
		}
	}
	for a := range s.width {
		for b := a + 1; b < s.width; b++ {
			for c := b + 1; c < s.width; c++ {
				set[0], set[1], set[2] = a, b, c
				s.consider(set[:3])
			}
		}
	}
}

// dearer says whether every set of so many candidates or more costs more than
// the best plan so far, which fills all that can be filled.
func (s *search) dearer(places int) bool {
	if s.width < places || s.best.filled < s.possible {
		return s.width < places
	}
	first, second, unit := state.Decimal(1<<62), state.Decimal(1<<62), state.Decimal(1<<62)
	for _, place := range s.candidates {
		c := &s.p.places[place]
		if c.parcel < first {
			first, second = c.parcel, first
		} else {
			second = min(second, c.parcel)
		}
		unit = min(unit, c.unit)
	}
	return first >= 0 && s.p.split >= 0 && first+second+s.p.split*state.Decimal(places-1)+unit*state.Decimal(s.possible) > s.best.cost
}

// consider works a set of candidates out unless its bound rules it out.
func (s *search) consider(cols []int) {
	if len(cols) > 1 && s.hopeless(cols) {
		s.pruned++
		return
	}
	s.compared++
	var order [3]int
	byUnit := append(order[:0], cols...)
	if len(cols) > 1 {
		s.sortByUnit(byUnit)
	}
	pl := plan{cost: s.p.split * state.Decimal(len(cols)-1)}
	var units [3]int64
	for i := range s.p.wants {
		left := s.p.wants[i].quantity
		row := s.matrix[i*s.width : (i+1)*s.width]
		for k, col := range byUnit {
			take := min(left, row[col])
			left -= take
			units[k] += take
		}
	}
	for k, col := range byUnit {
		if units[k] == 0 {
			return // the set without this place is the same plan
		}
		c := &s.p.places[s.candidates[col]]
		pl.filled += units[k]
		pl.cost += c.parcel + c.unit*state.Decimal(units[k])
	}
	n := len(s.taken)
	for _, col := range cols {
		s.taken = append(s.taken, s.candidates[col])
	}
	pl.places = s.taken[n:len(s.taken):len(s.taken)]
	if len(cols) > 1 {
		slices.Sort(pl.places)
	}
	s.keep(pl)
}

// sortByUnit orders columns by the cost of a unit, then by location: whoever is
// cheapest to pick from gives first.
func (s *search) sortByUnit(cols []int) {
	slices.SortFunc(cols, func(a, b int) int { return s.p.unitOrder(s.candidates[a], s.candidates[b]) })
}

func (p *problem) unitOrder(a, b int) int {
	if x, y := p.places[a].unit, p.places[b].unit; x != y {
		return cmpInt(x, y)
	}
	return a - b
}

// hopeless says whether a set of two or three can't be better than the best
// plan so far, which has no more places than it.
func (s *search) hopeless(cols []int) bool {
	if s.compared == 0 || s.best.filled == 0 {
		return false
	}
	var most int64
	cheapest := s.p.places[s.candidates[cols[0]]].unit
	bound := s.p.split * state.Decimal(len(cols)-1)
	for _, col := range cols {
		c := &s.p.places[s.candidates[col]]
		most += c.fills
		bound += c.parcel
		cheapest = min(cheapest, c.unit)
	}
	most = min(most, s.possible)
	if most != s.best.filled {
		return most < s.best.filled
	}
	return bound+cheapest*state.Decimal(most) > s.best.cost
}

// keep files a plan among the best.
func (s *search) keep(pl plan) {
	if len(s.best.places) == 0 || pl.better(&s.best) {
		s.best = pl
	}
	at, _ := slices.BinarySearchFunc(s.plans, pl, func(a, b plan) int {
		if a.better(&b) {
			return -1
		}
		return 1
	})
	if at >= maxKeptPlans {
		return
	}
	if len(s.plans) == maxKeptPlans {
		s.plans = s.plans[:maxKeptPlans-1]
	}
	s.plans = slices.Insert(s.plans, at, pl)
}
