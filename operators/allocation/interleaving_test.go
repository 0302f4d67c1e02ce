package allocation_test

import (
	"fmt"
	"testing"

	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
	"anabranch.dev/topology/retail/check"
)

// verify fails if anything in state or output is not as it must be.
func (n *network) verify(t *testing.T, seed uint64) {
	t.Helper()
	view := check.View{Reader: n.store.View(), Shards: []state.Shard{0}}
	vs, err := check.State(n.plan, []check.View{view}, true)
	if err != nil {
		t.Fatal(err)
	}
	out := check.NewOutput()
	for _, r := range n.records {
		out.Add(r)
	}
	for _, v := range append(vs, out.Violations()...) {
		t.Errorf("seed %d: %s", seed, v)
	}
	if t.Failed() {
		for _, r := range n.records {
			t.Logf("%s %s %+v", r.Type, r.Key, r.Payload.Value)
		}
		t.FailNow()
	}
}

func (n *network) line(t *testing.T, order string, line int64) allocation.Line {
	t.Helper()
	s := n.plan.Stage(retail.StageAllocation)
	for _, table := range s.Decl.Tables {
		if table.Name != "heads" {
			continue
		}
		head, ok := n.store.Cell(state.CellID{Stage: s.ID, Key: order}).Get(table, "head").(*allocation.Head)
		if !ok || head.Small == nil {
			t.Fatalf("order %s is not known, or not small: %+v", order, head)
		}
		for _, l := range head.Small.Lines {
			if l.Line == line {
				return l
			}
		}
	}
	t.Fatalf("order %s has no line %d", order, line)
	return allocation.Line{}
}

