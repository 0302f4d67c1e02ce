package allocation

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// scratch is what calls use again, one after the other.
type scratch struct {
	attempts [3]attempt
	rules    [2]*policy.Rules // of the policy in force and of its shadow
	decision decision
	listed   [][]byte // names in a plan's facts
	packed   []byte

	demands   []*Demand
	resources []*Resource
	keys      []string
}

// attempt is the running attempt with everything that is known, gathered from
// its rows for one call.
type attempt struct {
	o        *Operator
	c        operators.Context
	head     *Head
	policy   *event.Policy
	rules    *policy.Rules // nil: the policy has none
	work     uint64        // spent on rules
	skus     []skuDemand   // in order of SKU
	places   []placeInfo   // in order of location
	measured bool          // places have metres from the last load
	late     bool          // the order's timer forces the decision
	hope     bool          // count on what other orders hold but have not decided about

	to event.Destination // where the metres of places lead, if there is a destination

	search search
	solve  problem
	covers []cover
	below  bool // some place's acceptance is below the usual
	note   func(string, *event.Acceptance) bool
	used   []int   // places, see usedPlaces
	units  []int64 // by place
}

// skuDemand is what the attempt wants of one SKU.
type skuDemand struct {
	sku      string
	resource *Resource // must not be changed
	lines    []Demand
	quantity int64
	offers   []offer // in order of place
}

// offer is what one place and pool says about the SKU.
type offer struct {
	place int
	at    *event.Available
	why   string // why nothing is taken from it, or ""
}

// usable is what may be taken from an offer.
func (a *attempt) usable(f *offer) int64 {
	switch {
	case f.why != "":
		return 0
	case a.hope:
		return hoped(f.at)
	}
	return f.at.ATP
}

// hoped is what could be promised if no order that is still deciding got it.
func hoped(at *event.Available) int64 {
	return max(at.ATP, at.OnHand-at.Withheld-at.SafetyStock-(at.Reserved-at.Undecided))
}

// placeInfo is what is known of a place.
type placeInfo struct {
	location string
	owner    string
	metres   int64
	shipping state.Decimal
	distance state.Decimal
	price    state.Decimal // of its capacity
	risk     state.Decimal // what its rejections are expected to cost
	unit     state.Decimal
	row      *event.Location // what reference data say of it, or nil
	capacity string          // resource key, empty when not limited
	free     int64           // parcels left, -1 when not limited
	why      string          // why the place is out, or ""
	offers   int64           // units it could promise if it were not for its capacity
	added    []RuleCost      // by rules of the policy
	ruled    state.Decimal   // the sum of it
}

// cover is how much a place covers of what is wanted.
type cover struct {
	location string
	units    int64
}

// load gathers the attempt's rows. With hope it counts on what other orders
// hold without having decided. There are two attempts to load, by number.
func (o *Operator) load(c operators.Context, head *Head, number int, hope bool) *attempt {
	sc := operators.Scratch[scratch](c)
	a := &sc.attempts[number]
	a.policy = o.attemptPolicy(c, head)
	a.rules = sc.compiled(inForce, a.policy.Allocation)
	return a.load(o, c, head, hope)
}

// load gathers the attempt's rows under its policy.
func (a *attempt) load(o *Operator, c operators.Context, head *Head, hope bool) *attempt {
	sc := operators.Scratch[scratch](c)
	a.o, a.c, a.head, a.hope, a.late = o, c, head, hope, false
	a.orderFacts()
	a.skus, a.covers = a.skus[:0], a.covers[:0]
	sc.resources = o.listResources(sc.resources[:0], c, head, kindStock)
	for _, r := range sc.resources {
		n := len(a.skus)
		a.skus = slices.Grow(a.skus, 1)[:n+1]
		s := &a.skus[n]
		*s = skuDemand{sku: r.Key[len(kindStock):], resource: r, lines: s.lines[:0], offers: s.offers[:0]}
	}
	i := 0
	sc.demands = o.listDemands(sc.demands[:0], c, head, "")
	for _, d := range sc.demands {
		for a.skus[i].sku != d.SKU {
			i++
		}
		s := &a.skus[i]
		s.lines = append(s.lines, *d)
		s.quantity += d.Quantity
	}
	a.findPlaces()
	a.findOffers()
	return a
}

// findPlaces lists the places that any SKU names, at most [maxPlaces]: of more,
// those that cover most.
func (a *attempt) findPlaces() {
	for i := range a.skus {
		s := &a.skus[i]
		next := 0
		for j := range s.resource.Places {
			at := &s.resource.Places[j]
			next = a.cover(next, at.Location, min(hoped(at), s.quantity))
		}
		for j := range s.lines {
			for _, p := range s.lines[j].Parts {
				a.cover(0, p.Location, claimedCovers)
			}
		}
	}
	if len(a.covers) > maxPlaces {
		slices.SortFunc(a.covers, func(x, y cover) int {
			return cmp.Or(cmp.Compare(y.units, x.units), strings.Compare(x.location, y.location))
		})
		a.covers = a.covers[:maxPlaces]
		slices.SortFunc(a.covers, func(x, y cover) int { return strings.Compare(x.location, y.location) })
	}
	a.describePlaces()
}

