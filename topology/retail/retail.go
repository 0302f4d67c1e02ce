// Package retail is the graph that we ship: which operators run, what flows
// between them, and which topics they read and write.
//
// Orders, stock, wishes and reference data come in; allocation decisions, stock
// levels and alerts go out. Each area wires itself in a function of its own, so that
// further operators are added beside the others and change nothing of them.
//
// Start at [Plan].
package retail

import (
	"anabranch.dev/operators/acceptance"
	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/capacity"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/policy"
	"anabranch.dev/operators/receipt"
	"anabranch.dev/operators/reference"
	"anabranch.dev/operators/request"
	"anabranch.dev/operators/totals"
	"anabranch.dev/topology"
)

// Name is the name of the topology.
const Name = "retail"

// Stages.
const (
	StageReference  = "reference"
	StagePolicy     = "policy"
	StageInventory  = "inventory"
	StageCapacity   = "capacity"
	StageAllocation = "allocation"
	StageReceipt    = "receipt"
	StageTotals     = "totals"
	StageAcceptance = "acceptance"
	StageRequest    = "request"
)

// Topic aliases.
const (
	TopicSales        = "sales"
	TopicStock        = "stock"
	TopicInteractions = "interactions"
	TopicReference    = "reference"
	TopicAllocations  = "allocations"
	TopicStockLevels  = "stock-levels"
	TopicAlerts       = "alerts"
	TopicDeadLetters  = "dead-letters" // the core's own
)

// DefaultTopics gives each alias its topic name in Kafka.
func DefaultTopics() map[string]string {
	names := map[string]string{}
	for _, alias := range []string{
		TopicSales, TopicStock, TopicInteractions, TopicReference, TopicAllocations, TopicStockLevels, TopicAlerts,
		TopicDeadLetters,
	} {
		names[alias] = "retail." + alias
	}
	return names
}

// graph is the topology being wired.
type graph struct {
	b          *topology.Builder
	reference  *reference.Operator
	policy     *policy.Operator
	inventory  *inventory.Operator
	capacity   *capacity.Operator
	allocation *allocation.Operator
	receipt    *receipt.Operator
	totals     *totals.Operator
	acceptance *acceptance.Operator
	request    *request.Operator
}

// Plan builds the topology.
func Plan() (*topology.Plan, error) {
	b := topology.New(Name)
	g := &graph{
		b:          b,
		reference:  topology.Add(b, StageReference, &reference.Operator{}),
		policy:     topology.Add(b, StagePolicy, &policy.Operator{}),
		inventory:  topology.Add(b, StageInventory, &inventory.Operator{}),
		capacity:   topology.Add(b, StageCapacity, &capacity.Operator{}),
		allocation: topology.Add(b, StageAllocation, &allocation.Operator{}),
		receipt:    topology.Add(b, StageReceipt, &receipt.Operator{}),
		totals:     topology.Add(b, StageTotals, &totals.Operator{}),
		acceptance: topology.Add(b, StageAcceptance, &acceptance.Operator{}),
		request:    topology.Add(b, StageRequest, &request.Operator{}),
	}
	g.wireReference()
	g.wirePolicy()
	g.wireStock()
	g.wireOrders()
	g.wireHolds()
	g.wireAcceptance()
	g.wireTotals()
	g.wireRequests()
	return b.Build()
}

// wireReference takes the slowly changing facts in, before everything else.
func (g *graph) wireReference() {
	topology.InputTopic(g.b, TopicReference, true)
	topology.Source(g.b, TopicReference, g.reference.Location, reference.LocationKey)
	topology.Source(g.b, TopicReference, g.reference.Product, reference.ProductKey)
	topology.Source(g.b, TopicReference, g.reference.Price, reference.PriceKey)
	topology.Source(g.b, TopicReference, g.reference.Staff, reference.StaffKey)

	topology.Broadcast(g.b, g.reference.Locations, g.inventory.Locations)
	topology.Broadcast(g.b, g.reference.Products, g.inventory.Products)
	topology.Broadcast(g.b, g.reference.Locations, g.capacity.Locations)
	topology.Broadcast(g.b, g.reference.Locations, g.allocation.Locations)
	topology.Broadcast(g.b, g.reference.Products, g.allocation.Products)
}

// wirePolicy lets the API publish policies.
func (g *graph) wirePolicy() {
	topology.Command(g.b, g.policy.Published, func(e *event.PolicyPublished) string { return e.Name })
	topology.Broadcast(g.b, g.policy.Policies, g.inventory.Policies)
	topology.Broadcast(g.b, g.policy.Policies, g.allocation.Policies)
	topology.Connect(g.b, g.allocation.Compared, g.policy.Compared)
}

