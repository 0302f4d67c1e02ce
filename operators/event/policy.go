package event

import "anabranch.dev/state"

// PolicyPublished ("policy.published") proposes a new version of a policy. The
// policy stage checks it, numbers it and broadcasts it.
type PolicyPublished struct {
	Name       string            `v:"name"`    // "allocation"
	Author     string            `v:"author"`  // free text, for the history
	Comment    string            `v:"comment"` // free text, for the history
	Allocation *AllocationPolicy `v:"allocation"`
	Shadow     bool              `v:"shadow"` // decides nothing: is compared with the one in force
}

// Policy is one numbered version, as broadcast and as kept in the history.
type Policy struct {
	Name       string            `v:"name"`
	Version    int64             `v:"version"` // from 1; 0 is the built-in default
	Published  state.Time        `v:"published"`
	Author     string            `v:"author"`
	Comment    string            `v:"comment"`
	Allocation *AllocationPolicy `v:"allocation"`
	Shadow     bool              `v:"shadow"` // has decided nothing
}

// AllocationPolicy shapes allocation decisions. Costs are in millionths of the
// order's currency.
type AllocationPolicy struct {
	ShippingPerParcel state.Decimal    `v:"shipping_per_parcel"` // added to the location's own shipping cost
	ShippingPerKM     state.Decimal    `v:"shipping_per_km"`     // great-circle distance, per parcel
	SplitPerParcel    state.Decimal    `v:"split_per_parcel"`    // for each parcel beyond the first
	HandlingPerUnit   state.Decimal    `v:"handling_per_unit"`   // added to the location's own
	CapacityPrice     state.Decimal    `v:"capacity_price"`      // per parcel at a full location, falling to 0 at an empty one
	SafetyStock       int64            `v:"safety_stock"`        // where the product names none
	ReturnDays        int64            `v:"return_days"`         // where the product names none
	OrderTimeout      state.Time       `v:"order_timeout_us"`    // log time in which a decision is forced
	ReservationTTL    state.Time       `v:"reservation_ttl_us"`  // unshipped reservations expire after it
	ReturnsTo         string           `v:"returns_to"`          // "on_hand" or "inspection"
	PartialOrders     bool             `v:"partial_orders"`      // false: an order is filled whole or fails
	ConfidenceFloor   state.Decimal    `v:"confidence_floor"`    // places below it are not promised from
	Pools             []PoolRule       `v:"pools"`
	Franchises        []OwnerRule      `v:"franchises"`
	ConfidenceWeight  state.Decimal    `v:"confidence_weight"` // how much of a place's doubt is taken off what it can promise, 0 to 1
	RejectionCost     state.Decimal    `v:"rejection_cost"`    // of a rejection: counts with what a place's acceptance is below the usual
	AcceptanceFloor   state.Decimal    `v:"acceptance_floor"`  // places below it are not chosen
	DepletionAlerts   string           `v:"depletion_alerts"`  // which places tell of running out unasked: "online" (also if empty), "all" or "none"
	Rules             []AllocationRule `v:"rules"`
}

// AllocationRule forbids a place to an order, or makes a parcel from it dearer,
// where its condition holds.
type AllocationRule struct {
	Rule   string        `v:"rule"`   // named by decisions it shaped
	When   string        `v:"when"`   // a condition over order, line and place; see operators/rule
	Effect string        `v:"effect"` // forbid or cost
	Cost   state.Decimal `v:"cost"`   // per parcel, where the effect is cost
}

// Effects of an allocation rule.
const (
	EffectForbid = "forbid"
	EffectCost   = "cost"
)

// PoolRule forbids orders of some channel classes to draw on a pool.
type PoolRule struct {
	Rule     string   `v:"rule"` // named by decisions it shaped
	Pool     string   `v:"pool"`
	Channels []string `v:"channels"` // that may not draw on it
}

// OwnerRule forbids orders taken elsewhere to draw on an owner's stock.
type OwnerRule struct {
	Rule     string   `v:"rule"`
	Owner    string   `v:"owner"`
	Channels []string `v:"channels"` // that may not draw on it; empty: all but orders taken at the owner's own locations
}
