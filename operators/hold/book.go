package hold

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Place is one place of a resource.
type Place struct{ Location, Pool string }

// Marks are what claims have put on one place. The operator keeps them in its
// row of the place.
type Marks struct {
	Reserved  int64 `v:"reserved"`  // units granted, decided or not
	Undecided int64 `v:"undecided"` // units of these that are not decided yet
	Queued    int64 `v:"queued"`    // claims that wait here
	Last      int64 `v:"last"`      // number given last to a claim on this place
}

// Resource is what a [Book] is about, during one call.
type Resource interface {
	// Limit is how many units of a place may be reserved at all.
	Limit(p Place) int64
	// Marks gives the place's marks to read and to change.
	Marks(p Place) *Marks
	// Answer tells the order of a claim what has become of it.
	Answer(claim *Claim, granted bool, reason string)
}

// Claim states.
const (
	Queued  = "queued"
	Granted = "granted" // reserved, the order has not decided yet
	Decided = "decided" // reserved until released or settled
)

// Reasons of a refusal.
const (
	Short    = "short"    // not enough to promise
	Busy     = "busy"     // others wait for it: ask again in the next round
	Released = "released" // the order has given this claim back
)

// Claim is what one attempt of an order asks for or holds.
type Claim struct {
	Order   string           `v:"order"`
	Attempt int64            `v:"attempt"`
	Round   int64            `v:"round"`
	State   string           `v:"state"`
	Final   bool             `v:"final"`  // decided when it is granted
	Number  int64            `v:"number"` // position in the queues, or in the order of decisions, at its places
	Parts   []event.HoldPart `v:"parts"`
}

// Closed remembers a claim that was refused or has ended.
type Closed struct {
	Reason string `v:"reason"`
}

// Pointer leads from an index to a claim.
type Pointer struct {
	Claim string `v:"claim"`
}

// Limits of a book.
const (
	// MaxClaims is how many claims can be open on one resource.
	MaxClaims = 1 << 20
	// MaxAnswers is how many waiting claims one call answers, and from how
	// many orders it takes reservations back.
	MaxAnswers = 256
	// Remembered is how long a refused or ended claim is known, so that it
	// is never granted again.
	Remembered = 2 * state.Day
)

// Codes of rejected events.
const (
	CodePartInvalid = "part_invalid" // no parts, or a quantity that makes no sense
	CodeHoldUnknown = "hold_unknown" // decided, but never granted
	CodeRoundPassed = "round_passed" // an earlier round than the one that stands
)

// MaxQuantity is the largest quantity of one part.
const MaxQuantity = 1_000_000

// Book keeps the claims on one resource.
type Book struct {
	claims  operators.Table[Claim]   // by order and attempt
	closed  operators.Table[Closed]  // by order, attempt and round
	queue   operators.Table[Pointer] // by place and number, oldest first
	decided operators.Table[Pointer] // by place and number, newest first
}

// Declare adds the book's tables to an operator's declaration.
func (b *Book) Declare(d *operators.Declaration) {
	b.claims = operators.Keeps[Claim](d, "claims", operators.MaxRows(MaxClaims))
	b.closed = operators.Keeps[Closed](d, "closed_claims", operators.Lifetime(Remembered))
	b.queue = operators.Keeps[Pointer](d, "claim_queue", operators.MaxRows(MaxClaims))
	b.decided = operators.Keeps[Pointer](d, "decided_claims", operators.MaxRows(MaxClaims))
}

// Open visits the open claims in row order until fn returns false.
func (b *Book) Open(r operators.Reader, fn func(claim *Claim) bool) {
	b.claims.Scan(r, "", func(_ string, claim *Claim) bool { return fn(claim) })
}

// Count is the number of open claims.
func (b *Book) Count(r operators.Reader) int { return b.claims.Count(r) }

// Ask grants, queues or refuses a claim. Asking again with the same order,
// attempt and round repeats the answer, except that a claim given back since is
// refused: nothing is held for it. A later round replaces an earlier one.
func (b *Book) Ask(c operators.Context, r Resource, e *event.HoldAsked) error {
	if err := checkParts(e.Parts); err != nil {
		return err
	}
	claim := &Claim{Order: e.Order, Attempt: e.Attempt, Round: e.Round, Final: e.Final, Parts: e.Parts}
	if old, known := b.closed.Get(c, closedKey(claim.Order, claim.Attempt, claim.Round)); known {
		r.Answer(claim, false, old.Reason)
		return nil
	}
	if old, open := b.claims.Get(c, claimKey(e.Order, e.Attempt)); open {
		switch {
		case old.Round == e.Round && old.State == Queued:
			return nil // the answer follows when its turn comes
		case old.Round == e.Round:
			r.Answer(&old, true, "")
			return nil
		case old.Round > e.Round || old.State == Decided:
			return operators.Rejectf(CodeRoundPassed, "order %s attempt %d: round %d after round %d", e.Order, e.Attempt, e.Round, old.Round)
		}
		b.end(c, r, &old)
	}
	b.place(c, r, claim)
	return nil
}

