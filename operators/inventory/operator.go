package inventory

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// Operator keeps the stock of one SKU, its key.
type Operator struct {
	Counted     operators.In[event.StockCounted]
	Received    operators.In[event.StockReceived]
	Transferred operators.In[event.StockTransferred]
	Adjusted    operators.In[event.StockAdjusted]
	Withheld    operators.In[event.StockWithheld]
	Released    operators.In[event.StockReleased]
	Moved       operators.In[event.GoodsMoved]
	AskedFor    operators.In[event.StockAsked]

	Asked          operators.In[event.AvailabilityAsked]
	HoldAsked      operators.In[event.HoldAsked]
	HoldDecided    operators.In[event.HoldDecided]
	HoldReleased   operators.In[event.HoldReleased]
	HoldSettled    operators.In[event.HoldSettled]
	BackorderAsked operators.In[event.BackorderAsked]

	Answered       operators.Out[event.AvailabilityAnswered] // key order
	HoldAnswered   operators.Out[event.HoldAnswered]         // key order
	Shortfall      operators.Out[event.ShortfallFound]       // key order
	BackorderReady operators.Out[event.BackorderReady]       // key order
	Level          operators.Out[event.StockLevel]           // key sku/location/pool
	Alert          operators.Out[event.StockAlert]           // key sku/location/pool

	Locations operators.Broadcast[event.Location]
	Products  operators.Broadcast[event.Product]
	Policies  operators.Broadcast[event.Policy]
	// Acceptances are of the places that are below the usual.
	Acceptances operators.Broadcast[event.Acceptance]

	Stock  operators.Query[StockQuestion, StockAnswer]
	Ledger operators.Query[LedgerQuestion, LedgerAnswer]

	book      hold.Book
	shelves   operators.Table[Shelf]     // by location and pool
	movements operators.Table[Movement]  // by location, pool and event time
	accounts  operators.Table[Accounts]  // one row
	documents operators.Table[Document]  // by kind, number and what else tells them apart
	transfers operators.Table[Transfer]  // by document
	inbound   operators.Table[Inbound]   // by arrival and document, of dated transfers on their way
	waiting   operators.Table[Backorder] // by order and line
	turns     operators.Table[Turn]      // by number
	woken     operators.Table[Woken]     // by order and line
	backlog   operators.Table[Backlog]   // one row

	conditions operators.Table[Condition] // by kind, location and pool: what an alert told of
	askers     operators.Table[Asker]     // by day and customer
	unmet      operators.Table[Unmet]     // by day and location

	again     operators.Timer // id: shelf whose waiting claims or shortfall one call could not finish
	supply    operators.Timer // goes on with backorders
	forgotten operators.Timer // id: transfer that was not heard of for long
}

// Bounds of what is kept.
const (
	// MaxShelves is how many locations and pools can hold an SKU.
	MaxShelves = 1 << 16
	// MovementsKept is for how long after their arrival movements are kept;
	// a count that is older than movements no longer kept is refused.
	MovementsKept = 2 * state.Day
	// DocumentsKept is how long document numbers are known.
	DocumentsKept = 31 * state.Day
	// TransferKept is how long after the last news an open transfer is
	// written off.
	TransferKept = 90 * state.Day
	// MaxTransfers is how many transfers of an SKU are known at a time.
	MaxTransfers = 1 << 16
	// MaxBackorders is how many order lines can wait for an SKU.
	MaxBackorders = 1 << 20
	// WokenKept is how long a backorder that was told of supply keeps its turn.
	WokenKept = state.Day
	// ConditionKept is for how long a condition that nobody ended is not told
	// again.
	ConditionKept = 31 * state.Day
	// UnmetKept is how long unmet demand is known, by day.
	UnmetKept = 92 * state.Day
	// MaxQuantity is the largest quantity of one event.
	MaxQuantity = hold.MaxQuantity
	// clockSlack is how far event time may run ahead of log time.
	clockSlack = 5 * state.Minute
)

