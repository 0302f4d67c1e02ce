package allocation

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/state"
)

// drawProblem makes a small problem whose exact answer can be enumerated.
func drawProblem(t *rapid.T) *problem {
	p := &problem{split: state.Decimal(rapid.IntRange(0, 5).Draw(t, "split"))}
	for i := range rapid.IntRange(1, 6).Draw(t, "places") {
		p.places = append(p.places, candidate{
			location: fmt.Sprintf("p%d", i),
			parcel:   state.Decimal(rapid.IntRange(0, 9).Draw(t, "parcel")),
			unit:     state.Decimal(rapid.IntRange(0, 3).Draw(t, "unit")),
		})
	}
	for range rapid.IntRange(1, 3).Draw(t, "wants") {
		w := want{quantity: int64(rapid.IntRange(1, 3).Draw(t, "quantity"))}
		for i := range p.places {
			if n := rapid.IntRange(0, 3).Draw(t, "supply"); n > 0 {
				w.supply = append(w.supply, supply{place: i, quantity: int64(n)})
			}
		}
		p.wants = append(p.wants, w)
	}
	return p
}

// enumerate calls fn with every way to take exactly units of want w from a set.
func enumerate(p *problem, set []int, w int, units int64, fn func(from map[int]int64)) {
	from := map[int]int64{}
	var walk func(k int, left int64)
	walk = func(k int, left int64) {
		if k == len(set) {
			if left == 0 {
				fn(from)
			}
			return
		}
		most := int64(0)
		for _, a := range p.wants[w].supply {
			if a.place == set[k] {
				most = a.quantity
			}
		}
		for n := int64(0); n <= min(most, left); n++ {
			from[set[k]] = n
			walk(k+1, left-n)
		}
		from[set[k]] = 0
	}
	walk(0, units)
}

// bruteForce is the best (filled, cost) over all ways to serve the problem from
// at most three places.
func bruteForce(p *problem) (int64, state.Decimal) {
	bestFilled, bestCost := int64(0), state.Decimal(0)
	for bits := 1; bits < 1<<len(p.places); bits++ {
		var set []int
		cost := state.Decimal(0)
		for i := range p.places {
			if bits>>i&1 == 1 {
				set = append(set, i)
				cost += p.places[i].parcel
			}
		}
		if len(set) > 3 {
			continue
		}
		cost += p.split * state.Decimal(len(set)-1)
		filled := int64(0)
		for w := range p.wants {
			units, least := int64(0), state.Decimal(0)
			for n := p.wants[w].quantity; n >= 0 && units == 0; n-- {
				enumerate(p, set, w, n, func(from map[int]int64) {
					var c state.Decimal
					for place, k := range from {
						c += p.places[place].unit * state.Decimal(k)
					}
					if units == 0 || c < least {
						units, least = n, c
					}
				})
			}
			filled += units
			cost += least
		}
		if filled > bestFilled || filled == bestFilled && filled > 0 && cost < bestCost {
			bestFilled, bestCost = filled, cost
		}
	}
	return bestFilled, bestCost
}

func TestChooseIsExactUpToThreePlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		result := choose(p)
		filled, cost := bruteForce(p)
		if filled == result.possible {
			if result.best.filled != filled || result.best.cost != cost {
				t.Fatalf("choose = %d units at %s; want %d at %s", result.best.filled, result.best.cost, filled, cost)
			}
			return
		}
		if result.best.filled != result.possible {
			t.Fatalf("choose fills %d; all places together fill %d", result.best.filled, result.possible)
		}
	})
}

// A plan's stated cost and quantity are what taking the goods really comes to,
// and nobody gives more than it has.
func TestChooseAccountsForItsPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		result := choose(p)
		var filled int64
		cost := p.split * state.Decimal(max(0, len(result.best.places)-1))
		given := map[[2]int]int64{}
		used := map[int]bool{}
		p.take(result.best.places, func(w, place int, quantity int64) {
			filled += quantity
			given[[2]int{w, place}] += quantity
			cost += p.places[place].unit * state.Decimal(quantity)
			used[place] = true
		})
		for place := range used {
			cost += p.places[place].parcel
		}
		if filled != result.best.filled || cost != result.best.cost || len(used) != len(result.best.places) {
			t.Fatalf("plan says %d at %s from %d places; taking it gives %d at %s from %d",
				result.best.filled, result.best.cost, len(result.best.places), filled, cost, len(used))
		}
		for w := range p.wants {
			for _, a := range p.wants[w].supply {
				if given[[2]int{w, a.place}] > a.quantity {
					t.Fatalf("want %d takes %d from place %d, which has %d", w, given[[2]int{w, a.place}], a.place, a.quantity)
				}
			}
		}
	})
}

func TestChooseTiesFallToTheFirstName(t *testing.T) {
	p := &problem{places: []candidate{{location: "a", parcel: 3}, {location: "b", parcel: 3}, {location: "c", parcel: 3}},
		wants: []want{{quantity: 1, supply: []supply{{0, 1}, {1, 1}, {2, 1}}}}}
	if got := choose(p).best.places; !slices.Equal(got, []int{0}) {
		t.Errorf("choose = %v; want the first place", got)
	}
}

func TestChoosePrefersFewerUnfilledToAnyCost(t *testing.T) {
	p := &problem{split: 1_000_000,
		places: []candidate{{location: "a", parcel: 1}, {location: "b", parcel: 1_000_000}},
		wants:  []want{{quantity: 2, supply: []supply{{0, 1}, {1, 1}}}}}
	if got := choose(p).best; got.filled != 2 || len(got.places) != 2 {
		t.Errorf("choose = %+v; want both places", got)
	}
}

// More than sixteen places and more than three needed: bounded work, all filled.
func TestChooseManyPlaces(t *testing.T) {
	p := &problem{split: 2}
	const n = 200
	w := want{quantity: 50}
	for i := range n {
		p.places = append(p.places, candidate{location: fmt.Sprintf("p%03d", i), parcel: state.Decimal(5 + i%7)})
		w.supply = append(w.supply, supply{place: i, quantity: 1})
	}
	p.wants = []want{w}
	got := choose(p)
	if got.best.filled != 50 || len(got.best.places) != 50 {
		t.Errorf("filled %d from %d places; want 50 from 50", got.best.filled, len(got.best.places))
	}
	if most := int64(maxCandidates + 120 + 560 + 1); got.compared+got.pruned != most {
		t.Errorf("%d plans compared and %d pruned; want %d together", got.compared, got.pruned, most)
	}
	if len(got.plans) > maxKeptPlans {
		t.Errorf("%d plans kept; want at most %d", len(got.plans), maxKeptPlans)
	}
	for i := 1; i < len(got.plans); i++ {
		if got.plans[i].better(&got.plans[i-1]) {
			t.Errorf("plan %d is better than the one before it", i)
		}
	}
}

// When one place has all, sets of two and three are ruled out by their bound.
func TestChoosePrunes(t *testing.T) {
	p := &problem{split: 2}
	w := want{quantity: 1}
	for i := range maxCandidates {
		p.places = append(p.places, candidate{location: fmt.Sprintf("p%02d", i), parcel: 5, unit: 1})
		w.supply = append(w.supply, supply{place: i, quantity: 1})
	}
	p.wants = []want{w}
	if got := choose(p); got.compared != maxCandidates {
		t.Errorf("%d plans compared; want only the %d of one place", got.compared, maxCandidates)
	}
}
