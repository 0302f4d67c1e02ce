package allocation

import (
	"slices"

	"anabranch.dev/operators/capacity"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/geo"
	"anabranch.dev/state"
)

// Why a place or pool is out. A rule is named: "rule:" and its name.
const (
	whyRejected   = "rejected"
	whyCapacity   = "capacity"
	whyConfidence = "confidence"
	whyShort      = "short"
	whyAcceptance = "acceptance"
	rulePrefix    = "rule:"
)

// describe fills in a place's costs and whether it is out as a whole. A place
// without reference data costs what the policy says and has no distance; a
// distance below zero is not known yet.
func (a *attempt) describe(p *placeInfo) {
	pol := a.policy.Allocation
	p.free = -1
	p.shipping, p.unit = pol.ShippingPerParcel, pol.HandlingPerUnit
	if loc := p.row; loc != nil {
		p.owner = loc.Owner
		p.shipping += loc.ShippingCost
		p.unit += loc.HandlingCost
		if p.metres < 0 {
			p.metres = metres(loc, a.head.Destination)
		}
		p.distance = perKM(pol.ShippingPerKM, p.metres)
		if loc.DailyCapacity > 0 {
			a.capacity(p, pol.CapacityPrice)
		}
	}
	if a.rejected(p.location) {
		p.why = whyRejected
	} else if rule := a.ownerRule(p.owner); rule != "" {
		p.why = rulePrefix + rule
	} else if why := a.rulePlace(p); why != "" {
		p.why = why
	} else if p.free == 0 && a.head.State != Asking {
		p.why = whyCapacity
	}
	a.accept(p)
}

// rejected says whether a place could not serve this order before.
func (a *attempt) rejected(location string) bool {
	if a.head.Attempt < 2 {
		return false // which saves a look at the rows of most orders
	}
	_, out := a.o.rejections.Get(a.c, location)
	return out
}

// capacity reads what the place's day has left, once that is known.
func (a *attempt) capacity(p *placeInfo, price state.Decimal) {
	p.capacity = capacity.Key(p.location, a.head.Started)
	p.free = 0
	r, asked := a.o.resource(a.c, a.head, kindCapacity+p.capacity)
	if !asked || len(r.Places) == 0 {
		return
	}
	at := &r.Places[0]
	p.free = at.ATP
	if a.hope {
		p.free = hoped(at)
	}
	if at.OnHand > 0 {
		p.price = price * state.Decimal(at.OnHand-at.ATP) / state.Decimal(at.OnHand)
	}
}

// metres is the distance of a location to where an order goes, 0 if either is
// not known.
func metres(loc *event.Location, to *event.Destination) int64 {
	if to == nil || loc.Lat == 0 && loc.Lon == 0 {
		return 0
	}
	return geo.Metres(loc.Lat, loc.Lon, to.Lat, to.Lon)
}

// perKM is a price per kilometre for so many metres, rounded down.
func perKM(price state.Decimal, metres int64) state.Decimal {
	km, rest := state.Decimal(metres/1000), state.Decimal(metres%1000)
	return price*km + price*rest/1000
}

// objection says why a place's pool may not serve this order, or "".
func (a *attempt) objection(p *placeInfo, at *event.Available, s *skuDemand) string {
	switch {
	case p.why != "":
		return p.why
	case at.Confidence < a.policy.Allocation.ConfidenceFloor:
		return whyConfidence
	}
	for i := range a.policy.Allocation.Pools {
		r := &a.policy.Allocation.Pools[i]
		if r.Pool == at.Pool && slices.Contains(r.Channels, a.head.Channel) {
			return rulePrefix + r.Rule
		}
	}
	return a.ruleOffer(p, at.Pool, s)
}

// ownerRule is the rule that keeps this order from an owner's stock, or "".
func (a *attempt) ownerRule(owner string) string {
	if owner == "" {
		return ""
	}
	for i := range a.policy.Allocation.Franchises {
		r := &a.policy.Allocation.Franchises[i]
		if r.Owner != owner {
			continue
		}
		if len(r.Channels) > 0 {
			if slices.Contains(r.Channels, a.head.Channel) {
				return r.Rule
			}
			continue
		}
		if origin := a.o.Locations.Get(a.c, a.head.Location); origin == nil || origin.Owner != owner {
			return r.Rule
		}
	}
	return ""
}
