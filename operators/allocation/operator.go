package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// How long rows live.
const (
	OrderLifetime       = 400 * state.Day // returns come late
	ExplanationLifetime = 7 * state.Day
	DocumentLifetime    = 31 * state.Day
	ParkedLifetime      = 7 * state.Day // an event whose order never comes
)

// MaxRounds is how often an attempt tries.
const MaxRounds = 3

// Operator decides about orders. Its key is an order's number, or for a return
// without order the return's document.
type Operator struct {
	// From outside.
	Placed    operators.In[event.OrderPlaced]
	Cancelled operators.In[event.OrderCancelled]
	Shipped   operators.In[event.OrderShipped]
	Rejected  operators.In[event.OrderRejected]
	Returned  operators.In[event.ReturnReceived]

	// With the SKUs.
	StockAnswered     operators.In[event.AvailabilityAnswered]
	StockHeld         operators.In[event.HoldAnswered]
	Shortfall         operators.In[event.ShortfallFound]
	BackorderSupplied operators.In[event.BackorderReady]
	AskStock          operators.Out[event.AvailabilityAsked]
	HoldStock         operators.Out[event.HoldAsked]
	DecideStock       operators.Out[event.HoldDecided]
	ReleaseStock      operators.Out[event.HoldReleased]
	SettleStock       operators.Out[event.HoldSettled]
	MoveGoods         operators.Out[event.GoodsMoved]
	AskBackorder      operators.Out[event.BackorderAsked]

	// With the capacities.
	CapacityAnswered operators.In[event.AvailabilityAnswered]
	CapacityHeld     operators.In[event.HoldAnswered]
	AskCapacity      operators.Out[event.AvailabilityAsked]
	HoldCapacity     operators.Out[event.HoldAsked]
	DecideCapacity   operators.Out[event.HoldDecided]
	ReleaseCapacity  operators.Out[event.HoldReleased]
	SettleCapacity   operators.Out[event.HoldSettled]

	// With itself: parked events whose time has come.
	Resumed operators.In[Resumed]
	Resume  operators.Out[Resumed]

	// To the outside.
	Decided        operators.Out[event.AllocationDecided]
	DecisionFailed operators.Out[event.AllocationDecided]
	Released       operators.Out[event.AllocationReleased]
	TotalsAdded    operators.Out[event.TotalsAdded]
	Compared       operators.Out[event.ShadowCompared] // to the policy stage; key the policy's name

	// To the places: how they have served.
	PlaceServed operators.Out[event.PlaceServed] // key location

	// What all orders share.
	Locations operators.Broadcast[event.Location]
	Products  operators.Broadcast[event.Product]
	Policies  operators.Broadcast[event.Policy]
	// Acceptances are of the places that are below the usual.
	Acceptances operators.Broadcast[event.Acceptance]

	heads        operators.Table[Head]
	lines        operators.Table[Line]
	demands      operators.Table[Demand]
	resources    operators.Table[Resource]
	plans        operators.Table[Plan] // the running round's
	parcels      operators.Table[Parcel]
	rejections   operators.Table[Rejection]
	documents    operators.Table[Document]
	parked       operators.Table[Parked]
	decisions    operators.Table[Decision]
	explanations operators.Table[Explanation]

	orderTimer  operators.Timer
	stepTimer   operators.Timer
	expiryTimer operators.Timer
}

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.declareTables(d)
	o.declareOuts(d)
	o.Locations = operators.Reads[event.Location](d, "locations")
	o.Products = operators.Reads[event.Product](d, "products")
	o.Policies = operators.Reads[event.Policy](d, "policies")
	o.Acceptances = operators.Reads[event.Acceptance](d, "acceptances")

	o.Placed = operators.On(d, "order.placed", o.place)
	o.Cancelled = operators.On(d, "order.cancelled", o.cancelled)
	o.Shipped = operators.On(d, "order.shipped", o.shipped)
	o.Rejected = operators.On(d, "order.rejected", o.rejected)
	o.Returned = operators.On(d, "return.received", o.returned)
	o.StockAnswered = operators.On(d, "availability.answered", o.stockAnswered)
	o.StockHeld = operators.On(d, "hold.answered", o.stockHeld)
	o.CapacityAnswered = operators.On(d, "capacity.answered", o.capacityAnswered)
	o.CapacityHeld = operators.On(d, "capacity.hold.answered", o.capacityHeld)
	o.Shortfall = operators.On(d, "shortfall.found", o.shortfall)
	o.BackorderSupplied = operators.On(d, "backorder.ready", o.backorderReady)
	o.Resumed = operators.On(d, "event.resumed", o.resumed)

	o.orderTimer = operators.OnTimer(d, "order", operators.LogClock, o.timeUp)
	o.stepTimer = operators.OnTimer(d, "step", operators.LogClock, o.step)
	o.expiryTimer = operators.OnTimer(d, "expiry", operators.LogClock, o.expire)
	operators.Answers(d, "order", o.answerOrder)
	operators.Answers(d, "decision", o.answerDecision)
}

