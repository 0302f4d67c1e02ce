package allocation

import (
	"strconv"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// States of an order.
const (
	Starting  = "starting"  // an attempt is about to begin
	Asking    = "asking"    // waits for SKUs to say what could be promised
	Measuring = "measuring" // waits for capacities of the places in question
	Holding   = "holding"   // waits for claims to be granted
	Decided   = "decided"   // nothing is open
)

// Head is what is known of an order as a whole.
type Head struct {
	State       string             `v:"state"`
	Channel     string             `v:"channel"`
	Location    string             `v:"location"`
	Staff       string             `v:"staff"`
	Currency    string             `v:"currency"`
	Destination *event.Destination `v:"destination"`
	PromisedBy  state.Time         `v:"promised_by"`
	Backorder   bool               `v:"backorder"`
	Placed      state.Time         `v:"placed"` // event time
	Lines       int64              `v:"lines"`
	Attempt     int64              `v:"attempt"`
	Round       int64              `v:"round"`
	Pending     int64              `v:"pending"` // answers that are still out
	Refused     int64              `v:"refused"` // refusals in this round
	Started     state.Time         `v:"started"` // log time of the attempt: the day whose capacity it takes
	Request     string             `v:"request"` // API command that waits for the first decision
	Reserved    int64              `v:"reserved"`
	Expiry      state.Time         `v:"expiry"`   // when the next reservations may expire, 0 for none
	Small       *Small             `v:"small"`    // nil: lines, demands and resources have rows of their own
	Known       bool               `v:"known"`    // the customer has left an identifier
	Releases    int64              `v:"releases"` // of parts of claims, so far
	Policy      int64              `v:"policy"`   // version that the attempt is made under, from when it knows its supply

	own ownership // what of Small this copy may write to
}

// Line is one line of an order. Its units are always somewhere:
// Quantity = Waiting + Backordered + Failed + Cancelled + Expired + Shipped +
// Σ Parts.Quantity.
type Line struct {
	Line        int64          `v:"line"`
	SKU         string         `v:"sku"`
	Quantity    int64          `v:"quantity"` // ordered
	UnitPrice   state.Decimal  `v:"unit_price"`
	Waiting     int64          `v:"waiting"` // the running attempt decides about them
	Backordered int64          `v:"backordered"`
	Failed      int64          `v:"failed"`
	Cancelled   int64          `v:"cancelled"`
	Expired     int64          `v:"expired"`
	Shipped     int64          `v:"shipped"`
	Returned    int64          `v:"returned"`   // of those shipped
	ShippedAt   state.Time     `v:"shipped_at"` // event time of the last shipment
	Parts       []ReservedPart `v:"parts"`
}

// ReservedPart is a reservation for one line: which claim holds how much.
type ReservedPart struct {
	Attempt  int64      `v:"attempt"`
	Round    int64      `v:"round"`
	Location string     `v:"location"`
	Pool     string     `v:"pool"`
	Quantity int64      `v:"quantity"`
	Expires  state.Time `v:"expires"`
}

// Reserved is how many units of the line are reserved.
func (l *Line) Reserved() int64 {
	var n int64
	for i := range l.Parts {
		n += l.Parts[i].Quantity
	}
	return n
}

// Accounted is the sum that always equals Quantity.
func (l *Line) Accounted() int64 {
	return l.Waiting + l.Backordered + l.Failed + l.Cancelled + l.Expired + l.Shipped + l.Reserved()
}

// Demand is what the running attempt wants for one line, and what is claimed
// for it in this round.
type Demand struct {
	SKU      string       `v:"sku"`
	Line     int64        `v:"line"`
	Quantity int64        `v:"quantity"`
	Waited   bool         `v:"waited"` // was backordered
	Parts    []event.Part `v:"parts"`
}

// States of a resource in the running attempt.
const (
	resourceAsked    = "asked"
	resourceKnown    = "known"    // its availability is known, nothing is claimed
	resourceClaimed  = "claimed"  // this round's claim is out
	resourceGranted  = "granted"  // this round's claim is granted
	resourceRefused  = "refused"  // this round's claim is refused
	resourceUnusable = "unusable" // it can't answer
)

// Resource is an SKU, or a place's capacity, in the running attempt.
type Resource struct {
	Key     string            `v:"key"` // kind and key
	State   string            `v:"state"`
	Round   int64             `v:"round"` // of its claim
	Final   bool              `v:"final"` // it is the only claim: the grant has decided it
	Fault   string            `v:"fault"`
	Places  []event.Available `v:"places"`
	Inbound []event.Inbound   `v:"inbound"`
}

// Plan is the running round's plan as [facts].
type Plan struct {
	Facts []byte `v:"facts"`
}

// Parcel is what one place of limited capacity sends for one attempt: it
// occupies one unit of the place's capacity for a day.
type Parcel struct {
	Attempt  int64  `v:"attempt"`
	Capacity string `v:"capacity"` // resource key
	Round    int64  `v:"round"`
	Reserved int64  `v:"reserved"` // units not shipped yet
	Shipped  bool   `v:"shipped"`
}

// Rejection says that a place could not serve this order.
type Rejection struct {
	Attempt int64  `v:"attempt"`
	Reason  string `v:"reason"`
}

// Document is a business key that has been used: a cancellation, a shipment, a
// rejection or a return.
type Document struct {
	Time state.Time `v:"time"`
}

// Parked is an event that can't be applied yet: its order has not come, or has
// a saga running. Its lines are spread over rows of at most [parkedLines].
type Parked struct {
	Kind     string           `v:"kind"`
	Told     bool             `v:"told"` // the order has been told to apply it
	Time     state.Time       `v:"time"` // event time
	Document string           `v:"document"`
	Location string           `v:"location"`
	Pool     string           `v:"pool"`
	Channel  string           `v:"channel"`
	Reason   string           `v:"reason"`
	Currency string           `v:"currency"`
	Attempt  int64            `v:"attempt"`
	SKU      string           `v:"sku"`
	Lines    []event.Line     `v:"lines"`
	Parts    []event.HoldPart `v:"parts"`
}

// Resumed ("event.resumed") tells an order to go on: with what it has parked, or
// with what was too much for one call.
type Resumed struct {
	Row string `v:"row"` // a parked event, or one of the two below
}

// What else an order goes on with.
const (
	resumeRest  = ""      // asking for backorders and telling itself what is parked
	resumeBegin = "begin" // the next attempt
)

// Row keys. Numbers have a fixed width so that rows are in their order.
const (
	rowHead = "head"
	rowPlan = "plan"

	kindStock    = "1/" // resources are asked in row order: stock first,
	kindCapacity = "2/" // then capacities
)

func lineRow(line int64) string { return fixed(line, 10) }

func demandRow(sku string, line int64) string { return demandPrefix(sku) + lineRow(line) }

// demandPrefix ends in a zero byte, which no SKU contains, so that the lines of
// an SKU stand together and in order.
func demandPrefix(sku string) string { return sku + "\x00" }

func parcelRow(attempt int64, location string) string { return fixed(attempt, 6) + "/" + location }

func documentRow(kind, document string) string { return kind + "/" + document }

func explanationRow(attempt, chunk int64) string { return fixed(attempt, 6) + "/" + fixed(chunk, 6) }

// fixed is n with leading zeros up to width digits.
func fixed(n int64, width int) string {
	var b [20]byte
	s := strconv.AppendInt(b[:0], n, 10)
	if len(s) >= width {
		return string(s)
	}
	return "00000000000000000000"[:width-len(s)] + string(s)
}
