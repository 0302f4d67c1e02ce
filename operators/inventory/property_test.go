package inventory_test

import (
	"fmt"

	"pgregory.net/rapid"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

const (
	sku   = "glasses-7"
	start = state.Time(1_780_308_000_000_000)
)

// told is one event that was sent.
type told struct {
	kind string
	e    state.Visitable
	at   state.Time
}

// machine sends random events and checks after each what must always hold.
type machine struct {
	t      *rapid.T
	rig    *operatortest.Rig
	sent   []told
	number int
	// claims is what is open as the answers say: by order.
	claims map[string]*claim
	orders []string
}

type claim struct {
	parts   []event.HoldPart
	round   int64
	granted bool
	decided bool
}

func newMachine(t *rapid.T, plan *topology.Plan) *machine {
	rig, err := operatortest.NewRig(plan, start)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t: t, rig: rig, claims: map[string]*claim{}}
}

func (m *machine) int(name string, from, to int64) int64 {
	return rapid.Int64Range(from, to).Draw(m.t, name)
}

func (m *machine) location() string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "location")
}

func (m *machine) document() string {
	m.number++
	return fmt.Sprintf("d%d", m.number)
}

// send applies an event and checks everything.
func (m *machine) send(kind string, e state.Visitable) {
	at := m.rig.Now() - state.Time(m.int("late", 0, 20))*state.Minute
	if m.apply(told{kind, e, at}) {
		m.sent = append(m.sent, told{kind, e, at})
	}
}

// apply reports whether the event was applied, and not refused.
func (m *machine) apply(what told) bool {
	effects, err := m.rig.Tell(what.kind, what.e, operatortest.Envelope{Time: what.at})
	if err != nil {
		m.t.Fatal(err)
	}
	refused := m.effects(effects)
	m.check()
	return !refused
}

func (m *machine) stock() map[string]inventory.StockPlace {
	places := map[string]inventory.StockPlace{}
	if a := m.ask("stock", &inventory.StockQuestion{}); a != nil {
		for _, p := range a.(*inventory.StockAnswer).Places {
			places[p.Location] = p
		}
	}
	return places
}

func (m *machine) ledger() inventory.LedgerAnswer {
	if a := m.ask("ledger", &inventory.LedgerQuestion{Holds: 1000}); a != nil {
		return *a.(*inventory.LedgerAnswer)
	}
	return inventory.LedgerAnswer{}
}

func (m *machine) ask(query string, q state.Visitable) state.Visitable {
	a, err := m.rig.Query("inventory", query, sku, q)
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

// effects follows what the answers say is held, and reports a dead letter.
func (m *machine) effects(effects *operatortest.Effects) (refused bool) {
	places := m.stock()
	for _, r := range effects.Records {
		if d := operatortest.DeadLetterOf(r); d != nil {
			refused = true
			if d.Code == operators.CodeOperatorPanic {
				m.t.Fatalf("dead letter: %s at %s of %s", d.Code, d.Stage, d.Type)
			}
		}
		switch e := r.Payload.Value.(type) {
		case *event.HoldAnswered:
			c := m.claims[e.Order]
			if c == nil || c.round != e.Round {
				continue
			}
			if !e.Granted {
				delete(m.claims, e.Order)
				continue
			}
			if c.granted {
				continue // said again
			}
			c.granted = true
			for _, p := range c.parts {
				at := places[p.Location]
				if at.Reserved > at.OnHand-at.Withheld-at.SafetyStock {
					m.t.Fatalf("order %s was granted more than %s can promise: %+v", e.Order, p.Location, at)
				}
			}
		case *event.StockAlert:
			m.alert(e, places)
		case *event.ShortfallFound:
			m.take(e.Order, e.Parts)
		}
	}
	return refused
}

// alert checks that what is said to be elsewhere is there. No other event came in
// between.
func (m *machine) alert(e *event.StockAlert, places map[string]inventory.StockPlace) {
	if e.Kind != event.AlertOutOfStock {
		return
	}
	if places[e.Location].ATP > 0 || e.Elsewhere == 0 {
		m.t.Fatalf("%+v, but the place has %+v", e, places[e.Location])
	}
	for _, p := range e.Places {
		if places[p.Location].ATP != p.ATP {
			m.t.Fatalf("%+v, but there is %+v", e, places[p.Location])
		}
	}
}

// take lowers what is held by parts, as far as it is.
func (m *machine) take(order string, parts []event.HoldPart) {
	c := m.claims[order]
	if c == nil {
		return
	}
	for _, p := range parts {
		for i := range c.parts {
			if h := &c.parts[i]; h.Line == p.Line && h.Location == p.Location {
				units := min(h.Quantity, p.Quantity)
				h.Quantity -= units
				p.Quantity -= units
			}
		}
	}
	for _, p := range c.parts {
		if p.Quantity > 0 {
			return
		}
	}
	delete(m.claims, order)
}

// check compares the books with the answers given and with each other.
func (m *machine) check() {
	books, places := m.ledger(), m.stock()
	if books.Sum != 0 || books.Accounts.Sum() != 0 {
		m.t.Fatalf("accounts = %+v; want a sum of 0", books.Accounts)
	}
	held, undecided := map[string]int64{}, map[string]int64{}
	for _, c := range m.claims {
		for _, p := range c.parts {
			if c.granted {
				held[p.Location] += p.Quantity
			}
			if c.granted && !c.decided {
				undecided[p.Location] += p.Quantity
			}
		}
	}
	onHand, inTransit := int64(0), int64(0)
	for name, p := range places {
		onHand += p.OnHand
		inTransit += p.InTransit
		if p.Reserved != held[name] {
			m.t.Fatalf("%s has %d reserved; by the answers it is %d", name, p.Reserved, held[name])
		}
		if p.OnHand < 0 || p.Reserved > p.OnHand && p.Reserved > undecided[name] {
			m.t.Fatalf("%s = %+v; want decided reservations only on what is there", name, p)
		}
	}
	if onHand != books.Accounts.OnHand || inTransit != books.Accounts.InTransit {
		m.t.Fatalf("places have %d on hand and %d in transit, the accounts say %+v", onHand, inTransit, books.Accounts)
	}
}