// Declare implements [operators.Operator].
func (o *Operator) Declare(d *operators.Declaration) {
	o.declareTables(d)

	o.Answered = operators.Emits[event.AvailabilityAnswered](d, "availability.answered")
	o.HoldAnswered = operators.Emits[event.HoldAnswered](d, "hold.answered")
	o.Shortfall = operators.Emits[event.ShortfallFound](d, "shortfall.found")
	o.BackorderReady = operators.Emits[event.BackorderReady](d, "backorder.ready")
	o.Level = operators.Emits[event.StockLevel](d, "stock.level")
	o.Alert = operators.Emits[event.StockAlert](d, "stock.alert")

	o.Counted = operators.On(d, "stock.counted", o.counted)
	o.Received = operators.On(d, "stock.received", o.received)
	o.Transferred = operators.On(d, "stock.transferred", o.transferred)
	o.Adjusted = operators.On(d, "stock.adjusted", o.adjusted)
	o.Withheld = operators.On(d, "stock.withheld", o.withheld)
	o.Released = operators.On(d, "stock.released", o.released)
	o.Moved = operators.On(d, "goods.moved", o.moved)
	o.AskedFor = operators.On(d, "stock.asked", o.askedFor)

	o.Asked = operators.OnRequest(d, "availability.asked", o.asked, o.Answered, hold.RefuseAvailability)
	o.HoldAsked = operators.OnRequest(d, "hold.asked", o.holdAsked, o.HoldAnswered, hold.RefuseHold)
	o.HoldDecided = operators.On(d, "hold.decided", o.holdDecided)
	o.HoldReleased = operators.On(d, "hold.released", o.holdReleased)
	o.HoldSettled = operators.On(d, "hold.settled", o.holdSettled)
	o.BackorderAsked = operators.On(d, "backorder.asked", o.backorderAsked)

	o.Locations = operators.Reads[event.Location](d, "locations")
	o.Products = operators.Reads[event.Product](d, "products")
	o.Policies = operators.Reads[event.Policy](d, "policies")
	o.Acceptances = operators.Reads[event.Acceptance](d, "acceptances")

	o.again = operators.OnTimer(d, "again", operators.LogClock, o.catchUp)
	o.supply = operators.OnTimer(d, "supply", operators.LogClock, o.serveBacklog)
	o.forgotten = operators.OnTimer(d, "forgotten_transfer", operators.LogClock, o.writeOff)

	o.Stock = operators.Answers(d, "stock", o.answerStock)
	o.Ledger = operators.Answers(d, "ledger", o.answerLedger)
}

func (o *Operator) declareTables(d *operators.Declaration) {
	o.book.Declare(d)
	o.shelves = operators.Keeps[Shelf](d, "shelves", operators.MaxRows(MaxShelves))
	o.movements = operators.Keeps[Movement](d, "movements", operators.Lifetime(MovementsKept))
	o.accounts = operators.Keeps[Accounts](d, "accounts", operators.MaxRows(1))
	o.documents = operators.Keeps[Document](d, "documents", operators.Lifetime(DocumentsKept))
	o.transfers = operators.Keeps[Transfer](d, "transfers", operators.MaxRows(MaxTransfers))
	o.inbound = operators.Keeps[Inbound](d, "inbound", operators.MaxRows(MaxTransfers))
	o.waiting = operators.Keeps[Backorder](d, "backorders", operators.MaxRows(MaxBackorders))
	o.turns = operators.Keeps[Turn](d, "backorder_turns", operators.MaxRows(MaxBackorders))
	o.woken = operators.Keeps[Woken](d, "woken_backorders", operators.Lifetime(WokenKept))
	o.backlog = operators.Keeps[Backlog](d, "backlog", operators.MaxRows(1))
	o.conditions = operators.Keeps[Condition](d, "conditions", operators.Lifetime(ConditionKept))
	o.askers = operators.Keeps[Asker](d, "askers", operators.Lifetime(DocumentsKept))
	o.unmet = operators.Keeps[Unmet](d, "unmet_demand", operators.Lifetime(UnmetKept))
}
