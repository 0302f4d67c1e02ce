package allocation

import (
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// inbound is how many units of dated supply an SKU's open units may wait for:
// none unless the order allows it, and none that comes after the promise date
// or to a place that is out for this order.
func (a *attempt) inbound(s *skuDemand) int64 {
	if !a.head.Backorder {
		return 0
	}
	var units int64
	for i := range s.resource.Inbound {
		in := &s.resource.Inbound[i]
		if in.Arrives == 0 || a.head.PromisedBy != 0 && in.Arrives > a.head.PromisedBy {
			continue
		}
		p := placeInfo{location: in.Location, row: a.o.Locations.Get(a.c, in.Location)}
		a.describe(&p)
		if p.why == whyCapacity { // of today
			p.why = ""
		}
		at := event.Available{Location: in.Location, Pool: in.Pool, Confidence: state.One}
		if a.objection(&p, &at, s) == "" {
			units += in.Quantity
		}
	}
	return units
}

// mustFail says whether an order that must be filled whole can't be, with what
// its lines have been given now.
func (a *attempt) mustFail() bool {
	if a.policy.Allocation.PartialOrders {
		return false
	}
	for i := range a.skus {
		s := &a.skus[i]
		var open int64
		for j := range s.lines {
			if l := &s.lines[j]; !l.Waited {
				open += l.Quantity - partsSum(l.Parts)
			}
		}
		if open > 0 && open > a.inbound(s) {
			return true
		}
	}
	return false
}
