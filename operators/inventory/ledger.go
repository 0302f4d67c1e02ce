package inventory

import (
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// book moves units between an account and what is on hand at a shelf: with
// units > 0 they come from the account, else they go there. It happened at an
// event time, which may lie before what was booked already. What happened at
// the very time of a count was before it if it was heard of before it.
func (s *sheet) book(sh *shelf, account *int64, units int64, at state.Time) {
	*account -= units
	s.accounts.OnHand += units
	sh.row.OnHand += units
	if sh.row.Counted != 0 && at < sh.row.Counted {
		s.absorb(sh, units)
		return
	}
	key := movementKey(sh.at, at)
	m, _ := s.o.movements.Get(s.c, key)
	m.Delta += units
	sh.row.Moved = max(sh.row.Moved, at)
	if short := -sh.row.OnHand; short > 0 {
		s.findUnits(sh, short, -units)
		m.Found += short
		sh.row.Found += short
		sh.row.FoundAt = max(sh.row.FoundAt, at)
	}
	s.o.movements.Set(s.c, key, m)
	if units > 0 && sh.row.Found > 0 && at <= sh.row.FoundAt {
		s.takeBack(sh, units, at)
	}
}

// absorb is for a movement before the last count: the count has seen its
// outcome, so what is on hand stays and the count's difference changes instead.
func (s *sheet) absorb(sh *shelf, units int64) {
	shrink, found := max(0, -sh.row.Difference), max(0, sh.row.Difference)
	sh.row.Difference -= units
	s.accounts.Shrink += max(0, -sh.row.Difference) - shrink
	s.accounts.Found -= max(0, sh.row.Difference) - found
	s.accounts.OnHand -= units
	sh.row.OnHand -= units
}

// findUnits books units as found that the shelf could not have had when it gave
// what was taken.
func (s *sheet) findUnits(sh *shelf, short, taken int64) {
	s.accounts.Found -= short
	s.accounts.OnHand += short
	sh.row.OnHand += short
	s.discrepancy(sh, taken-short, taken, "")
}

// takeBack takes back what was booked as found after an event time, for units
// that had come in by then but are heard of only now.
func (s *sheet) takeBack(sh *shelf, units int64, at state.Time) {
	type change struct {
		key string
		row Movement
	}
	var changes []change
	from := movementKey(sh.at, at)
	s.o.movements.ScanFrom(s.c, sh.at.Key(), from, func(key string, m *Movement) bool {
		if m.Found > 0 {
			back := min(units, m.Found)
			units -= back
			row := *m
			row.Found -= back
			changes = append(changes, change{key, row})
			s.accounts.Found += back
			s.accounts.OnHand -= back
			sh.row.OnHand -= back
			sh.row.Found -= back
		}
		return units > 0
	})
	for _, ch := range changes {
		s.o.movements.Set(s.c, ch.key, ch.row)
	}
	if len(changes) > 0 && sh.row.Found == 0 {
		s.explained(sh)
	}
}

func movementKey(at hold.Place, t state.Time) string {
	return at.Key() + hold.Number(uint64(t)^1<<63) // negative times sort first
}

// DoubtStep is what a discrepancy or rejection takes off a shelf's confidence.
const DoubtStep = state.One / 4

// discrepancy says once, until the shelf is counted, that book and reality differ.
func (s *sheet) discrepancy(sh *shelf, expected, found int64, document string) {
	if sh.row.Discrepant {
		return
	}
	sh.row.Discrepant = true
	s.doubt(sh)
	s.alert(sh, expected, found, document)
}

func (s *sheet) doubt(sh *shelf) { sh.row.Doubt = min(state.One, sh.row.Doubt+DoubtStep) }

// explained closes a discrepancy that turned out to be a matter of order.
func (s *sheet) explained(sh *shelf) {
	if sh.row.Discrepant {
		sh.row.Discrepant = false
		sh.row.Doubt = max(0, sh.row.Doubt-DoubtStep)
	}
}

func (s *sheet) alert(sh *shelf, expected, found int64, document string) {
	s.o.Alert.Emit(s.c, RecordKey(s.c.Key(), sh.at), &event.StockAlert{Kind: event.AlertDiscrepancy, SKU: s.c.Key(),
		Location: sh.at.Location, Pool: sh.at.Pool, Expected: expected, Found: found, Document: document})
}
