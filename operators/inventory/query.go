package inventory

import (
	"cmp"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/acceptance"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/geo"
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// StockQuestion ("stock") asks for an SKU's stock everywhere, nearest first if
// a position is given.
type StockQuestion struct {
	Near *Position `v:"near"`
}

// Position is a point on the globe, in millionths of a degree.
type Position struct {
	Lat state.Decimal `v:"lat"`
	Lon state.Decimal `v:"lon"`
}

// StockAnswer lists every location and pool that holds or held the SKU, by
// name, or by distance with the unknown ones last.
type StockAnswer struct {
	SKU     string          `v:"sku"`
	Places  []StockPlace    `v:"places"`
	Inbound []event.Inbound `v:"inbound"`
	Unmet   []Unmet         `v:"unmet"` // asked for in vain, the latest day first; at most [MaxUnmet]
}

// StockPlace is the stock at one location and pool.
type StockPlace struct {
	Location    string        `v:"location"`
	Pool        string        `v:"pool"`
	OnHand      int64         `v:"on_hand"`
	Reserved    int64         `v:"reserved"`
	Withheld    int64         `v:"withheld"`
	InTransit   int64         `v:"in_transit"`
	SafetyStock int64         `v:"safety_stock"`
	ATP         int64         `v:"atp"`
	Confidence  state.Decimal `v:"confidence"`
	Counted     state.Time    `v:"counted"`    // event time of the last count
	Described   bool          `v:"described"`  // reference data know the location
	Distance    int64         `v:"distance_m"` // metres; -1 if not asked or not known
	Acceptance  state.Decimal `v:"acceptance"` // how likely the location serves an order
}

// LedgerQuestion ("ledger") asks for an SKU's accounts and holds.
type LedgerQuestion struct {
	Holds int64 `v:"holds"` // list at most so many open holds; 0: none
}

// LedgerAnswer says how an SKU's accounts stand. The sum must be zero.
type LedgerAnswer struct {
	SKU        string       `v:"sku"`
	Accounts   Accounts     `v:"accounts"`
	Sum        int64        `v:"sum"`
	Open       int64        `v:"open_holds"`
	Backorders int64        `v:"backorders"`
	Holds      []hold.Claim `v:"holds"`
}

func (o *Operator) answerStock(r operators.Reader, q *StockQuestion) (*StockAnswer, error) {
	a := &StockAnswer{SKU: r.Key(), Inbound: o.comingIn(r), Unmet: o.listUnmet(r)}
	rules := o.rules(r)
	o.shelves.Scan(r, "", func(_ string, s *Shelf) bool {
		p := StockPlace{Location: s.Location, Pool: s.Pool, OnHand: s.OnHand, Reserved: s.Marks.Reserved,
			Withheld: s.Withheld, InTransit: s.InTransit, SafetyStock: rules.safety, ATP: rules.atp(s),
			Confidence: s.Confidence(), Counted: s.Counted, Distance: -1, Acceptance: acceptance.Usual}
		if at := o.Acceptances.Get(r, s.Location); at != nil {
			p.Acceptance = at.Probability
		}
		if l := o.location(r, s.Location); l != nil {
			p.Described = true
			if q.Near != nil && (l.Lat != 0 || l.Lon != 0) {
				p.Distance = geo.Metres(q.Near.Lat, q.Near.Lon, l.Lat, l.Lon)
			}
		}
		a.Places = append(a.Places, p)
		return true
	})
	if len(a.Places) == 0 && len(a.Unmet) == 0 {
		return nil, nil
	}
	if q.Near != nil {
		slices.SortStableFunc(a.Places, func(x, y StockPlace) int {
			// As unsigned numbers unknown distances are the largest.
			return cmp.Compare(uint64(x.Distance), uint64(y.Distance))
		})
	}
	return a, nil
}

// MaxUnmet is how many days and locations of unmet demand an answer lists.
const MaxUnmet = 100

func (o *Operator) listUnmet(r operators.Reader) (list []Unmet) {
	if o.unmet.Count(r) == 0 {
		return nil
	}
	o.unmet.Scan(r, "", func(_ string, u *Unmet) bool {
		list = append(list, *u)
		return true
	})
	slices.SortStableFunc(list, func(x, y Unmet) int { return cmp.Compare(y.Day, x.Day) })
	return list[:min(len(list), MaxUnmet)]
}

func (o *Operator) answerLedger(r operators.Reader, q *LedgerQuestion) (*LedgerAnswer, error) {
	accounts, known := o.accounts.Get(r, "")
	a := &LedgerAnswer{SKU: r.Key(), Accounts: accounts, Sum: accounts.Sum(),
		Open: int64(o.book.Count(r)), Backorders: int64(o.waiting.Count(r))}
	if !known && a.Open == 0 && a.Backorders == 0 {
		return nil, nil
	}
	o.book.Open(r, func(claim *hold.Claim) bool {
		if int64(len(a.Holds)) >= q.Holds {
			return false
		}
		a.Holds = append(a.Holds, *claim)
		return true
	})
	return a, nil
}