// describePlaces describes the places that are covered. Distances cost most:
// an order's calls mostly come one after the other, and look at the same places.
func (a *attempt) describePlaces() {
	var before []placeInfo
	if to := a.head.Destination; to != nil {
		if a.measured && *to == a.to {
			before = a.places
		}
		a.to = *to
	}
	a.measured = a.head.Destination != nil
	a.places = a.places[:0]
	a.findBelow()
	for i := range a.covers {
		p := placeInfo{location: a.covers[i].location, metres: -1}
		if p.row = a.o.Locations.Get(a.c, p.location); p.row == nil {
			p.metres = 0
		} else if i < len(before) && before[i].row == p.row {
			p.metres = before[i].metres
		}
		a.places = append(a.places, p)
		a.describe(&a.places[i])
	}
}

// claimedCovers makes sure that a place with claimed parts is among the places.
const claimedCovers = 1 << 30

// cover notes that a place covers so many units. Answers name places in order,
// so that the next one mostly stands where the last call has left off.
func (a *attempt) cover(next int, location string, units int64) int {
	if next >= len(a.covers) || a.covers[next].location != location {
		next = sort.Search(len(a.covers), func(i int) bool { return a.covers[i].location >= location })
		if next == len(a.covers) || a.covers[next].location != location {
			a.covers = slices.Insert(a.covers, next, cover{location: location})
		}
	}
	a.covers[next].units += units
	return next + 1
}

// place finds a place by its location.
func (a *attempt) place(location string) (int, bool) {
	k := sort.Search(len(a.places), func(i int) bool { return a.places[i].location >= location })
	return k, k < len(a.places) && a.places[k].location == location
}

// findOffers links each SKU's answers to their places and judges them.
func (a *attempt) findOffers() {
	for i := range a.skus {
		s := &a.skus[i]
		next, inOrder := 0, true
		for j := range s.resource.Places {
			at := &s.resource.Places[j]
			k := next
			if k >= len(a.places) || a.places[k].location != at.Location {
				known := false
				if k, known = a.place(at.Location); !known {
					continue
				}
			}
			inOrder = inOrder && k+1 >= next
			next = k + 1
			if j+1 < len(s.resource.Places) && s.resource.Places[j+1].Location == at.Location {
				next = k // another pool
			}
			p := &a.places[k]
			f := offer{place: k, at: at, why: a.objection(p, at, s)}
			if f.why == "" {
				p.offers += hoped(at)
			}
			s.offers = append(s.offers, f)
		}
		if !inOrder {
			slices.SortStableFunc(s.offers, func(x, y offer) int { return x.place - y.place })
		}
	}
}

// nearestFirst orders an SKU's offers for the explanation.
func (a *attempt) nearestFirst(s *skuDemand) {
	slices.SortStableFunc(s.offers, func(x, y offer) int {
		return cmp.Or(cmp.Compare(a.places[x.place].metres, a.places[y.place].metres), x.place-y.place)
	})
}

// choose solves the attempt's problem. The result is good until the next one.
func (a *attempt) choose() *choice {
	a.problem()
	return a.search.run(&a.solve)
}

func (a *attempt) problem() {
	p := &a.solve
	p.split = a.policy.Allocation.SplitPerParcel
	p.places, p.wants = p.places[:0], p.wants[:0]
	for i := range a.places {
		q := &a.places[i]
		p.places = append(p.places, candidate{location: q.location, parcel: q.shipping + q.distance + q.price + q.risk + q.ruled, unit: q.unit})
	}
	for i := range a.skus {
		s := &a.skus[i]
		p.wants = slices.Grow(p.wants, 1)[:i+1]
		w := &p.wants[i]
		w.quantity, w.supply = s.quantity, w.supply[:0]
		for j := range s.offers {
			f := &s.offers[j]
			units := a.usable(f)
			if units <= 0 {
				continue
			}
			if n := len(w.supply); n > 0 && w.supply[n-1].place == f.place {
				w.supply[n-1].quantity += units
				continue
			}
			w.supply = append(w.supply, supply{place: f.place, quantity: units})
		}
	}
}

// unitsAt adds up what the lines' parts take from each place. The result is good
// until the next call.
func (a *attempt) unitsAt() []int64 {
	a.units = slices.Grow(a.units[:0], len(a.places))[:len(a.places)]
	clear(a.units)
	for i := range a.skus {
		for j := range a.skus[i].lines {
			for _, p := range a.skus[i].lines[j].Parts {
				if k, known := a.place(p.Location); known {
					a.units[k] += p.Quantity
				}
			}
		}
	}
	return a.units
}

// usedPlaces are the places that the lines' parts are at, in order. The result
// is good until the next call.
func (a *attempt) usedPlaces() []int {
	a.used = a.used[:0]
	for k, n := range a.unitsAt() {
		if n > 0 {
			a.used = append(a.used, k)
		}
	}
	return a.used
}

func (a *attempt) locationOf(capacity string) string {
	for i := range a.places {
		if a.places[i].capacity == capacity {
			return a.places[i].location
		}
	}
	return ""
}

// mostATP keeps the places that can promise most, within the limits of a row.
func mostATP(places []event.Available) []event.Available {
	kept := slices.Clone(places)
	slices.SortStableFunc(kept, func(x, y event.Available) int {
		if x.ATP != y.ATP {
			return cmpInt(y.ATP, x.ATP)
		}
		return strings.Compare(x.Location, y.Location)
	})
	bytes := 0
	for i := range kept {
		bytes += partBytes(kept[i].Location, kept[i].Pool)
		if i == maxPlaces || bytes > maxTrimmedBytes {
			return kept[:i]
		}
	}
	return kept
}
