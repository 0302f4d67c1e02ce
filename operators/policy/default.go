package policy

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// NameAllocation is the policy of allocation decisions.
const NameAllocation = "allocation"

// Default is the built-in version 0 of a policy, or nil for an unknown name.
func Default(name string) *event.Policy {
	if name != NameAllocation {
		return nil
	}
	return &event.Policy{Name: NameAllocation, Allocation: defaultAllocation()}
}

// defaultAllocation is the built-in policy: a parcel costs 3.00 and a cent for
// ten kilometres, a second parcel 2.00 more, a unit 0.20 to pick.
func defaultAllocation() *event.AllocationPolicy {
	return &event.AllocationPolicy{
		ShippingPerParcel: 3 * state.One,
		ShippingPerKM:     state.One / 1000,
		SplitPerParcel:    2 * state.One,
		HandlingPerUnit:   state.One / 5,
		CapacityPrice:     state.One,
		ReturnDays:        30,
		OrderTimeout:      30 * state.Second,
		ReservationTTL:    14 * state.Day,
		ReturnsTo:         ReturnsToOnHand,
		PartialOrders:     true,
		RejectionCost:     5 * state.One,
		DepletionAlerts:   DepletionOnline,
	}
}

// Where returned goods go.
const (
	ReturnsToOnHand     = "on_hand"
	ReturnsToInspection = "inspection"
)

// Which places tell of running out although nobody asked.
const (
	DepletionOnline = "online" // web shops and the like, where nobody asks before he leaves
	DepletionAll    = "all"
	DepletionNone   = "none"
)

var depletionAlerts = []string{DepletionOnline, DepletionAll, DepletionNone}

// builtIn spares a new document for every decision under the default.
var builtIn = Default(NameAllocation)

// Allocation is the allocation policy in force: what is broadcast, or else the
// built-in one. It must not be changed.
func Allocation(r operators.Reader, policies operators.Broadcast[event.Policy]) *event.Policy {
	if p := policies.Get(r, NameAllocation); p != nil {
		return p
	}
	return builtIn
}

// AllocationShadow is the policy that is compared with the one in force, or nil.
// It must not be changed.
func AllocationShadow(r operators.Reader, policies operators.Broadcast[event.Policy]) *event.Policy {
	return policies.Get(r, allocationShadow)
}

// shadowRow is the broadcast row of a policy's shadow.
func shadowRow(name string) string { return name + "/shadow" }

var allocationShadow = shadowRow(NameAllocation)
