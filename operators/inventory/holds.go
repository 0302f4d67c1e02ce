package inventory

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
)

// Limit implements [hold.Resource].
func (s *sheet) Limit(p hold.Place) int64 { return s.rules.limit(&s.shelf(p).row) }

// Marks implements [hold.Resource].
func (s *sheet) Marks(p hold.Place) *hold.Marks { return &s.shelf(p).row.Marks }

// Answer implements [hold.Resource]. A refusal says what could be promised now.
func (s *sheet) Answer(claim *hold.Claim, granted bool, reason string) {
	a := &event.HoldAnswered{Order: claim.Order, Attempt: claim.Attempt, Round: claim.Round,
		Resource: s.c.Key(), Granted: granted, Reason: reason}
	if !granted {
		a.Places = s.available()
	}
	s.o.HoldAnswered.Emit(s.c, claim.Order, a)
}

// MaxPlaces is how many places an answer names; beyond it only places with
// something to promise are named.
const MaxPlaces = 512

// available lists what could be promised where, by location and pool.
func (s *sheet) available() []event.Available {
	rows := s.all()
	all := make([]event.Available, len(rows))
	for i, row := range rows {
		all[i] = event.Available{Location: row.Location, Pool: row.Pool, OnHand: row.OnHand,
			Reserved: row.Marks.Reserved, Withheld: row.Withheld, SafetyStock: s.rules.keptBack(row),
			ATP: s.rules.atp(row), Confidence: row.Confidence(), Undecided: row.Marks.Undecided}
	}
	if len(all) <= MaxPlaces {
		return all
	}
	some := make([]event.Available, 0, MaxPlaces)
	for _, a := range all {
		if a.ATP > 0 && len(some) < MaxPlaces {
			some = append(some, a)
		}
	}
	return some
}

func (o *Operator) asked(c operators.Context, e *event.AvailabilityAsked) error {
	o.Answered.Emit(c, e.Order, &event.AvailabilityAnswered{Order: e.Order, Attempt: e.Attempt, Round: e.Round,
		Resource: c.Key(), Places: o.look(c).available(), Inbound: o.comingIn(c)})
	return nil
}

func (o *Operator) holdAsked(c operators.Context, e *event.HoldAsked) error {
	s := o.open(c)
	ask := *e
	ask.Parts = s.resolve(e.Parts)
	if err := o.book.Ask(c, s, &ask); err != nil {
		return err
	}
	return s.close()
}

func (o *Operator) holdDecided(c operators.Context, e *event.HoldDecided) error {
	s := o.open(c)
	if err := o.book.Decide(c, s, e); err != nil {
		return err
	}
	return s.close()
}

// holdReleased gives a hold back. What a decided reservation gives back is
// supply like any other; what an order lets go while it is still looking is not
// at once, or orders that can't use it would wake each other for ever.
func (o *Operator) holdReleased(c operators.Context, e *event.HoldReleased) error {
	s := o.open(c)
	release := *e
	release.Parts = s.resolve(e.Parts)
	if e.Number > 0 && !s.first("released", e.Order, strconv.FormatInt(e.Attempt, 10), strconv.FormatInt(e.Round, 10), strconv.FormatInt(e.Number, 10)) {
		return operators.ErrDuplicate
	}
	given, decided := o.book.Release(c, s, &release)
	if !decided || e.Reason == ReasonReplan {
		s.replan = true
	}
	if e.Reason == ReasonRejected {
		s.rejected(given)
	}
	return s.close()
}

// Reasons of a release that the stock hears.
const (
	ReasonRejected = "rejected" // by a place that can't find the goods
	ReasonReplan   = "replan"   // by an order that is still looking, or has found something else
)

// rejected lowers the confidence of places that could not find what they hold.
func (s *sheet) rejected(given []event.HoldPart) {
	for i, p := range given {
		sh := s.shelf(hold.Place{Location: p.Location, Pool: p.Pool})
		units, again := int64(0), false
		for j, q := range given {
			if q.Location == p.Location && q.Pool == p.Pool {
				units += q.Quantity
				again = again || j < i
			}
		}
		if again {
			continue
		}
		if sh.row.Discrepant {
			s.doubt(sh)
		}
		s.discrepancy(sh, sh.row.OnHand, max(0, sh.row.OnHand-units), "")
	}
}

// holdSettled books goods that have left for an order, whether they were
// reserved or not. A repeat of the same document and part is ignored.
func (o *Operator) holdSettled(c operators.Context, e *event.HoldSettled) error {
	for _, p := range e.Parts {
		if err := checkMoved(p.Location, p.Quantity); err != nil {
			return err
		}
	}
	s := o.open(c)
	parts := make([]event.HoldPart, 0, len(e.Parts))
	for _, p := range s.resolve(e.Parts) {
		if s.first("settled", hold.Key(e.Order, strconv.FormatInt(e.Attempt, 10), e.Document),
			strconv.FormatInt(p.Line, 10), p.Location, p.Pool) {
			parts = append(parts, p)
		}
	}
	o.book.Settle(c, s, e.Order, e.Attempt, parts)
	for _, p := range parts {
		sh := s.shelf(hold.Place{Location: p.Location, Pool: p.Pool})
		s.book(sh, &s.accounts.Sold, -p.Quantity, c.EventTime())
	}
	return s.close()
}

// resolve names the pools of parts that name none.
func (s *sheet) resolve(parts []event.HoldPart) []event.HoldPart {
	for i := range parts {
		if parts[i].Pool != "" {
			continue
		}
		named := append([]event.HoldPart(nil), parts...)
		for j := range named {
			named[j].Pool = s.o.at(s.c, named[j].Location, named[j].Pool).Pool
		}
		return named
	}
	return parts
}

// reclaim takes reservations back, the newest first, where less is on hand than
// is reserved.
func (s *sheet) reclaim() {
	budget := hold.MaxAnswers
	for i := 0; i < len(s.shelves); i++ {
		sh := s.shelves[i]
		short := sh.row.Marks.Reserved - sh.row.OnHand
		if short <= 0 {
			continue
		}
		if budget, short = s.o.book.Reclaim(s.c, s, sh.at, short, budget, s.lost); budget == 0 && short > 0 {
			sh.more = true
		}
	}
}

func (s *sheet) lost(claim *hold.Claim, parts []event.HoldPart) {
	s.o.Shortfall.Emit(s.c, claim.Order, &event.ShortfallFound{Order: claim.Order, Attempt: claim.Attempt,
		SKU: s.c.Key(), Left: units(claim.Parts) - units(parts), Parts: parts})
}

func units(parts []event.HoldPart) (n int64) {
	for i := range parts {
		n += parts[i].Quantity
	}
	return n
}

// wake answers waiting claims wherever something changed.
func (s *sheet) wake() {
	budget := hold.MaxAnswers
	for i := 0; i < len(s.shelves); i++ {
		if sh := s.shelves[i]; sh.row.Marks.Queued > 0 {
			if budget = s.o.book.Wake(s.c, s, sh.at, budget); budget == 0 {
				sh.more = sh.row.Marks.Queued > 0
			}
		}
	}
}
