package inventory_test

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/state"
)

// Unmet demand does not depend on the order in which wishes are heard of, nor on
// how often one comes.
func TestWishesInAnyOrder(t *testing.T) {
	p := plan(t)
	rapid.Check(t, func(t *rapid.T) {
		wishes := rapid.SliceOfN(rapid.Custom(wish), 1, 12).Draw(t, "wishes")
		want := unmet(wishes)
		again := append(rapid.Permutation(wishes).Draw(t, "other order"), known(wishes)...)
		rig := func(list []told) []inventory.Unmet {
			r, err := operatortest.NewRig(p, start+2*state.Day)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range list {
				if _, err := r.Tell(w.kind, w.e, operatortest.Envelope{Time: w.at}); err != nil {
					t.Fatal(err)
				}
			}
			a, err := r.Query("inventory", "stock", sku, &inventory.StockQuestion{})
			if err != nil {
				t.Fatal(err)
			}
			return a.(*inventory.StockAnswer).Unmet
		}
		if got := rig(wishes); !reflect.DeepEqual(counted(got), want) {
			t.Fatalf("unmet demand = %v; by hand it is %v", got, want)
		}
		if got, want := rig(again), rig(wishes); !reflect.DeepEqual(got, want) {
			t.Fatalf("unmet demand in another order = %v; want %v", got, want)
		}
	})
}

func wish(t *rapid.T) told {
	e := &event.StockAsked{SKU: sku, Location: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "location"),
		Quantity: rapid.Int64Range(0, 3).Draw(t, "quantity")}
	if n := rapid.IntRange(0, 3).Draw(t, "customer"); n > 0 {
		e.Customer = []event.Identifier{{Type: "cookie", Value: fmt.Sprint(n % 2)}, {Type: "loyalty", Value: fmt.Sprint(n)}}
	}
	return told{"stock.asked", e, start + state.Time(rapid.IntRange(0, 47).Draw(t, "hour"))*state.Hour}
}

// known are the wishes of customers who are known.
func known(wishes []told) (some []told) {
	for _, w := range wishes {
		if len(w.e.(*event.StockAsked).Customer) > 0 {
			some = append(some, w)
		}
	}
	return some
}

// tally is what must come of wishes, by day and place.
type tally struct{ customers, anonymous, units int64 }

func counted(list []inventory.Unmet) map[string]tally {
	m := map[string]tally{}
	for _, u := range list {
		m[u.Day+u.Location] = tally{u.Customers, u.Anonymous, u.Units}
	}
	return m
}

// unmet counts in the plainest way: of each customer and day the first wish.
func unmet(wishes []told) map[string]tally {
	m, first := map[string]tally{}, map[string]told{}
	for _, w := range wishes {
		e, day := w.e.(*event.StockAsked), w.at.Wall().Format("2006-01-02")
		if len(e.Customer) == 0 {
			u := m[day+e.Location]
			m[day+e.Location] = tally{u.customers, u.anonymous + 1, u.units + max(1, e.Quantity)}
			continue
		}
		who := day + e.Customer[1].Value
		f, asked := first[who]
		if !asked || w.at < f.at {
			first[who] = w
			continue
		}
		g := f.e.(*event.StockAsked)
		if w.at == f.at && (e.Location < g.Location || e.Location == g.Location && max(1, e.Quantity) > max(1, g.Quantity)) {
			first[who] = w
		}
	}
	for who, w := range first {
		e := w.e.(*event.StockAsked)
		at := who[:len("2006-01-02")] + e.Location
		u := m[at]
		m[at] = tally{u.customers + 1, u.anonymous, u.units + max(1, e.Quantity)}
	}
	return m
}
