package event

import "anabranch.dev/state"

// The protocol for everything scarce. A resource is an SKU's stock, or a
// location's capacity for one day. The order owns the saga: it asks, the
// resource answers; only the order's timer ever lets a grant go.
//
// An order has at most one open hold per resource and attempt: a request of a
// later round gives back what an earlier round was granted. Pools may be left
// empty in parts and mean the location's first pool; answers always name it.
// Quantities of parts are from 1 to 1,000,000.

// Unlimited is what a capacity without a limit answers as on hand and ATP.
const Unlimited int64 = 1 << 40

// AvailabilityAsked ("availability.asked", order → resource) asks what could be
// promised.
type AvailabilityAsked struct {
	Order    string `v:"order"`
	Attempt  int64  `v:"attempt"`
	Round    int64  `v:"round"`
	Resource string `v:"resource"` // the asked key itself
}

// AvailabilityAnswered ("availability.answered", resource → order).
type AvailabilityAnswered struct {
	Order    string      `v:"order"`
	Attempt  int64       `v:"attempt"`
	Round    int64       `v:"round"`
	Resource string      `v:"resource"`
	Fault    string      `v:"fault"` // code if the question could not be processed
	Places   []Available `v:"places"`
	Inbound  []Inbound   `v:"inbound"`
}

// Available is what one place of an SKU could promise. An answer names up to 512
// places by location and pool; of more, only those with something to promise.
//
// SafetyStock is all that is kept back of what is free: the safety stock, and
// what the policy takes off for lack of confidence.
//
// For a capacity it is one entry with an empty pool: OnHand is the limit,
// Withheld what has left already.
type Available struct {
	Location    string        `v:"location"`
	Pool        string        `v:"pool"`
	OnHand      int64         `v:"on_hand"`
	Reserved    int64         `v:"reserved"`
	Withheld    int64         `v:"withheld"`
	SafetyStock int64         `v:"safety_stock"`
	ATP         int64         `v:"atp"`
	Confidence  state.Decimal `v:"confidence"`
	Undecided   int64         `v:"undecided"` // of Reserved: held by orders that are still deciding
}

// Inbound is dated supply on its way to a place. An answer names the 64 earliest;
// the date may have passed if the goods are late.
type Inbound struct {
	Location string     `v:"location"`
	Pool     string     `v:"pool"`
	Quantity int64      `v:"quantity"`
	Arrives  state.Time `v:"arrives"`
}

// HoldPart is a quantity for one order line at one place.
type HoldPart struct {
	Line     int64  `v:"line"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"`
}

// HoldAsked ("hold.asked", order → resource) claims all parts or none. In round
// 1 it is granted or refused at once, with reason busy if others queue for one
// of its places. From round 2 it queues, first in, first out per place, behind
// undecided holds, and is refused, at once or when its turn comes, only if
// decided holds make it impossible. Asked again with the same attempt and round
// it is answered the same; once given back it is refused with reason released,
// for nothing is held for it any more. A final claim is the only one that its
// order waits for: the grant decides it.
type HoldAsked struct {
	Order    string     `v:"order"`
	Attempt  int64      `v:"attempt"`
	Round    int64      `v:"round"`
	Final    bool       `v:"final"`
	Resource string     `v:"resource"`
	Parts    []HoldPart `v:"parts"`
}

// HoldAnswered ("hold.answered", resource → order). Places carry the current
// availability when refused.
type HoldAnswered struct {
	Order    string      `v:"order"`
	Attempt  int64       `v:"attempt"`
	Round    int64       `v:"round"`
	Resource string      `v:"resource"`
	Granted  bool        `v:"granted"`
	Reason   string      `v:"reason"` // short, busy, released, fault:<code>
	Places   []Available `v:"places"`
}

// HoldDecided ("hold.decided", order → resource) turns a granted, undecided
// hold into a reservation. A shortfall that has come up since takes it back at
// once, see [ShortfallFound]. Again it does nothing; without a grant it is
// dead-lettered.
type HoldDecided struct {
	Order    string `v:"order"`
	Attempt  int64  `v:"attempt"`
	Round    int64  `v:"round"`
	Resource string `v:"resource"`
}

// HoldReleased ("hold.released", order → resource) gives a hold, or parts of
// it, back; without parts the whole of it, queued or granted. Round is that of
// the hold. What is not held, or no longer, is ignored. Each part counts once per
// order, attempt, round and number; without a number,
// always. Reason rejected lowers
// the places' confidence. Backorders hear at once of what a decided hold gives
// back, and within a minute of the rest.
type HoldReleased struct {
	Order    string     `v:"order"`
	Attempt  int64      `v:"attempt"`
	Round    int64      `v:"round"`
	Resource string     `v:"resource"`
	Reason   string     `v:"reason"` // replan, cancelled, rejected, shortfall, expired
	Number   int64      `v:"number"` // counts the order's releases from 1; 0 where all of the hold is given back
	Parts    []HoldPart `v:"parts"`
}

// HoldSettled ("hold.settled", order → resource) says that parts have left: what
// the attempt holds of them is no longer reserved, on hand falls, sold rises.
// Goods that were not reserved (any more) have left all the same. Each part
// counts once per order, attempt, document, line, location and pool.
type HoldSettled struct {
	Order    string     `v:"order"`
	Attempt  int64      `v:"attempt"`
	Resource string     `v:"resource"`
	Document string     `v:"document"`
	Parts    []HoldPart `v:"parts"`
}

// GoodsMoved ("goods.moved", receipt or order → SKU) is a physical movement
// outside a reservation: a sale at the till, or a return. It counts once per
// kind, document and line; without a document, always.
type GoodsMoved struct {
	SKU      string `v:"sku"`
	Kind     string `v:"kind"` // sale, return
	Document string `v:"document"`
	Line     int64  `v:"line"`
	Location string `v:"location"`
	Pool     string `v:"pool"` // empty: the location's first pool
	Quantity int64  `v:"quantity"`
}

// ShortfallFound ("shortfall.found", SKU → order) says that reserved goods are
// physically gone: the parts are no longer held and must be re-sourced. Only
// decided holds are taken back, the newest first, possibly a part of a line. It
// counts once per attempt, SKU and what is left.
type ShortfallFound struct {
	Order   string     `v:"order"`
	Attempt int64      `v:"attempt"`
	SKU     string     `v:"sku"`
	Left    int64      `v:"left"` // units that the attempt still holds: fewer each time
	Parts   []HoldPart `v:"parts"`
}

// BackorderAsked ("backorder.asked", order → SKU) waits for supply, first come,
// first served; quantity 0 withdraws it, another quantity replaces it.
type BackorderAsked struct {
	Order    string `v:"order"`
	SKU      string `v:"sku"`
	Line     int64  `v:"line"`
	Quantity int64  `v:"quantity"`
}

// BackorderReady ("backorder.ready", SKU → order) says that supply has come; the
// order starts its next attempt. The line no longer waits then; if the supply
// did not suffice the order asks again, within a day without losing its turn.
type BackorderReady struct {
	Order string `v:"order"`
	SKU   string `v:"sku"`
	Line  int64  `v:"line"`
}

// TotalsAdded ("totals.added", key currency) adds to the totals of a currency.
type TotalsAdded struct {
	Currency  string        `v:"currency"`
	Outcome   string        `v:"outcome"` // ordered, allocated, backordered, failed, shipped, cancelled, returned, sold, released
	Documents int64         `v:"documents"`
	Lines     int64         `v:"lines"`
	Units     int64         `v:"units"`
	Amount    state.Decimal `v:"amount"` // Σ quantity × unit price
}
