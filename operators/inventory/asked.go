package inventory

import (
	"cmp"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
)

// askedFor tells that what somebody asked for is elsewhere, and counts unmet
// demand. What can be promised here is no unmet demand, whatever was asked.
func (o *Operator) askedFor(c operators.Context, e *event.StockAsked) error {
	if err := checkPlace(e.Location); err != nil {
		return err
	}
	if e.Quantity < 0 || e.Quantity > MaxQuantity {
		return quantityInvalid(e.Quantity)
	}
	s, units := o.look(c), max(1, e.Quantity)
	here := int64(0)
	for _, row := range s.all() {
		if row.Location == e.Location && (e.Pool == "" || row.Pool == e.Pool) {
			here += s.rules.atp(row)
		}
	}
	if here >= units {
		return nil
	}
	s.countUnmet(e, units)
	if here == 0 {
		s.outOfStock(o.at(c, e.Location, e.Pool), 0, e.Staff)
	}
	return nil
}

// countUnmet counts what was asked for, once per customer and day.
func (s *sheet) countUnmet(e *event.StockAsked, units int64) {
	zone := ""
	if l := s.o.location(s.c, e.Location); l != nil {
		zone = l.Timezone
	}
	day := s.zones.Day(zone, s.c.EventTime())
	customer := anchor(e.Customer)
	if customer == nil {
		s.addUnmet(day, e.Location, Unmet{Anonymous: 1, Units: units})
		return
	}
	key := hold.Key(day, customer.Type, customer.Value)
	asker := Asker{Location: e.Location, Time: s.c.EventTime(), Units: units}
	if before, known := s.o.askers.Get(s.c, key); known {
		if !asker.before(&before) {
			return
		}
		s.addUnmet(day, before.Location, Unmet{Customers: -1, Units: -before.Units})
	}
	s.o.askers.Set(s.c, key, asker)
	s.addUnmet(day, asker.Location, Unmet{Customers: 1, Units: units})
}

// before says which of a customer's wishes on a day counts.
func (a *Asker) before(b *Asker) bool {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Location, b.Location), cmp.Compare(b.Units, a.Units)) < 0
}

// addUnmet adds to the unmet demand of a day and location.
func (s *sheet) addUnmet(day, location string, more Unmet) {
	key := hold.Key(day, location)
	u, _ := s.o.unmet.Get(s.c, key)
	u.Location, u.Day = location, day
	u.Customers += more.Customers
	u.Anonymous += more.Anonymous
	u.Units += more.Units
	if u.Customers == 0 && u.Anonymous == 0 {
		s.o.unmet.Delete(s.c, key)
		return
	}
	s.o.unmet.Set(s.c, key, u)
}

// strongest lists types of identifiers, those first that say best who it is.
var strongest = []string{"loyalty", "wechat_openid", "phone", "email", "weibo", "card", "payment_token", "device", "cookie"}

// anchor is the identifier by which a customer is counted: of the strongest
// type, then the first by value. It is nil for nobody known.
func anchor(ids []event.Identifier) *event.Identifier {
	var best *event.Identifier
	for i := range ids {
		if id := &ids[i]; best == nil || cmp.Or(cmp.Compare(strength(id), strength(best)),
			cmp.Compare(id.Type, best.Type), cmp.Compare(id.Value, best.Value)) < 0 {
			best = id
		}
	}
	return best
}

func strength(id *event.Identifier) int {
	if i := slices.Index(strongest, id.Type); i >= 0 {
		return i
	}
	return len(strongest)
}
