package inventory

import (
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// Shelf is the row of one location and pool.
type Shelf struct {
	Location   string        `v:"location"`
	Pool       string        `v:"pool"`
	OnHand     int64         `v:"on_hand"`
	Withheld   int64         `v:"withheld"`
	InTransit  int64         `v:"in_transit"` // on its way here
	Marks      hold.Marks    `v:"marks"`
	Doubt      state.Decimal `v:"doubt"`      // confidence is one minus it
	Discrepant bool          `v:"discrepant"` // a discrepancy is open and was alerted
	// Counted and CountDocument name the last count in event time, Difference
	// what it found more than the book had for its time, or less.
	Counted       state.Time `v:"counted"`
	CountDocument string     `v:"count_document"`
	Difference    int64      `v:"difference"`
	// Moved is the latest event time of a movement.
	Moved state.Time `v:"moved"`
	// Found is how many units were booked as found because the shelf could
	// not have had them, FoundAt the latest event time of such a movement. A
	// receipt that arrives late takes them back.
	Found   int64      `v:"found"`
	FoundAt state.Time `v:"found_at"`
}

// Confidence is how far the book is to be trusted.
func (s *Shelf) Confidence() state.Decimal { return state.One - s.Doubt }

// Movement is what one shelf gained or lost at one event time, without what was
// booked as found.
type Movement struct {
	Delta int64 `v:"delta"`
	Found int64 `v:"found"` // booked as found at this time, for the shelf could not have it
}

// Accounts are the balances of an SKU's ledger over all locations. They sum to
// zero. Supplier and Found fall below zero as goods come from there.
type Accounts struct {
	Supplier  int64 `v:"supplier"`
	OnHand    int64 `v:"on_hand"`
	InTransit int64 `v:"in_transit"`
	Sold      int64 `v:"sold"`
	Returned  int64 `v:"returned"` // come back, not inspected yet
	Shrink    int64 `v:"shrink"`
	Found     int64 `v:"found"`
}

// Sum is zero in every ledger that is right.
func (a *Accounts) Sum() int64 {
	return a.Supplier + a.OnHand + a.InTransit + a.Sold + a.Returned + a.Shrink + a.Found
}

// Document is the tombstone of a document number that was applied.
type Document struct {
	Time state.Time `v:"time"`
}

// Transfer is goods between two places, by the transfer's document number. One
// that was received before it was sent is not Known yet.
type Transfer struct {
	Document string     `v:"document"`
	Known    bool       `v:"known"`
	Location string     `v:"location"` // where to
	Pool     string     `v:"pool"`
	Sent     int64      `v:"sent"`
	Received int64      `v:"received"`
	Excess   int64      `v:"excess"` // received beyond what was sent, booked as found
	Arrives  state.Time `v:"arrives"`
}

// Coming is how much of a transfer is still to come.
func (t *Transfer) Coming() int64 {
	if !t.Known {
		return 0
	}
	return max(0, t.Sent-t.Received)
}

// Inbound leads from an arrival time to a transfer that is on its way.
type Inbound struct {
	Document string `v:"document"`
}

// Backorder is an order line that waits for supply.
type Backorder struct {
	Order    string `v:"order"`
	Line     int64  `v:"line"`
	Quantity int64  `v:"quantity"`
	Number   uint64 `v:"number"` // its turn
}

// Turn leads from a backorder's number to it.
type Turn struct {
	Backorder string `v:"backorder"`
}

// Woken remembers the turn of a backorder that was told of supply, so that it
// keeps its turn if the supply did not suffice.
type Woken struct {
	Number uint64 `v:"number"`
}

// Backlog is the state of the backorders' queue.
type Backlog struct {
	Last   uint64     `v:"last"`   // number given last
	Served uint64     `v:"served"` // told of the present supply up to this number
	Retry  state.Time `v:"retry"`  // when the queue is looked at again
}

// Condition is what an alert has told of and has not ended yet.
type Condition struct {
	Since state.Time `v:"since"` // log time
}

// Asker is a customer who asked for the SKU on a day and could not have it.
// Asking again on that day is the same wish: the earliest counts, at the first
// location by name if two are equally early.
type Asker struct {
	Location string     `v:"location"`
	Time     state.Time `v:"time"` // event time
	Units    int64      `v:"units"`
}

// Unmet is the unmet demand of one day at one location.
type Unmet struct {
	Location  string `v:"location"`
	Day       string `v:"day"`       // the location's calendar day, as 2026-11-20
	Customers int64  `v:"customers"` // known ones, each once
	Anonymous int64  `v:"anonymous"` // times that nobody known asked
	Units     int64  `v:"units"`
}