func retailPlan(t testing.TB) *topology.Plan {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func order(number string, lines ...event.Line) *event.OrderPlaced {
	for i := range lines {
		lines[i].Line, lines[i].UnitPrice = int64(i+1), state.One
	}
	return &event.OrderPlaced{Order: number, Channel: "own_online", Location: "web", Currency: "EUR", Lines: lines}
}

// Whatever the interleaving, of orders racing for the last A and B exactly one
// gets both and the others get neither.
func TestRaceHasOneWinner(t *testing.T) {
	plan := retailPlan(t)
	for seed := range uint64(1_000) {
		n := newNetwork(plan, seed)
		for _, sku := range []string{"A", "B"} {
			n.tell("stock.counted", &event.StockCounted{SKU: sku, Location: "shop", Pool: "store", Quantity: 1})
		}
		n.settle()
		racers := 2 + int(seed%3)
		for i := range racers {
			a, b := event.Line{SKU: "A", Quantity: 1}, event.Line{SKU: "B", Quantity: 1}
			if i%2 == 1 {
				a, b = b, a
			}
			n.tell("order.placed", order(fmt.Sprintf("O%d", i), a, b))
		}
		n.settle()
		n.verify(t, seed)
		winners := 0
		for i := range racers {
			first, second := n.line(t, fmt.Sprintf("O%d", i), 1), n.line(t, fmt.Sprintf("O%d", i), 2)
			if first.Reserved() != second.Reserved() {
				t.Fatalf("seed %d: order O%d got one of two", seed, i)
			}
			winners += int(first.Reserved())
		}
		if winners != 1 {
			t.Fatalf("seed %d: %d winners of %d; want 1", seed, winners, racers)
		}
	}
}

// Many orders queue for two SKUs behind one that is slow to decide: they are
// answered one by one, each by the one before it giving up, and the queue may be
// longer than the longest chain of causes.
func TestLongQueue(t *testing.T) {
	n := newNetwork(retailPlan(t), 1)
	for _, sku := range []string{"A", "Z"} {
		n.tell("stock.counted", &event.StockCounted{SKU: sku, Location: "shop", Pool: "store", Quantity: 1})
	}
	n.settle()
	n.tell("order.placed", order("slow", event.Line{SKU: "Z", Quantity: 1}))
	for !n.next("hold.answered") {
		n.step()
	}
	n.blocked = "allocation/slow"
	const orders = 100
	for i := range orders {
		n.tell("order.placed", order(fmt.Sprintf("O%d", i), event.Line{SKU: "A", Quantity: 1}, event.Line{SKU: "Z", Quantity: 1}))
	}
	n.settle()
	n.blocked = ""
	n.settle()
	n.verify(t, 1)
	slow := n.line(t, "slow", 1)
	var got int64
	for i := range orders {
		l := n.line(t, fmt.Sprintf("O%d", i), 1)
		got += l.Reserved()
	}
	if slow.Reserved() != 1 || got != 1 {
		t.Errorf("%d of Z and %d of A reserved; want one each", slow.Reserved(), got)
	}
}

// next says whether an event of a type waits for delivery.
func (n *network) next(name string) bool {
	for _, l := range n.lanes {
		if len(l.queue) > 0 && l.queue[0].in.Name == name {
			return true
		}
	}
	return false
}

// A busy shop: orders, cancellations, shipments, rejections, walk-ins, counts,
// transfers, full days, timeouts and policy changes, in any interleaving.
func TestInterleavings(t *testing.T) {
	plan := retailPlan(t)
	seeds := uint64(300)
	if testing.Short() {
		seeds = 50
	}
	calls, dead := 0, 0
	for seed := range seeds {
		n := newNetwork(plan, seed)
		busy(n)
		n.settle()
		for range 3 { // let order timers and retries run out
			n.now += state.Minute
			n.settle()
		}
		n.verify(t, seed)
		calls += n.calls
		dead += len(n.dead)
	}
	t.Logf("%d calls, %d dead letters", calls, dead)
}

func busy(n *network) {
	pick := func(names ...string) string { return names[n.rng.IntN(len(names))] }
	sku := func() string { return pick("A", "B", "C") }
	place := func() string { return pick("p1", "p2", "p3") }
	for i, name := range []string{"p1", "p2", "p3"} {
		n.tell("location", &event.Location{Location: name, TakesReturns: true, Pools: []string{"store"},
			DailyCapacity: int64(i * 2), ShippingCost: state.Decimal(i) * state.One})
	}
	for _, s := range []string{"A", "B", "C"} {
		n.tell("stock.counted", &event.StockCounted{SKU: s, Location: place(), Pool: "store", Quantity: int64(n.rng.IntN(5))})
	}
	n.settle()
	for i := range 40 {
		number := fmt.Sprintf("O%d", n.rng.IntN(8))
		document := fmt.Sprintf("D%d", i)
		quantity := int64(1 + n.rng.IntN(3))
		switch n.rng.IntN(14) {
		case 0, 1, 2, 3, 4:
			o := order(number, event.Line{SKU: sku(), Quantity: quantity}, event.Line{SKU: sku(), Quantity: 1}, event.Line{SKU: sku(), Quantity: 2})
			o.Backorder = n.rng.IntN(2) == 0
			n.tell("order.placed", o)
		case 5:
			n.tell("order.cancelled", &event.OrderCancelled{Order: number, Document: document})
		case 6:
			n.tell("order.shipped", &event.OrderShipped{Order: number, Document: document})
		case 7:
			n.tell("order.rejected", &event.OrderRejected{Order: number, Document: document, Location: place()})
		case 8:
			n.tell("sale.completed", &event.SaleCompleted{Receipt: document, Channel: "own_store", Location: place(), Currency: "EUR",
				Lines: []event.Line{{Line: 1, SKU: sku(), Quantity: quantity, UnitPrice: 1}}})
		case 9:
			n.tell("stock.received", &event.StockReceived{SKU: sku(), Location: place(), Pool: "store", Quantity: quantity, Document: document})
		case 10:
			n.tell("stock.transferred", &event.StockTransferred{SKU: sku(), Location: place(), Pool: "store", To: "p1", ToPool: "store",
				Quantity: quantity, Document: document, Arrives: n.now + state.Day})
		case 11:
			n.tell("stock.counted", &event.StockCounted{SKU: sku(), Location: place(), Pool: "store", Quantity: quantity, Document: document})
		case 12:
			n.now += state.Time(n.rng.IntN(40)) * state.Second
		case 13:
			n.tell("policy.published", policyOf(n.rng.IntN(2) == 0))
		}
		for range n.rng.IntN(30) {
			n.step()
		}
	}
}

func policyOf(partial bool) *event.PolicyPublished {
	return &event.PolicyPublished{Name: "allocation", Allocation: &event.AllocationPolicy{
		ShippingPerParcel: state.One, OrderTimeout: 30 * state.Second, ReservationTTL: 14 * state.Day,
		ReturnsTo: "on_hand", PartialOrders: partial, ReturnDays: 30, CapacityPrice: state.One,
	}}
}
