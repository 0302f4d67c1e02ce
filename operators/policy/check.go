package policy

import (
	"fmt"
	"slices"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Limits of a policy.
const (
	maxCost     = 1_000_000 * state.One
	maxHandling = 500 * state.One // times the units of an order it must not overflow
	maxRules    = 200
	maxText     = 1_000
	maxSafety   = 1_000_000
	maxDays     = 400
	maxTimeout  = state.Hour
	minTTL      = state.Minute
	maxTTL      = 365 * state.Day
	maxRuleName = 100
)

// Check lists every fault of a proposed policy, none for a good one.
func Check(e *event.PolicyPublished) []string {
	k := &checker{}
	if Default(e.Name) == nil {
		k.faultf("name %q: is no policy; there is %q", e.Name, NameAllocation)
	}
	if len(e.Author) > maxText || len(e.Comment) > maxText {
		k.faultf("author, comment: above %d bytes", maxText)
	}
	if e.Allocation == nil {
		k.faultf("allocation: is missing")
		return k.faults
	}
	k.costs(e.Allocation)
	k.limits(e.Allocation)
	k.rules(e.Allocation)
	return k.faults
}

type checker struct{ faults []string }

func (k *checker) faultf(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

func (k *checker) costs(p *event.AllocationPolicy) {
	for _, c := range []struct {
		name       string
		cost, most state.Decimal
	}{
		{"shipping_per_parcel", p.ShippingPerParcel, maxCost},
		{"shipping_per_km", p.ShippingPerKM, maxCost},
		{"split_per_parcel", p.SplitPerParcel, maxCost},
		{"handling_per_unit", p.HandlingPerUnit, maxHandling},
		{"capacity_price", p.CapacityPrice, maxCost},
	} {
		if c.cost < 0 || c.cost > c.most {
			k.faultf("%s: %s is not between 0 and %s", c.name, c.cost, c.most)
		}
	}
}

func (k *checker) limits(p *event.AllocationPolicy) {
	if p.SafetyStock < 0 || p.SafetyStock > maxSafety {
		k.faultf("safety_stock: %d is not between 0 and %d", p.SafetyStock, maxSafety)
	}
	if p.ReturnDays < 0 || p.ReturnDays > maxDays {
		k.faultf("return_days: %d is not between 0 and %d", p.ReturnDays, maxDays)
	}
	if p.OrderTimeout < state.Millisecond || p.OrderTimeout > maxTimeout {
		k.faultf("order_timeout_us: %d is not between 1 ms and 1 h", int64(p.OrderTimeout))
	}
	if p.ReservationTTL < minTTL || p.ReservationTTL > maxTTL {
		k.faultf("reservation_ttl_us: %d is not between 1 min and 365 d", int64(p.ReservationTTL))
	}
	if p.ReturnsTo != ReturnsToOnHand && p.ReturnsTo != ReturnsToInspection {
		k.faultf("returns_to: %q is neither %q nor %q", p.ReturnsTo, ReturnsToOnHand, ReturnsToInspection)
	}
	if p.ConfidenceFloor < 0 || p.ConfidenceFloor > state.One {
		k.faultf("confidence_floor: %s is not between 0 and 1", p.ConfidenceFloor)
	}
}

func (k *checker) rules(p *event.AllocationPolicy) {
	if n := len(p.Pools) + len(p.Franchises); n > maxRules {
		k.faultf("pools, franchises: %d rules, at most %d", n, maxRules)
	}
	var names []string
	for i, r := range p.Pools {
		field := fmt.Sprintf("pools[%d]", i)
		names = k.rule(field, r.Rule, names)
		if r.Pool == "" {
			k.faultf("%s.pool: is missing", field)
		}
		if len(r.Channels) == 0 {
			k.faultf("%s.channels: is missing", field)
		}
		k.channels(field, r.Channels)
	}
	for i, r := range p.Franchises {
		field := fmt.Sprintf("franchises[%d]", i)
		names = k.rule(field, r.Rule, names)
		if r.Owner == "" {
			k.faultf("%s.owner: is missing", field)
		}
		k.channels(field, r.Channels)
	}
}

func (k *checker) rule(field, name string, names []string) []string {
	switch {
	case name == "" || len(name) > maxRuleName:
		k.faultf("%s.rule: %d bytes, want 1 to %d", field, len(name), maxRuleName)
	case slices.Contains(names, name):
		k.faultf("%s.rule: %q is used twice", field, name)
	}
	return append(names, name)
}

func (k *checker) channels(field string, channels []string) {
	for _, c := range channels {
		if !slices.Contains(event.ChannelClasses, c) {
			k.faultf("%s.channels: %q is none of %v", field, c, event.ChannelClasses)
		}
	}
}
