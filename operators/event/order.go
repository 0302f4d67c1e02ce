package event

import "anabranch.dev/state"

// ChannelClasses are the five closed channel classes.
var ChannelClasses = []string{"own_store", "franchise_store", "own_online", "marketplace", "social"}

// Identifier is a typed identifier of a person. Outside Value is what was
// typed or scanned; from the source on it is a keyed pseudonym.
type Identifier struct {
	Type          string `v:"type"`
	Value         string `v:"value"`
	Authenticated bool   `v:"authenticated"`
}

// Destination is where an order goes.
type Destination struct {
	Lat    state.Decimal `v:"lat"`
	Lon    state.Decimal `v:"lon"`
	Region string        `v:"region"`
}

// Line is one line of an order, sale or return.
type Line struct {
	Line      int64         `v:"line"` // from 1, unique in its document
	SKU       string        `v:"sku"`
	Quantity  int64         `v:"quantity"`
	UnitPrice state.Decimal `v:"unit_price"`
}

// OrderPlaced ("order.placed") asks for an allocation.
type OrderPlaced struct {
	Order        string       `v:"order"`
	Channel      string       `v:"channel"`  // a channel class
	Location     string       `v:"location"` // where it was taken
	Staff        string       `v:"staff"`
	Currency     string       `v:"currency"` // ISO 4217
	Customer     []Identifier `v:"customer"`
	PaymentToken string       `v:"payment_token"`
	Destination  *Destination `v:"destination"`
	PromisedBy   state.Time   `v:"promised_by"`
	Backorder    bool         `v:"backorder"` // lines may wait for dated supply
	Lines        []Line       `v:"lines"`
}

// OrderCancelled ("order.cancelled") takes back what is not shipped. Without
// lines the whole order is meant.
type OrderCancelled struct {
	Order    string `v:"order"`
	Document string `v:"document"` // the cancellation's own number, unique; empty: the order's only one
	Currency string `v:"currency"`
	Lines    []Line `v:"lines"`
}

// OrderShipped ("order.shipped") says that goods have left. Without lines all
// that is allocated and not shipped is meant.
type OrderShipped struct {
	Order    string `v:"order"`
	Document string `v:"document"` // the shipment's own number, unique; empty: the order's only one
	Location string `v:"location"` // where from; empty: wherever it was allocated
	Lines    []Line `v:"lines"`
}

// OrderRejected ("order.rejected") says that a location can't serve what was
// allocated to it. Without lines all that was allocated to it is meant.
type OrderRejected struct {
	Order    string `v:"order"`
	Document string `v:"document"`
	Location string `v:"location"`
	Reason   string `v:"reason"`
	Lines    []Line `v:"lines"`
}

// ReturnReceived ("return.received") says that goods came back, to any place
// that takes returns. Order is empty for a return without order.
type ReturnReceived struct {
	Order    string `v:"order"`
	Document string `v:"document"` // the return's own number, unique
	Channel  string `v:"channel"`
	Location string `v:"location"` // where it was received
	Pool     string `v:"pool"`     // empty: the location's first pool
	Currency string `v:"currency"`
	Lines    []Line `v:"lines"`
}
