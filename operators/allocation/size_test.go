package allocation_test

import (
	"fmt"
	"testing"

	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// bigShop is a rig with so many SKUs at so many places.
func bigShop(t testing.TB, skus, places int) *operatortest.Rig {
	t.Helper()
	rig, err := operatortest.NewRig(retailPlan(t), start)
	if err != nil {
		t.Fatal(err)
	}
	for place := range places {
		tell(t, rig, "location", &event.Location{Location: fmt.Sprintf("p%d", place), Pools: []string{"store"},
			TakesReturns: true, Lat: 50*state.One + state.Decimal(place)*state.One/10, Lon: state.One})
	}
	for sku := range skus {
		for place := range places {
			tell(t, rig, "stock.counted", &event.StockCounted{SKU: fmt.Sprintf("S%04d", sku),
				Location: fmt.Sprintf("p%d", place), Pool: "store", Quantity: 1_000_000})
		}
	}
	return rig
}

func tell(t testing.TB, rig *operatortest.Rig, eventType string, e state.Visitable) *operatortest.Effects {
	t.Helper()
	effects, err := rig.Tell(eventType, e, operatortest.Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range effects.Records {
		if d := operatortest.DeadLetterOf(r); d != nil {
			t.Fatalf("%s: dead letter %s at %s", eventType, d.Code, d.Stage)
		}
	}
	return effects
}

func bigOrder(number string, lines int) *event.OrderPlaced {
	o := order(number)
	o.Destination = &event.Destination{Lat: 50 * state.One, Lon: state.One}
	for i := range lines {
		o.Lines = append(o.Lines, event.Line{Line: int64(i + 1), SKU: fmt.Sprintf("S%04d", i), Quantity: 2, UnitPrice: state.One})
	}
	return o
}

// The largest real order has 1,114 lines; the largest allowed one 8,000.
func TestLargeOrders(t *testing.T) {
	for _, lines := range []int{1_114, 8_000} {
		if lines > 2_000 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprint(lines), func(t *testing.T) {
			rig := bigShop(t, lines, 2)
			effects := tell(t, rig, "order.placed", bigOrder("O1", lines))
			var decided []*event.AllocationDecided
			for _, r := range effects.Records {
				if e, ok := r.Payload.Value.(*event.AllocationDecided); ok {
					decided = append(decided, e)
				}
			}
			if len(decided) != 1 || len(decided[0].Lines) != lines {
				t.Fatalf("%d decisions; want one of %d lines", len(decided), lines)
			}
			for _, l := range decided[0].Lines {
				if l.Outcome != event.Allocated || len(l.Parts) != 1 || l.Parts[0].Location != "p0" {
					t.Fatalf("line %d: %+v; want all from p0", l.Line, l)
				}
			}
			if got, want := decided[0].Because, "nearest with stock, no split"; got != want {
				t.Errorf("because %q; want %q", got, want)
			}
			tell(t, rig, "order.cancelled", &event.OrderCancelled{Order: "O1", Document: "K1", Lines: []event.Line{{Line: 7, SKU: "S0006", Quantity: 1}}})
			tell(t, rig, "order.rejected", &event.OrderRejected{Order: "O1", Document: "R1", Location: "p0"})
			tell(t, rig, "order.shipped", &event.OrderShipped{Order: "O1", Document: "S1"})
			answer, err := rig.Query(retail.StageAllocation, "order", "O1", &allocation.OrderQuestion{})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range answer.(*allocation.OrderState).Lines {
				want := int64(2)
				if l.Line == 7 {
					want = 1
				}
				if l.Shipped != want {
					t.Fatalf("line %d: %d shipped; want %d", l.Line, l.Shipped, want)
				}
			}
			wantExplanation(t, rig, lines)
		})
	}
}

// wantExplanation checks that every line is explained, and that explanations
// keep to the size of a row with room to spare.
func wantExplanation(t *testing.T, rig *operatortest.Rig, lines int) {
	t.Helper()
	const most = 20 << 10
	rows := 0
	err := rig.Rows(retail.StageAllocation, "O1", func(table *state.Table, row string, value state.Visitable) {
		if table.Name != "explanations" && table.Name != "decisions" {
			return
		}
		rows++
		if n := sizeOf(value); n > most {
			t.Errorf("row %s of %s has %d bytes; want at most %d", row, table.Name, n, most)
		}
	})
	if err != nil || rows < 3 {
		t.Errorf("%d rows of explanations, error %v", rows, err)
	}
	answer, err := rig.Query(retail.StageAllocation, "order", "O1", &allocation.OrderQuestion{Explained: true})
	if err != nil {
		t.Fatal(err)
	}
	first := answer.(*allocation.OrderState).Decisions[0].ID
	answer, err = rig.Query(retail.StageAllocation, "decision", "O1", &allocation.DecisionQuestion{ID: first})
	if err != nil {
		t.Fatal(err)
	}
	explained := answer.(*allocation.DecisionState).Lines
	if len(explained) != lines {
		t.Fatalf("%d lines explained; want %d", len(explained), lines)
	}
	for i, l := range explained {
		if l.Line != int64(i+1) || len(l.Candidates) != 2 || l.Candidates[0].Taken != 2 || l.Candidates[1].Why == "" {
			t.Fatalf("explanation %+v; want line %d, taken from the first of two places", l, i+1)
		}
	}
}

// An order of few lines whose SKUs are at very many places has no room in one row
// while it is being decided; what becomes of it is the same.
func TestSmallOrderOfManyPlaces(t *testing.T) {
	const lines, places = 8, 120
	rig := bigShop(t, lines, places)
	for _, r := range tell(t, rig, "order.placed", bigOrder("O1", lines)).Records {
		if e, ok := r.Payload.Value.(*event.AllocationDecided); ok && (len(e.Lines) != lines || e.Lines[0].Parts[0].Location != "p0") {
			t.Errorf("decision %+v; want all lines from p0", e)
		}
	}
	rows := 0
	err := rig.Rows(retail.StageAllocation, "O1", func(table *state.Table, row string, value state.Visitable) {
		switch head, isHead := value.(*allocation.Head); {
		case isHead && head.Small != nil:
			t.Error("the order still is a small one; want more places in this test")
		case table.Name == "lines":
			rows++
		case table.Name == "demands" || table.Name == "resources" || table.Name == "plans":
			t.Errorf("row %s of %s is left", row, table.Name)
		}
	})
	if err != nil || rows != lines {
		t.Errorf("%d rows of lines, error %v; want %d", rows, err, lines)
	}
	tell(t, rig, "order.rejected", &event.OrderRejected{Order: "O1", Document: "R1", Location: "p0"})
	tell(t, rig, "order.shipped", &event.OrderShipped{Order: "O1", Document: "S1"})
	answer, err := rig.Query(retail.StageAllocation, "order", "O1", &allocation.OrderQuestion{})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range answer.(*allocation.OrderState).Lines {
		if l.Line != int64(i+1) || l.Shipped != 2 {
			t.Errorf("line %+v; want line %d shipped whole", l, i+1)
		}
	}
}

// BenchmarkOrder measures an order from event to decision on the core, over the
// reference store: its time per line must not grow with the order.
func BenchmarkOrder(b *testing.B) {
	for _, lines := range []int{1, 20, 200, 1_114} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			rig := bigShop(b, lines, 8)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				tell(b, rig, "order.placed", bigOrder(fmt.Sprintf("O%d", i), lines))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*lines), "µs/line")
		})
	}
}
