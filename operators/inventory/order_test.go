package inventory_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/state"
)

// fact is a count or a movement of the order-free property.
type fact struct {
	at    state.Time
	count int64 // -1: a movement
	delta int64
}

// Where stock is ample, what is on hand is the last count plus the movements
// after it, and accounts but for gross shrink and found are the same, in
// whatever order the facts arrive.
func TestCountsAndMovementsInAnyOrder(t *testing.T) {
	p := plan(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "facts")
		facts := make([]fact, n)
		for i := range facts {
			// A time of its own for each, up to an hour back.
			facts[i] = fact{at: start - state.Time(i)*5*state.Minute, count: -1, delta: rapid.Int64Range(-5, 5).Draw(t, "delta")}
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				facts[i].count = rapid.Int64Range(1000, 1010).Draw(t, "count")
			}
		}
		opening := fact{at: start - state.Day, count: 1000}
		rig, err := operatortest.NewRig(p, start)
		if err != nil {
			t.Fatal(err)
		}
		sold := int64(0)
		for i, f := range append([]fact{opening}, rapid.Permutation(facts).Draw(t, "order")...) {
			kind, e := f.event(i)
			if e == nil {
				continue
			}
			if f.count < 0 && f.delta < 0 {
				sold -= f.delta
			}
			effects, err := rig.Tell(kind, e, operatortest.Envelope{Time: f.at})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range effects.Records {
				if d := operatortest.DeadLetterOf(r); d != nil {
					t.Fatalf("dead letter %s", d.Code)
				}
			}
		}
		want := expected(append(facts, opening))
		a, err := rig.Query("inventory", "ledger", sku, &inventory.LedgerQuestion{})
		if err != nil {
			t.Fatal(err)
		}
		books := a.(*inventory.LedgerAnswer).Accounts
		if books.OnHand != want || books.Sold != sold || books.Sum() != 0 {
			t.Fatalf("accounts = %+v; want %d on hand, %d sold", books, want, sold)
		}
	})
}

func (f fact) event(i int) (string, state.Visitable) {
	document := fmt.Sprintf("d%d", i)
	switch {
	case f.count >= 0:
		return "stock.counted", &event.StockCounted{SKU: sku, Location: "a", Quantity: f.count, Document: document}
	case f.delta < 0:
		return "goods.moved", &event.GoodsMoved{SKU: sku, Kind: "sale", Location: "a", Quantity: -f.delta, Document: document}
	case f.delta > 0:
		return "stock.received", &event.StockReceived{SKU: sku, Location: "a", Quantity: f.delta, Document: document}
	}
	return "", nil
}

// expected is the newest count plus the movements after it.
func expected(facts []fact) int64 {
	last := fact{at: -1}
	for _, f := range facts {
		if f.count >= 0 && f.at > last.at {
			last = f
		}
	}
	onHand := last.count
	for _, f := range facts {
		if f.count < 0 && f.at > last.at {
			onHand += f.delta
		}
	}
	return onHand
}