// wireStock takes in what happens to goods, and sends out how they stand.
func (g *graph) wireStock() {
	topology.Source(g.b, TopicStock, g.inventory.Counted, func(e *event.StockCounted) string { return e.SKU })
	topology.Source(g.b, TopicStock, g.inventory.Received, func(e *event.StockReceived) string { return e.SKU })
	topology.Source(g.b, TopicStock, g.inventory.Transferred, func(e *event.StockTransferred) string { return e.SKU })
	topology.Source(g.b, TopicStock, g.inventory.Adjusted, func(e *event.StockAdjusted) string { return e.SKU })
	topology.Source(g.b, TopicStock, g.inventory.Withheld, func(e *event.StockWithheld) string { return e.SKU })
	topology.Source(g.b, TopicStock, g.inventory.Released, func(e *event.StockReleased) string { return e.SKU })
	topology.Source(g.b, TopicInteractions, g.inventory.AskedFor, func(e *event.StockAsked) string { return e.SKU })
	topology.Sink(g.b, g.inventory.Level, TopicStockLevels, topology.Conflated())
	topology.Sink(g.b, g.inventory.Alert, TopicAlerts)
}

// wireOrders takes in orders, sales and returns, and sends out decisions.
func (g *graph) wireOrders() {
	// An order's or a receipt's number is its key: who has seen the number needs no
	// (source, id) to recognise a repeat.
	topology.Source(g.b, TopicSales, g.allocation.Placed, func(e *event.OrderPlaced) string { return e.Order }, topology.Idempotent())
	topology.Source(g.b, TopicSales, g.allocation.Cancelled, func(e *event.OrderCancelled) string { return e.Order })
	topology.Source(g.b, TopicSales, g.allocation.Shipped, func(e *event.OrderShipped) string { return e.Order })
	topology.Source(g.b, TopicSales, g.allocation.Rejected, func(e *event.OrderRejected) string { return e.Order })
	topology.Source(g.b, TopicSales, g.allocation.Returned, allocation.ReturnKey)
	topology.Source(g.b, TopicSales, g.receipt.Sold, func(e *event.SaleCompleted) string { return e.Receipt }, topology.Idempotent())
	topology.Connect(g.b, g.receipt.Moved, g.inventory.Moved)
	topology.Connect(g.b, g.allocation.MoveGoods, g.inventory.Moved)
	topology.Connect(g.b, g.allocation.Resume, g.allocation.Resumed)
	topology.Sink(g.b, g.allocation.Decided, TopicAllocations, topology.Indexed())
	topology.Sink(g.b, g.allocation.DecisionFailed, TopicAllocations, topology.Indexed())
	topology.Sink(g.b, g.allocation.Released, TopicAllocations)
}

// wireHolds connects orders with what they claim: stock and capacity.
func (g *graph) wireHolds() {
	a, i, p := g.allocation, g.inventory, g.capacity
	topology.Connect(g.b, a.AskStock, i.Asked)
	topology.Connect(g.b, a.HoldStock, i.HoldAsked)
	topology.Connect(g.b, a.DecideStock, i.HoldDecided)
	topology.Connect(g.b, a.ReleaseStock, i.HoldReleased)
	topology.Connect(g.b, a.SettleStock, i.HoldSettled)
	topology.Connect(g.b, a.AskBackorder, i.BackorderAsked)
	topology.Connect(g.b, i.Answered, a.StockAnswered)
	topology.Connect(g.b, i.HoldAnswered, a.StockHeld)
	topology.Connect(g.b, i.Shortfall, a.Shortfall)
	topology.Connect(g.b, i.BackorderReady, a.BackorderSupplied)

	topology.Connect(g.b, a.AskCapacity, p.Asked)
	topology.Connect(g.b, a.HoldCapacity, p.HoldAsked)
	topology.Connect(g.b, a.DecideCapacity, p.HoldDecided)
	topology.Connect(g.b, a.ReleaseCapacity, p.HoldReleased)
	topology.Connect(g.b, a.SettleCapacity, p.HoldSettled)
	topology.Connect(g.b, p.Answered, a.CapacityAnswered)
	topology.Connect(g.b, p.HoldAnswered, a.CapacityHeld)
}

// wireAcceptance learns from how places serve orders.
func (g *graph) wireAcceptance() {
	topology.Connect(g.b, g.allocation.PlaceServed, g.acceptance.Served)
	topology.Broadcast(g.b, g.acceptance.Acceptances, g.allocation.Acceptances)
	topology.Broadcast(g.b, g.acceptance.Acceptances, g.inventory.Acceptances)
}

// wireTotals adds up what is ordered, decided and sold.
func (g *graph) wireTotals() {
	topology.Connect(g.b, g.allocation.TotalsAdded, g.totals.Added)
	topology.Connect(g.b, g.receipt.Totals, g.totals.Added)
}

// wireRequests lets the API ask what an idempotency key stands for.
func (g *graph) wireRequests() {
	topology.Command(g.b, g.request.Made, func(e *event.RequestMade) string { return e.Key })
}
