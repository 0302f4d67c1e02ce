package inventory

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// counted sets what is on hand to the count plus the movements after it. The
// difference to the book goes to shrink or found. A count that is older than
// the last one says nothing new; of two at the same time the one with the
// greater document number stands.
func (o *Operator) counted(c operators.Context, e *event.StockCounted) error {
	if err := checkPlace(e.Location); err != nil {
		return err
	}
	if e.Quantity < 0 || e.Quantity > MaxQuantity {
		return quantityInvalid(e.Quantity)
	}
	s := o.open(c)
	if !s.first("counted", e.Document, e.Location, e.Pool) {
		return operators.ErrDuplicate
	}
	sh := s.find(e.Location, e.Pool)
	at := c.EventTime()
	last := &sh.row
	if last.Counted != 0 && (at < last.Counted || at == last.Counted && e.Document < last.CountDocument) {
		return s.close()
	}
	if at < last.Moved && at < c.LogTime()-MovementsKept+clockSlack {
		return operators.Rejectf(operators.CodeLate, "count of %s at %s: movements since then are no longer known", sh.at.Location, at)
	}
	s.count(sh, e.Quantity, at, e.Document)
	return s.close()
}

func (s *sheet) count(sh *shelf, counted int64, at state.Time, document string) {
	opening := sh.row.Counted == 0 && sh.row.Moved == 0
	onHand, found, foundBefore, foundAt := s.replay(sh, counted, at)
	change := onHand - sh.row.OnHand
	s.accounts.OnHand += change
	// Part of the change is that other movements could not have been than
	// the book had thought; the rest is what the count itself found.
	s.accounts.Found -= found - foundBefore
	difference := change - (found - foundBefore)
	if difference > 0 {
		s.accounts.Found -= difference
	} else {
		s.accounts.Shrink -= difference
	}
	row := &sh.row
	row.OnHand, row.Found, row.FoundAt = onHand, found, foundAt
	row.Counted, row.CountDocument, row.Difference = at, document, difference
	row.Doubt, row.Discrepant = 0, false
	if difference != 0 && !opening {
		s.alert(sh, counted-difference, counted, document)
	}
	if found > 0 {
		row.Doubt, row.Discrepant = DoubtStep, true
	}
}

// replay walks the movements after a count and returns what they leave on hand,
// what of them had to be found because the shelf could not have it, what the
// book had found for them before, and when the last find was.
func (s *sheet) replay(sh *shelf, counted int64, at state.Time) (onHand, found, foundBefore int64, foundAt state.Time) {
	onHand = counted
	if at >= sh.row.Moved {
		return onHand, 0, 0, 0
	}
	type change struct {
		key string
		row Movement
	}
	var changes []change
	after := movementKey(sh.at, at)
	s.o.movements.ScanFrom(s.c, sh.at.Key(), after, func(key string, m *Movement) bool {
		if key == after {
			return true
		}
		foundBefore += m.Found
		onHand += m.Delta
		short := max(0, -onHand)
		onHand += short
		found += short
		if short > 0 {
			// The last find is not earlier than the last movement that has one.
			foundAt = sh.row.Moved
		}
		if short != m.Found {
			changes = append(changes, change{key, Movement{Delta: m.Delta, Found: short}})
		}
		return true
	})
	for _, ch := range changes {
		s.o.movements.Set(s.c, ch.key, ch.row)
	}
	return onHand, found, foundBefore, foundAt
}
