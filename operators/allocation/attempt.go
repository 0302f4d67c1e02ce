package allocation

import (
	"slices"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// attempt is the running attempt with everything that is known, gathered from
// its rows for one call.
type attempt struct {
	o      *Operator
	c      operators.Context
	head   *Head
	policy *event.Policy
	skus   []skuDemand // in order of SKU
	places []placeInfo // in order of location
	index  map[string]int
	late   bool // the order's timer forces the decision
	hope   bool // count on what other orders hold but have not decided about
	solved *problem
}

// skuDemand is what the attempt wants of one SKU.
type skuDemand struct {
	sku      string
	resource Resource
	lines    []Demand
	quantity int64
	offers   []offer
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
	unit     state.Decimal
	capacity string // resource key, empty when not limited
	free     int64  // parcels left, -1 when not limited
	why      string // why the place is out, or ""
	offers   int64  // units it could promise if it were not for its capacity
	covers   int64
}

// load gathers the attempt's rows. With hope it counts on what other orders
// hold without having decided.
func (o *Operator) load(c operators.Context, head *Head, hope bool) *attempt {
	a := &attempt{o: o, c: c, head: head, hope: hope,
		policy: policy.Allocation(c, o.Policies), index: map[string]int{}}
	o.resources.Scan(c, kindStock, func(row string, r *Resource) bool {
		a.skus = append(a.skus, skuDemand{sku: row[len(kindStock):], resource: *r})
		return true
	})
	i := 0
	o.demands.Scan(c, "", func(row string, d *Demand) bool {
		for a.skus[i].sku != skuOf(row) {
			i++
		}
		a.skus[i].lines = append(a.skus[i].lines, *d)
		a.skus[i].quantity += d.Quantity
		return true
	})
	a.findPlaces()
	a.findOffers()
	return a
}

// findPlaces lists the places that any SKU names, at most [maxPlaces]: of more,
// those that cover most.
func (a *attempt) findPlaces() {
	for i := range a.skus {
		s := &a.skus[i]
		for j := range s.resource.Places {
			at := &s.resource.Places[j]
			a.cover(at.Location, min(hoped(at), s.quantity))
		}
		for j := range s.lines {
			for _, p := range s.lines[j].Parts {
				a.cover(p.Location, claimedCovers)
			}
		}
	}
	if len(a.places) > maxPlaces {
		slices.SortFunc(a.places, func(x, y placeInfo) int {
			if x.covers != y.covers {
				return cmpInt(y.covers, x.covers)
			}
			return strings.Compare(x.location, y.location)
		})
		a.places = a.places[:maxPlaces]
	}
	slices.SortFunc(a.places, func(x, y placeInfo) int { return strings.Compare(x.location, y.location) })
	clear(a.index)
	for i := range a.places {
		a.index[a.places[i].location] = i
		a.describe(&a.places[i])
	}
}

// claimedCovers makes sure that a place with claimed parts is among the places.
const claimedCovers = 1 << 30

// usualPlaces is room for the places of most orders.
const usualPlaces = 8

func (a *attempt) cover(location string, units int64) {
	k, seen := a.index[location]
	if !seen {
		k = len(a.places)
		a.index[location] = k
		if a.places == nil {
			a.places = make([]placeInfo, 0, usualPlaces)
		}
		a.places = append(a.places, placeInfo{location: location})
	}
	a.places[k].covers += units
}

// findOffers links each SKU's answers to their places and judges them.
func (a *attempt) findOffers() {
	for i := range a.skus {
		s := &a.skus[i]
		s.offers = make([]offer, 0, len(s.resource.Places))
		for j := range s.resource.Places {
			at := &s.resource.Places[j]
			k, kept := a.index[at.Location]
			if !kept {
				continue
			}
			p := &a.places[k]
			f := offer{place: k, at: at, why: a.objection(p, at)}
			if f.why == "" {
				p.offers += hoped(at)
			}
			s.offers = append(s.offers, f)
		}
		slices.SortStableFunc(s.offers, func(x, y offer) int { return x.place - y.place })
	}
}

// nearestFirst orders an SKU's offers for the explanation.
func (a *attempt) nearestFirst(s *skuDemand) {
	slices.SortStableFunc(s.offers, func(x, y offer) int {
		p, q := &a.places[x.place], &a.places[y.place]
		if p.metres != q.metres {
			return cmpInt(p.metres, q.metres)
		}
		return x.place - y.place
	})
}

// choose solves the attempt's problem.
func (a *attempt) choose() choice {
	a.solved = a.problem()
	return choose(a.solved)
}

func (a *attempt) problem() *problem {
	p := &problem{
		wants: make([]want, len(a.skus)), places: make([]candidate, len(a.places)),
		split: a.policy.Allocation.SplitPerParcel,
	}
	for i := range a.places {
		q := &a.places[i]
		p.places[i] = candidate{location: q.location, parcel: q.shipping + q.distance + q.price, unit: q.unit}
	}
	for i := range a.skus {
		s := &a.skus[i]
		w := want{quantity: s.quantity}
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
		p.wants[i] = w
	}
	return p
}

// usedPlaces are the places that the lines' parts are at, in order.
func (a *attempt) usedPlaces() []int {
	used := make([]bool, len(a.places))
	for i := range a.skus {
		for j := range a.skus[i].lines {
			for _, p := range a.skus[i].lines[j].Parts {
				if k, known := a.index[p.Location]; known {
					used[k] = true
				}
			}
		}
	}
	var places []int
	for k, u := range used {
		if u {
			places = append(places, k)
		}
	}
	return places
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
		bytes += len(kept[i].Location) + len(kept[i].Pool) + 64
		if i == maxPlaces || bytes > maxTrimmedBytes {
			return kept[:i]
		}
	}
	return kept
}
