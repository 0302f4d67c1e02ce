package inventory

import (
	"cmp"
	"slices"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/operators/policy"
)

// Conditions are told once. That a place has run out ends when goods come in,
// not when a reservation is given back: the last unit may go to and fro between
// orders. That it is below its safety stock ends a quarter above it.

// watch tells of places whose stock has run out or fallen below the safety
// stock in this call, and ends conditions that are over.
func (s *sheet) watch() {
	for i := 0; i < len(s.shelves); i++ {
		sh := s.shelves[i]
		if sh.row == sh.before {
			continue
		}
		s.watchStock(sh)
		if s.rules.safety > 0 {
			s.watchSafety(sh)
		}
	}
}

func (s *sheet) watchStock(sh *shelf) {
	was, is := s.rules.decided(&sh.before), s.rules.decided(&sh.row)
	switch {
	case was > 0 && is <= 0:
		if s.tellsUnasked(sh.at.Location) {
			s.outOfStock(sh.at, is, "")
		}
	case is > 0 && s.rules.limit(&sh.row) > s.rules.limit(&sh.before):
		s.end(event.AlertOutOfStock, sh.at)
	}
}

// decided is what a shelf could promise if orders that are still deciding got
// nothing.
func (rs rules) decided(row *Shelf) int64 {
	return rs.limit(row) - row.Marks.Reserved + row.Marks.Undecided
}

// tellsUnasked says whether a place tells of running out although nobody asks.
func (s *sheet) tellsUnasked(location string) bool {
	switch s.rules.depleted {
	case policy.DepletionAll:
		return true
	case policy.DepletionNone:
		return false
	}
	l := s.o.location(s.c, location)
	return l != nil && (l.Kind == "web" || slices.Contains(onlineChannels, l.Channel))
}

var onlineChannels = []string{"own_online", "marketplace", "social"}

// MaxElsewhere is how many places an alert names that have what is missing.
const MaxElsewhere = 16

// outOfStock tells that nothing is left at a place, if it is elsewhere.
func (s *sheet) outOfStock(at hold.Place, here int64, staff string) {
	if s.told(event.AlertOutOfStock, at) {
		return
	}
	a := &event.StockAlert{Kind: event.AlertOutOfStock, Here: max(0, here), Staff: staff}
	for _, row := range s.all() {
		if atp := s.rules.atp(row); atp > 0 && (row.Location != at.Location || row.Pool != at.Pool) {
			a.Elsewhere += atp
			a.Places = append(a.Places, event.StockThere{Location: row.Location, Pool: row.Pool, ATP: atp})
		}
	}
	if a.Elsewhere == 0 {
		return
	}
	slices.SortStableFunc(a.Places, func(x, y event.StockThere) int { return cmp.Compare(y.ATP, x.ATP) })
	a.Places = a.Places[:min(len(a.Places), MaxElsewhere)]
	s.begin(at, a)
}

// watchSafety looks at what is free: reserved units are as good as gone. A place
// that has never had any is not below.
func (s *sheet) watchSafety(sh *shelf) {
	safety := s.rules.safety
	recovered := safety + max(1, safety/4)
	was, is := free(&sh.before), free(&sh.row)
	switch {
	case is < safety && (was >= safety || unused(&sh.before) && !unused(&sh.row)):
		if !s.told(event.AlertBelowSafety, sh.at) {
			s.begin(sh.at, &event.StockAlert{Kind: event.AlertBelowSafety, Here: max(0, is), SafetyStock: safety})
		}
	case is >= recovered && was < recovered:
		s.end(event.AlertBelowSafety, sh.at)
	}
}

func free(row *Shelf) int64 { return row.OnHand - row.Withheld - row.Marks.Reserved }

func unused(row *Shelf) bool { return row.Counted == 0 && row.Moved == 0 }

func conditionKey(kind string, at hold.Place) string { return hold.Key(kind, at.Location, at.Pool) }

// told says whether a condition has been told of and has not ended.
func (s *sheet) told(kind string, at hold.Place) bool {
	_, told := s.o.conditions.Get(s.c, conditionKey(kind, at))
	return told
}

// begin sends the alert of a condition that begins.
func (s *sheet) begin(at hold.Place, a *event.StockAlert) {
	s.o.conditions.Set(s.c, conditionKey(a.Kind, at), Condition{Since: s.c.LogTime()})
	a.SKU, a.Location, a.Pool = s.c.Key(), at.Location, at.Pool
	s.o.Alert.Emit(s.c, RecordKey(a.SKU, at), a)
}

func (s *sheet) end(kind string, at hold.Place) {
	if s.told(kind, at) {
		s.o.conditions.Delete(s.c, conditionKey(kind, at))
	}
}
