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

// Check lists every fault of a proposed policy, none for a good one. The words
// are the same on every replica.
func Check(e *event.PolicyPublished) []string { return check(&checker{}, e) }

// CheckInDetail is Check for people: what the rule language's library says of a
// faulty condition too, in words that may differ from version to version.
func CheckInDetail(e *event.PolicyPublished) []string { return check(&checker{detail: true}, e) }

func check(k *checker, e *event.PolicyPublished) []string {
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

type checker struct {
	faults []string
	detail bool
}

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
		{"rejection_cost", p.RejectionCost, maxCost},
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
	for _, share := range []struct {
		name  string
		value state.Decimal
	}{
		{"confidence_floor", p.ConfidenceFloor},
		{"confidence_weight", p.ConfidenceWeight},
		{"acceptance_floor", p.AcceptanceFloor},
	} {
		if share.value < 0 || share.value > state.One {
			k.faultf("%s: %s is not between 0 and 1", share.name, share.value)
		}
	}
	if a := p.DepletionAlerts; a != "" && !slices.Contains(depletionAlerts, a) {
		k.faultf("depletion_alerts: %q is none of %v", a, depletionAlerts)
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
	k.conditions(p.Rules, names)
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
