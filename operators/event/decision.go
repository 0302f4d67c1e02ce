package event

import "anabranch.dev/state"

// AllocationDecided goes out as "allocation.decided", or "allocation.failed"
// when no line could be allocated or backordered.
type AllocationDecided struct {
	Order     string        `v:"order"`
	Attempt   int64         `v:"attempt"` // from 1; a rejection or shortfall starts the next
	Lines     []DecidedLine `v:"lines"`
	Origin    Origin        `v:"origin"`
	Cost      Cost          `v:"cost"`
	Because   string        `v:"because"`
	Candidate int64         `v:"candidates"` // plans that were compared
	Policy    PolicyRef     `v:"policy"`
}

// DecidedLine is the outcome for one line. Quantities of parts sum to what is
// allocated.
type DecidedLine struct {
	Line     int64  `v:"line"`
	SKU      string `v:"sku"`
	Quantity int64  `v:"quantity"` // what this attempt decides about
	Outcome  string `v:"outcome"`  // allocated, backordered, failed
	Reason   string `v:"reason"`   // why not allocated
	Parts    []Part `v:"parts"`
}

// Outcomes of a line.
const (
	Allocated   = "allocated"
	Backordered = "backordered"
	Failed      = "failed"
)

// Part is a quantity from one place.
type Part struct {
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"`
}

// Origin is where an order was taken.
type Origin struct {
	Channel  string `v:"channel"`
	Location string `v:"location"`
	Staff    string `v:"staff"`
}

// Cost is a plan's cost by term.
type Cost struct {
	Currency string        `v:"currency"`
	Total    state.Decimal `v:"total"`
	Terms    CostTerms     `v:"terms"`
}

// CostTerms are the terms of a plan's cost; markdown is subtracted.
type CostTerms struct {
	Shipping    state.Decimal `v:"shipping"`
	Handling    state.Decimal `v:"handling"`
	Split       state.Decimal `v:"split"`
	Capacity    state.Decimal `v:"capacity"`
	Opportunity state.Decimal `v:"opportunity"` // bid prices; 0 until they are published
	Markdown    state.Decimal `v:"markdown"`
	Acceptance  state.Decimal `v:"acceptance"` // what the places' rejections are expected to cost
	Rules       state.Decimal `v:"rules"`      // what rules of the policy add
}

// PolicyRef names the version of a policy that shaped a decision.
type PolicyRef struct {
	Name    string `v:"name"`
	Version int64  `v:"version"`
}

// AllocationReleased ("allocation.released") takes an earlier allocation back.
type AllocationReleased struct {
	Order   string         `v:"order"`
	Attempt int64          `v:"attempt"` // the attempt whose allocation is released
	Reason  string         `v:"reason"`  // cancelled, rejected, shortfall, expired
	Lines   []ReleasedLine `v:"lines"`
}

// ReleasedLine is what is released of one line.
type ReleasedLine struct {
	Line  int64  `v:"line"`
	SKU   string `v:"sku"`
	Parts []Part `v:"parts"`
}

// StockLevel ("stock.level", compacted, key sku/location/pool) is the current
// stock of one SKU at one place and pool.
type StockLevel struct {
	SKU         string        `v:"sku"`
	Location    string        `v:"location"`
	Pool        string        `v:"pool"`
	OnHand      int64         `v:"on_hand"`
	Reserved    int64         `v:"reserved"`
	Withheld    int64         `v:"withheld"`
	InTransit   int64         `v:"in_transit"`
	SafetyStock int64         `v:"safety_stock"`
	ATP         int64         `v:"atp"`
	Confidence  state.Decimal `v:"confidence"`
}

// Kinds of stock alerts.
const (
	AlertDiscrepancy = "discrepancy"  // book and reality differ
	AlertOutOfStock  = "out_of_stock" // nothing to promise here, but elsewhere
	AlertBelowSafety = "below_safety" // what is free has fallen below the safety stock
)

// StockAlert ("stock.alert") says that somebody should look at one SKU at one
// place and pool. Which fields mean something depends on the kind.
type StockAlert struct {
	Kind        string       `v:"kind"`
	SKU         string       `v:"sku"`
	Location    string       `v:"location"`
	Pool        string       `v:"pool"`
	Expected    int64        `v:"expected"` // discrepancy: what the book said
	Found       int64        `v:"found"`    // discrepancy: what reality said
	Document    string       `v:"document"`
	Here        int64        `v:"here"`         // units that are free here
	SafetyStock int64        `v:"safety_stock"` // below safety
	Elsewhere   int64        `v:"elsewhere"`    // out of stock: units to promise at other places and pools
	Places      []StockThere `v:"places"`       // out of stock: those that have most, at most 16
	Staff       string       `v:"staff"`        // who asked
}

// StockThere is a place and pool that has what another one lacks.
type StockThere struct {
	Location string `v:"location"`
	Pool     string `v:"pool"`
	ATP      int64  `v:"atp"`
}