func (o *Operator) declareTables(d *operators.Declaration) {
	order := operators.Lifetime(OrderLifetime)
	o.heads = operators.Keeps[Head](d, "heads", operators.MaxRows(1), order)
	o.lines = operators.Keeps[Line](d, "lines", operators.MaxRows(document.MaxLines), order)
	o.demands = operators.Keeps[Demand](d, "demands", operators.MaxRows(document.MaxLines), order)
	o.resources = operators.Keeps[Resource](d, "resources", operators.MaxRows(document.MaxLines+maxPlaces), order)
	o.plans = operators.Keeps[Plan](d, "plans", operators.MaxRows(1), order)
	o.parcels = operators.Keeps[Parcel](d, "parcels", order)
	o.rejections = operators.Keeps[Rejection](d, "rejections", order)
	o.documents = operators.Keeps[Document](d, "documents", operators.Lifetime(DocumentLifetime))
	o.parked = operators.Keeps[Parked](d, "parked", operators.Lifetime(ParkedLifetime))
	o.decisions = operators.Keeps[Decision](d, "decisions", operators.Lifetime(ExplanationLifetime))
	o.explanations = operators.Keeps[Explanation](d, "explanations", operators.Lifetime(ExplanationLifetime))
}

func (o *Operator) declareOuts(d *operators.Declaration) {
	o.AskStock = operators.Emits[event.AvailabilityAsked](d, "availability.asked")
	o.HoldStock = operators.Emits[event.HoldAsked](d, "hold.asked")
	o.DecideStock = operators.Emits[event.HoldDecided](d, "hold.decided")
	o.ReleaseStock = operators.Emits[event.HoldReleased](d, "hold.released")
	o.SettleStock = operators.Emits[event.HoldSettled](d, "hold.settled")
	o.MoveGoods = operators.Emits[event.GoodsMoved](d, "goods.moved")
	o.AskBackorder = operators.Emits[event.BackorderAsked](d, "backorder.asked")
	o.AskCapacity = operators.Emits[event.AvailabilityAsked](d, "capacity.asked")
	o.HoldCapacity = operators.Emits[event.HoldAsked](d, "capacity.hold.asked")
	o.DecideCapacity = operators.Emits[event.HoldDecided](d, "capacity.hold.decided")
	o.ReleaseCapacity = operators.Emits[event.HoldReleased](d, "capacity.hold.released")
	o.SettleCapacity = operators.Emits[event.HoldSettled](d, "capacity.hold.settled")
	o.Resume = operators.Emits[Resumed](d, "event.resumed")
	o.Decided = operators.Emits[event.AllocationDecided](d, "allocation.decided")
	o.DecisionFailed = operators.Emits[event.AllocationDecided](d, "allocation.failed")
	o.Released = operators.Emits[event.AllocationReleased](d, "allocation.released")
	o.TotalsAdded = operators.Emits[event.TotalsAdded](d, "totals.added")
	o.Compared = operators.Emits[event.ShadowCompared](d, "shadow.compared")
	o.PlaceServed = operators.Emits[event.PlaceServed](d, "place.served")
}

// Keys of events, for the topology.

// ReturnKey is the order, or for a return without one its document.
func ReturnKey(e *event.ReturnReceived) string {
	if e.Order != "" {
		return e.Order
	}
	return e.Document
}
