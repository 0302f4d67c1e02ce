package inventory

import (
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/calendar"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// sheet is the working copy of the rows that one call touches. A handler opens
// it, books on it and closes it; only close writes rows. A stage has one, which
// its calls use one after the other.
type sheet struct {
	o        *Operator
	c        operators.Context
	rules    rules
	accounts Accounts
	before   Accounts
	shelves  []*shelf
	replan   bool // what became free in this call is not supply

	zones calendar.Zones

	rows []*Shelf // of all shelves, while they are looked at
	list func(row string, value *Shelf) bool
}

// shelf is the working copy of a Shelf row.
type shelf struct {
	at     hold.Place
	key    string // of the row
	row    Shelf
	before Shelf
	atp    int64 // before the call
	known  bool  // the row existed
	more   bool  // waiting claims or a shortfall are left for another call
}

// rules are what policy and product say about an SKU.
type rules struct {
	safety   int64
	floor    state.Decimal
	weight   state.Decimal // how much of the doubt is taken off
	inspect  bool
	depleted string // which places tell of running out unasked
}

func (o *Operator) rules(r operators.Reader) rules {
	p := policy.Allocation(r, o.Policies).Allocation
	rs := rules{safety: p.SafetyStock, floor: p.ConfidenceFloor, weight: p.ConfidenceWeight,
		inspect: p.ReturnsTo == policy.ReturnsToInspection, depleted: p.DepletionAlerts}
	if p := o.Products.Get(r, r.Key()); p != nil && !p.Deleted && p.SafetyStock > 0 {
		rs.safety = p.SafetyStock
	}
	return rs
}

// limit is how many units of a shelf may be reserved at all.
func (rs rules) limit(s *Shelf) int64 {
	if s.Confidence() < rs.floor {
		return 0
	}
	units := max(0, s.OnHand-s.Withheld-rs.safety)
	if rs.weight > 0 && s.Doubt > 0 {
		units -= rs.doubted(units, s.Doubt)
	}
	return units
}

// doubted is how many of so many units are better not promised, rounded up.
func (rs rules) doubted(units int64, doubt state.Decimal) int64 {
	share := int64(rs.weight * doubt / state.One)
	whole, rest := units/int64(state.One), units%int64(state.One)
	return whole*share + (rest*share+int64(state.One)-1)/int64(state.One)
}

// keptBack is what of a shelf's free units is not promised for safety or doubt.
func (rs rules) keptBack(s *Shelf) int64 {
	if rs.weight == 0 || s.Doubt == 0 {
		return rs.safety
	}
	return rs.safety + rs.doubted(max(0, s.OnHand-s.Withheld-rs.safety), s.Doubt)
}

// atp is how many units of a shelf can still be promised.
func (rs rules) atp(s *Shelf) int64 { return max(0, rs.limit(s)-s.Marks.Reserved) }

// location is what reference data say of a place, or nil.
func (o *Operator) location(r operators.Reader, name string) *event.Location {
	if l := o.Locations.Get(r, name); l != nil && !l.Deleted {
		return l
	}
	return nil
}

// DefaultPool is the pool of a location that names none.
const DefaultPool = "store"

// at resolves a location and pool: an empty pool is the location's first.
func (o *Operator) at(r operators.Reader, location, pool string) hold.Place {
	if pool == "" {
		pool = DefaultPool
		if l := o.location(r, location); l != nil && len(l.Pools) > 0 {
			pool = l.Pools[0]
		}
	}
	return hold.Place{Location: location, Pool: pool}
}

// look opens a sheet that is only looked at.
func (o *Operator) look(c operators.Context) *sheet {
	s := operators.Scratch[sheet](c)
	s.o, s.c, s.rules, s.shelves, s.replan = o, c, o.rules(c), s.shelves[:0], false
	return s
}

func (o *Operator) open(c operators.Context) *sheet {
	s := o.look(c)
	s.accounts, _ = o.accounts.Get(c, "")
	s.before = s.accounts
	return s
}

// first says whether a document is new, and remembers it. Events without a
// document number are always new.
func (s *sheet) first(kind, document string, more ...string) bool {
	if document == "" {
		return true
	}
	key := hold.Key(append([]string{kind, document}, more...)...)
	if _, known := s.o.documents.Get(s.c, key); known {
		return false
	}
	s.o.documents.Set(s.c, key, Document{Time: s.c.EventTime()})
	return true
}

// shelf returns the working copy of a place, new or not.
func (s *sheet) shelf(at hold.Place) *shelf {
	if sh := s.touched(at); sh != nil {
		return sh
	}
	sh := s.blank()
	*sh = shelf{at: at, key: at.Key()}
	sh.row, sh.known = s.o.shelves.Get(s.c, sh.key)
	if !sh.known {
		sh.row.Location, sh.row.Pool = at.Location, at.Pool
	}
	sh.before, sh.atp = sh.row, s.rules.atp(&sh.row)
	return sh
}

// blank is one more shelf on the sheet, as an earlier call has left it.
func (s *sheet) blank() *shelf {
	n := len(s.shelves)
	if n < cap(s.shelves) {
		s.shelves = s.shelves[:n+1]
		if s.shelves[n] != nil {
			return s.shelves[n]
		}
		s.shelves[n] = &shelf{}
		return s.shelves[n]
	}
	s.shelves = append(s.shelves, &shelf{})
	return s.shelves[n]
}

// touched is the working copy of a place if there is one.
func (s *sheet) touched(at hold.Place) *shelf {
	for _, sh := range s.shelves {
		if sh.at == at {
			return sh
		}
	}
	return nil
}

// find is shelf for events' locations and pools.
func (s *sheet) find(location, pool string) *shelf { return s.shelf(s.o.at(s.c, location, pool)) }

// all is every shelf of the SKU, as this call sees it, in row order. It is good
// until it is asked for again.
func (s *sheet) all() []*Shelf {
	if s.list == nil {
		s.list = func(_ string, row *Shelf) bool {
			if sh := s.touched(hold.Place{Location: row.Location, Pool: row.Pool}); sh != nil {
				row = &sh.row
			}
			s.rows = append(s.rows, row)
			return true
		}
	}
	s.rows = s.rows[:0]
	s.o.shelves.Scan(s.c, "", s.list)
	return s.rows
}

// close finishes a call: takes reservations back that nothing stands behind any
// more, answers claims whose turn has come, checks the books, writes what
// changed, and tells backorders of supply.
func (s *sheet) close() error {
	s.reclaim()
	s.wake()
	s.check()
	s.watch()
	if s.accounts != s.before {
		s.o.accounts.Set(s.c, "", s.accounts)
	}
	for _, sh := range s.shelves {
		if sh.more {
			s.o.again.Set(s.c, sh.key, s.c.LogTime())
		}
		if sh.row == sh.before {
			continue
		}
		s.o.shelves.Set(s.c, sh.key, sh.row)
		s.level(sh)
	}
	s.serve()
	return nil
}

// level publishes a shelf if what can be seen of it changed.
func (s *sheet) level(sh *shelf) {
	if l := s.levelOf(&sh.row); l != s.levelOf(&sh.before) || !sh.known {
		e := l
		s.o.Level.Emit(s.c, RecordKey(s.c.Key(), sh.at), &e)
	}
}

func (s *sheet) levelOf(row *Shelf) event.StockLevel {
	return event.StockLevel{SKU: s.c.Key(), Location: row.Location, Pool: row.Pool, OnHand: row.OnHand,
		Reserved: row.Marks.Reserved, Withheld: row.Withheld, InTransit: row.InTransit,
		SafetyStock: s.rules.safety, ATP: s.rules.atp(row), Confidence: row.Confidence()}
}

// escaped keeps record keys apart whose parts hold a slash.
var escaped = strings.NewReplacer("%", "%25", "/", "%2F")

// RecordKey is the key of the stock records of a place: sku/location/pool.
func RecordKey(sku string, at hold.Place) string {
	const special = "%/"
	if !strings.ContainsAny(sku, special) && !strings.ContainsAny(at.Location, special) && !strings.ContainsAny(at.Pool, special) {
		return sku + "/" + at.Location + "/" + at.Pool
	}
	return escaped.Replace(sku) + "/" + escaped.Replace(at.Location) + "/" + escaped.Replace(at.Pool)
}

// check asserts what must hold after every call; a broken assertion undoes it.
func (s *sheet) check() {
	onHand, inTransit := s.before.OnHand, s.before.InTransit
	for _, sh := range s.shelves {
		row, m := &sh.row, sh.row.Marks
		onHand += row.OnHand - sh.before.OnHand
		inTransit += row.InTransit - sh.before.InTransit
		if row.OnHand < 0 || row.Withheld < 0 || row.InTransit < 0 {
			panic("inventory: negative stock")
		}
		if m.Undecided < 0 || m.Reserved < m.Undecided || m.Queued < 0 {
			panic("inventory: marks out of order")
		}
		// Beyond what is there only undecided holds may stand, which are
		// taken back when they are decided, and what another call goes on with.
		if m.Reserved > row.OnHand && m.Reserved > m.Undecided && !sh.more {
			panic("inventory: reserved more than there is")
		}
	}
	if onHand != s.accounts.OnHand || inTransit != s.accounts.InTransit {
		panic("inventory: shelves and account differ")
	}
	if s.accounts.Sum() != 0 {
		panic("inventory: accounts do not sum to zero")
	}
}

// catchUp goes on with a shelf where one call was not enough.
func (o *Operator) catchUp(c operators.Context, id string) error {
	row, known := o.shelves.Get(c, id)
	if !known {
		return nil
	}
	s := o.open(c)
	s.shelf(hold.Place{Location: row.Location, Pool: row.Pool})
	return s.close()
}