// place finds a new claim its place: granted, queued or refused.
func (b *Book) place(c operators.Context, r Resource, claim *Claim) {
	var buf [2]sum
	sums := sumParts(buf[:0], claim.Parts)
	fits, possible, waited := true, true, false
	for _, s := range sums {
		m, limit := r.Marks(s.at), r.Limit(s.at)
		fits = fits && s.units <= limit-m.Reserved
		possible = possible && s.units <= limit-(m.Reserved-m.Undecided)
		waited = waited || m.Queued > 0
	}
	switch {
	case claim.Round > 1 && !possible:
		b.refuse(c, r, claim, Short)
	case claim.Round <= 1 && waited:
		b.refuse(c, r, claim, Busy)
	case fits && !waited:
		b.grant(c, r, claim, sums)
	case claim.Round > 1:
		b.enqueue(c, r, claim, sums)
	default:
		b.refuse(c, r, claim, Short)
	}
}

func (b *Book) grant(c operators.Context, r Resource, claim *Claim, sums []sum) {
	for _, s := range sums {
		m := r.Marks(s.at)
		m.Reserved += s.units
		m.Undecided += s.units
		if m.Reserved > r.Limit(s.at) {
			panic("hold: granted above the limit")
		}
	}
	key := claimKey(claim.Order, claim.Attempt)
	if claim.State = Granted; claim.Final {
		b.decide(c, r, claim, key, sums)
	}
	b.claims.Set(c, key, *claim)
	r.Answer(claim, true, "")
}

// decide makes a reservation of a granted claim.
func (b *Book) decide(c operators.Context, r Resource, claim *Claim, key string, sums []sum) {
	claim.State, claim.Number = Decided, next(r, sums)
	for _, s := range sums {
		r.Marks(s.at).Undecided -= s.units
		b.decided.Set(c, decidedKey(s.at, claim.Number), Pointer{Claim: key})
	}
}

func (b *Book) refuse(c operators.Context, r Resource, claim *Claim, reason string) {
	b.closed.Set(c, closedKey(claim.Order, claim.Attempt, claim.Round), Closed{Reason: reason})
	r.Answer(claim, false, reason)
}

// Decide turns a grant into a reservation. Deciding twice does nothing, nor
// does deciding what has ended since.
func (b *Book) Decide(c operators.Context, r Resource, e *event.HoldDecided) error {
	key := claimKey(e.Order, e.Attempt)
	claim, open := b.claims.Get(c, key)
	if open && claim.Round == e.Round && claim.State == Decided {
		return nil
	}
	if !open || claim.Round != e.Round || claim.State != Granted {
		if old, known := b.closed.Get(c, closedKey(e.Order, e.Attempt, e.Round)); known && old.Reason == Released {
			return nil
		}
		return operators.Rejectf(CodeHoldUnknown, "order %s attempt %d round %d: nothing granted", e.Order, e.Attempt, e.Round)
	}
	var buf [2]sum
	b.decide(c, r, &claim, key, sumParts(buf[:0], claim.Parts))
	b.claims.Set(c, key, claim)
	return nil
}

// next numbers a claim after all that were numbered at any of its places.
func next(r Resource, sums []sum) int64 {
	last := int64(0)
	for _, s := range sums {
		last = max(last, r.Marks(s.at).Last)
	}
	for _, s := range sums {
		r.Marks(s.at).Last = last + 1
	}
	return last + 1
}

// sum is what a claim asks for at one place over all its lines.
type sum struct {
	at    Place
	units int64
}

// sumParts appends to sums, which is empty.
func sumParts(sums []sum, parts []event.HoldPart) []sum {
next:
	for _, p := range parts {
		at := Place{p.Location, p.Pool}
		for i := range sums {
			if sums[i].at == at {
				sums[i].units += p.Quantity
				continue next
			}
		}
		sums = append(sums, sum{at, p.Quantity})
	}
	return sums
}

func checkParts(parts []event.HoldPart) error {
	if len(parts) == 0 {
		return operators.Rejectf(CodePartInvalid, "a hold without parts")
	}
	for _, p := range parts {
		if p.Quantity <= 0 || p.Quantity > MaxQuantity {
			return operators.Rejectf(CodePartInvalid, "line %d: quantity %d", p.Line, p.Quantity)
		}
	}
	return nil
}

// usualKey is room for most row keys.
const usualKey = 96

func claimKey(order string, attempt int64) string {
	b := appendPart(make([]byte, 0, usualKey), order)
	return string(append(strconv.AppendInt(b, attempt, 10), 0))
}

func closedKey(order string, attempt, round int64) string {
	b := appendPart(make([]byte, 0, usualKey), order)
	b = append(strconv.AppendInt(b, attempt, 10), 0)
	return string(append(strconv.AppendInt(b, round, 10), 0))
}

func queueKey(at Place, number int64) string {
	return string(appendNumber(at.append(make([]byte, 0, usualKey)), uint64(number)))
}

func decidedKey(at Place, number int64) string {
	return string(appendNumber(at.append(make([]byte, 0, usualKey)), ^uint64(number)))
}
