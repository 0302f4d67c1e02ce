package inventory_test

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"count": func(*rapid.T) {
			m.send("stock.counted", &event.StockCounted{SKU: sku, Location: m.location(), Quantity: m.int("quantity", 0, 6), Document: m.document()})
		},
		"receive": func(*rapid.T) {
			m.send("stock.received", &event.StockReceived{SKU: sku, Location: m.location(), Quantity: m.int("quantity", 1, 5), Document: m.document()})
		},
		"transfer": func(*rapid.T) {
			d, to, q := m.document(), m.location(), m.int("quantity", 1, 3)
			send := func() {
				m.send("stock.transferred", &event.StockTransferred{SKU: sku, Location: m.location(), To: to, Quantity: q, Document: d})
			}
			first := rapid.Bool().Draw(m.t, "receipt first")
			if !first {
				send()
			}
			if rapid.Bool().Draw(m.t, "arrives") {
				m.send("stock.received", &event.StockReceived{SKU: sku, Location: to, Quantity: m.int("arrived", 1, 4), Document: d, Transfer: d})
			}
			if first {
				send()
			}
		},
		"adjust": func(*rapid.T) {
			if q := m.int("quantity", -3, 3); q != 0 {
				m.send("stock.adjusted", &event.StockAdjusted{SKU: sku, Location: m.location(), Quantity: q, Document: m.document()})
			}
		},
		"withhold": func(*rapid.T) {
			m.send("stock.withheld", &event.StockWithheld{SKU: sku, Location: m.location(), Quantity: 1, Document: m.document()})
		},
		"unwithhold": func(*rapid.T) {
			m.send("stock.released", &event.StockReleased{SKU: sku, Location: m.location(), Quantity: 1, Document: m.document()})
		},
		"move": func(*rapid.T) {
			m.send("goods.moved", &event.GoodsMoved{SKU: sku, Kind: rapid.SampledFrom([]string{"sale", "sale", "return"}).Draw(m.t, "kind"),
				Location: m.location(), Quantity: m.int("quantity", 1, 3), Document: m.document(), Line: 1})
		},
		"clock": func(*rapid.T) {
			effects, err := m.rig.Step(state.Time(m.int("minutes", 1, 200)) * state.Minute)
			if err != nil {
				m.t.Fatal(err)
			}
			m.effects(effects)
			m.check()
		},
		"backorder": func(*rapid.T) {
			m.send("backorder.asked", &event.BackorderAsked{Order: fmt.Sprintf("w%d", m.int("order", 1, 5)), SKU: sku, Line: 1, Quantity: m.int("quantity", 0, 3)})
		},
		"wish": func(*rapid.T) {
			m.send("stock.asked", &event.StockAsked{SKU: sku, Location: m.location(), Quantity: m.int("quantity", 0, 3)})
		},
		"hold":    func(*rapid.T) { m.hold() },
		"decide":  func(*rapid.T) { m.decide() },
		"release": func(*rapid.T) { m.release() },
		"settle":  func(*rapid.T) { m.settle() },
		"again":   func(*rapid.T) { m.again() },
	}
}

func (m *machine) hold() {
	m.number++
	order := fmt.Sprintf("o%d", m.number)
	c := &claim{round: m.int("round", 1, 2)}
	for line := range m.int("lines", 1, 3) {
		c.parts = append(c.parts, event.HoldPart{Line: line + 1, Location: m.location(), Pool: "store", Quantity: m.int("quantity", 1, 3)})
	}
	m.claims[order] = c
	m.orders = append(m.orders, order)
	m.send("hold.asked", &event.HoldAsked{Order: order, Attempt: 1, Round: c.round, Resource: sku,
		Parts: append([]event.HoldPart(nil), c.parts...)})
}

// open picks an order whose claim is open.
func (m *machine) open(granted bool) (string, *claim) {
	var open []string
	for _, o := range m.orders {
		if c := m.claims[o]; c != nil && (c.granted || !granted) {
			open = append(open, o)
		}
	}
	if len(open) == 0 {
		return "", nil
	}
	order := rapid.SampledFrom(open).Draw(m.t, "order")
	return order, m.claims[order]
}

func (m *machine) decide() {
	if order, c := m.open(true); c != nil {
		c.decided = true
		m.send("hold.decided", &event.HoldDecided{Order: order, Attempt: 1, Round: c.round, Resource: sku})
	}
}

func (m *machine) release() {
	order, c := m.open(false)
	if c == nil {
		return
	}
	e := &event.HoldReleased{Order: order, Attempt: 1, Round: c.round, Resource: sku,
		Reason: rapid.SampledFrom([]string{"replan", "cancelled", "rejected"}).Draw(m.t, "reason")}
	delete(m.claims, order)
	m.send("hold.released", e)
}

func (m *machine) settle() {
	order, c := m.open(true)
	if c == nil {
		return
	}
	part := rapid.SampledFrom(c.parts).Draw(m.t, "part")
	part.Quantity = m.int("quantity", 1, 3)
	m.take(order, []event.HoldPart{part})
	m.send("hold.settled", &event.HoldSettled{Order: order, Attempt: 1, Resource: sku, Document: m.document(), Parts: []event.HoldPart{part}})
}

// again sends an earlier event once more under a new id: nothing may change.
func (m *machine) again() {
	if len(m.sent) == 0 {
		return
	}
	what := rapid.SampledFrom(m.sent).Draw(m.t, "again")
	if what.kind == "backorder.asked" {
		return // says how things are, not what happened
	}
	stock, books := m.stock(), m.ledger()
	m.apply(what)
	if now := m.stock(); !reflect.DeepEqual(now, stock) {
		m.t.Fatalf("%s again: stock = %+v; want %+v", what.kind, now, stock)
	}
	if now := m.ledger(); !reflect.DeepEqual(now, books) {
		m.t.Fatalf("%s again: ledger = %+v; want %+v", what.kind, now, books)
	}
}

// Whatever happens in whatever order: the books balance, nothing is granted
// that is not there, decided reservations stand on real goods, and nothing
// counts twice.
func TestHostileOrders(t *testing.T) {
	p := plan(t)
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, p)
		t.Repeat(m.actions())
	})
}
