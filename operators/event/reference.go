package event

import "anabranch.dev/state"

// Location ("location") describes a store, warehouse or web shop.
type Location struct {
	Location      string        `v:"location"`
	Owner         string        `v:"owner"` // empty: the retailer itself
	Kind          string        `v:"kind"`  // store, warehouse, web
	Format        string        `v:"format"`
	Channel       string        `v:"channel"` // a channel class
	Lat           state.Decimal `v:"lat"`
	Lon           state.Decimal `v:"lon"`
	Region        string        `v:"region"`
	City          string        `v:"city"`
	Tier          int64         `v:"tier"`
	Timezone      string        `v:"timezone"`
	Opens         string        `v:"opens"`
	Closes        string        `v:"closes"`
	DailyCapacity int64         `v:"daily_capacity"` // parcels a day, 0: not limited
	TakesReturns  bool          `v:"takes_returns"`
	HandlingCost  state.Decimal `v:"handling_cost"` // per unit
	ShippingCost  state.Decimal `v:"shipping_cost"` // per parcel, before distance
	Pools         []string      `v:"pools"`
	Deleted       bool          `v:"deleted"` // a null value on the topic
}

// Product ("product") describes an SKU.
type Product struct {
	SKU         string        `v:"sku"`
	GTIN        string        `v:"gtin"`
	Brand       string        `v:"brand"`
	Category    string        `v:"category"`
	Attributes  []Attribute   `v:"attributes"`
	Price       state.Decimal `v:"price"`
	Currency    string        `v:"currency"`
	ReturnDays  int64         `v:"return_days"`  // 0: the policy's default
	SafetyStock int64         `v:"safety_stock"` // per location and pool, never promised
	Deleted     bool          `v:"deleted"`
}

// Attribute is one named property of a product.
type Attribute struct {
	Name  string `v:"name"`
	Value string `v:"value"`
}

// Price ("price") is an SKU's price in a channel class for a time.
type Price struct {
	SKU      string        `v:"sku"`
	Channel  string        `v:"channel"`
	Price    state.Decimal `v:"price"`
	Currency string        `v:"currency"`
	From     state.Time    `v:"from"`
	Until    state.Time    `v:"until"`
	Deleted  bool          `v:"deleted"`
}

// Staff ("staff") describes an employee.
type Staff struct {
	Staff    string       `v:"staff"`
	Role     string       `v:"role"`
	Manager  string       `v:"manager"`
	Location string       `v:"location"`
	Own      []Identifier `v:"own"` // own devices and cards
	Deleted  bool         `v:"deleted"`
}
