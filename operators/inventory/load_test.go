package inventory_test

import (
	"fmt"
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/state"
)

// crowd is a rig with stock at one place.
type crowd struct {
	t   testing.TB
	rig *operatortest.Rig
}

func newCrowd(t testing.TB, onHand int64) *crowd {
	t.Helper()
	rig, err := operatortest.NewRig(plan(t), start)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, rig: rig}
	c.tell("stock.received", &event.StockReceived{SKU: sku, Location: "a", Quantity: onHand})
	return c
}

// tell sends an event and counts what came of it, by type.
func (c *crowd) tell(kind string, e state.Visitable) map[string]int {
	c.t.Helper()
	effects, err := c.rig.Tell(kind, e, operatortest.Envelope{})
	if err != nil {
		c.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range effects.Records {
		if d := operatortest.DeadLetterOf(r); d != nil {
			c.t.Fatalf("%s: dead letter %s", kind, d.Code)
		}
		name := r.Type
		if a, ok := r.Payload.Value.(*event.HoldAnswered); ok {
			name = fmt.Sprintf("granted=%t", a.Granted)
		}
		counts[name]++
	}
	return counts
}

func (c *crowd) hold(order string, round int64) map[string]int {
	c.t.Helper()
	return c.tell("hold.asked", &event.HoldAsked{Order: order, Attempt: 1, Round: round, Resource: sku,
		Parts: []event.HoldPart{{Line: 1, Location: "a", Pool: "store", Quantity: 1}}})
}

func (c *crowd) decide(order string, round int64) map[string]int {
	c.t.Helper()
	return c.tell("hold.decided", &event.HoldDecided{Order: order, Attempt: 1, Round: round, Resource: sku})
}

func (c *crowd) ledger() *inventory.LedgerAnswer {
	c.t.Helper()
	a, err := c.rig.Query("inventory", "ledger", sku, &inventory.LedgerQuestion{})
	if err != nil {
		c.t.Fatal(err)
	}
	return a.(*inventory.LedgerAnswer)
}

// More than one call may answer are answered by the calls after it, at once.
func TestManyAreServed(t *testing.T) {
	const many = 700
	t.Run("reservations lost", func(t *testing.T) {
		c := newCrowd(t, many)
		for i := range many {
			c.hold(fmt.Sprint("o", i), 1)
			c.decide(fmt.Sprint("o", i), 1)
		}
		got := c.tell("stock.counted", &event.StockCounted{SKU: sku, Location: "a", Quantity: 10})
		if got["shortfall.found"] != many-10 || c.ledger().Open != 10 {
			t.Errorf("effects = %v, %d open; want %d shortfalls, 10 open", got, c.ledger().Open, many-10)
		}
	})
	t.Run("queue served", func(t *testing.T) {
		c := newCrowd(t, many)
		c.tell("hold.asked", &event.HoldAsked{Order: "first", Attempt: 1, Round: 1, Resource: sku,
			Parts: []event.HoldPart{{Line: 1, Location: "a", Pool: "store", Quantity: many}}})
		for i := range many {
			if got := c.hold(fmt.Sprint("o", i), 2); len(got) > 0 {
				t.Fatalf("effects = %v; want a claim that waits", got)
			}
		}
		got := c.tell("hold.released", &event.HoldReleased{Order: "first", Attempt: 1, Round: 1, Resource: sku, Reason: "replan"})
		if got["granted=true"] != many {
			t.Errorf("effects = %v; want %d granted", got, many)
		}
	})
	t.Run("queue refused", func(t *testing.T) {
		c := newCrowd(t, 1)
		c.hold("first", 1)
		for i := range many {
			c.hold(fmt.Sprint("o", i), 2)
		}
		if got := c.decide("first", 1); got["granted=false"] != many {
			t.Errorf("effects = %v; want %d refused", got, many)
		}
	})
	t.Run("backorders told", func(t *testing.T) {
		c := newCrowd(t, 1)
		c.hold("first", 1)
		for i := range many {
			c.tell("backorder.asked", &event.BackorderAsked{Order: fmt.Sprint("o", i), SKU: sku, Line: 1, Quantity: 1})
		}
		got := c.tell("stock.received", &event.StockReceived{SKU: sku, Location: "a", Quantity: many})
		if got["backorder.ready"] != many || c.ledger().Backorders != 0 {
			t.Errorf("effects = %v, %d left; want %d told", got, c.ledger().Backorders, many)
		}
	})
}

// A place in an order with many lines is one claim.
func TestManyLinesOfOneSKU(t *testing.T) {
	const lines = 1114
	c := newCrowd(t, lines)
	e := &event.HoldAsked{Order: "o", Attempt: 1, Round: 1, Resource: sku}
	for i := range int64(lines) {
		e.Parts = append(e.Parts, event.HoldPart{Line: i + 1, Location: "a", Pool: "store", Quantity: 1})
	}
	if got := c.tell("hold.asked", e); got["granted=true"] != 1 {
		t.Fatalf("effects = %v; want a grant", got)
	}
	c.decide("o", 1)
	c.tell("hold.settled", &event.HoldSettled{Order: "o", Attempt: 1, Resource: sku, Document: "s", Parts: e.Parts})
	if l := c.ledger(); l.Open != 0 || l.Accounts.Sold != lines || l.Accounts.OnHand != 0 {
		t.Errorf("ledger = %+v; want %d sold and nothing open", l, lines)
	}
}

// The work of a hold does not depend on how many others are open.
func BenchmarkHold(b *testing.B) {
	for _, open := range []int{0, 1_000, 20_000} {
		b.Run(fmt.Sprintf("open=%d", open), func(b *testing.B) {
			c := newCrowd(b, 1_000_000)
			for i := range open {
				c.hold(fmt.Sprint("open", i), 1)
				c.decide(fmt.Sprint("open", i), 1)
			}
			i := 0
			for b.Loop() {
				order := fmt.Sprint("o", i)
				c.hold(order, 1)
				c.decide(order, 1)
				c.tell("hold.released", &event.HoldReleased{Order: order, Attempt: 1, Round: 1, Resource: sku})
				i++
			}
		})
	}
}
