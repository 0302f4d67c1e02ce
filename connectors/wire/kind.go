package wire

import (
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// sign is what a quantity may be.
type sign uint8

const (
	positive sign = iota
	notNegative
	notZero
)

// kind is what wire knows about one event type from outside.
type kind struct {
	name string
	make func() state.Visitable
	// required fields must be there and not be empty. So must lines, if
	// hasLines says so, and in each line number, SKU and quantity.
	required []string
	hasLines bool
	// priced lines need a unit_price above 0.
	priced   bool
	quantity sign
	// id is set for reference data: the fields that make up the id in its
	// Kafka key, type/id.
	id []string
}

// order.placed and its like, in the order of docs/topics.md.
var kinds = []*kind{
	{name: "order.placed", make: of[event.OrderPlaced], required: []string{"order", "channel", "currency"}, hasLines: true, priced: true},
	{name: "order.cancelled", make: of[event.OrderCancelled], required: []string{"order"}},
	{name: "order.shipped", make: of[event.OrderShipped], required: []string{"order"}},
	{name: "order.rejected", make: of[event.OrderRejected], required: []string{"order", "location"}},
	{name: "sale.completed", make: of[event.SaleCompleted], required: []string{"receipt", "channel", "location", "currency"}, hasLines: true, priced: true},
	{name: "return.received", make: of[event.ReturnReceived], required: []string{"document", "location"}, hasLines: true},
	{name: "stock.counted", make: of[event.StockCounted], required: []string{"sku", "location", "quantity"}, quantity: notNegative},
	{name: "stock.received", make: of[event.StockReceived], required: []string{"sku", "location", "quantity"}},
	{name: "stock.transferred", make: of[event.StockTransferred], required: []string{"sku", "location", "to", "quantity"}},
	{name: "stock.adjusted", make: of[event.StockAdjusted], required: []string{"sku", "location", "quantity"}, quantity: notZero},
	{name: "stock.withheld", make: of[event.StockWithheld], required: []string{"sku", "location", "quantity"}},
	{name: "stock.released", make: of[event.StockReleased], required: []string{"sku", "location", "quantity"}},
	{name: "location", make: of[event.Location], required: []string{"location"}, id: []string{"location"}},
	{name: "product", make: of[event.Product], required: []string{"sku"}, id: []string{"sku"}},
	{name: "price", make: of[event.Price], required: []string{"sku", "channel"}, id: []string{"sku", "channel"}},
	{name: "staff", make: of[event.Staff], required: []string{"staff"}, id: []string{"staff"}},
	{name: "policy.published", make: of[event.PolicyPublished], required: []string{"name"}},
}

var requiredInLine = []string{"line", "sku", "quantity"}

var requiredInPricedLine = []string{"line", "sku", "quantity", "unit_price"}

func of[T any, P interface {
	*T
	state.Visitable
}]() state.Visitable {
	return P(new(T))
}

// kindOf finds an event type by the bytes of its name, or nil.
func kindOf(name []byte) *kind { return kindsByName[string(name)] }

var kindsByName = func() map[string]*kind {
	m := make(map[string]*kind, len(kinds))
	for _, k := range kinds {
		m[k.name] = k
	}
	return m
}()

// Types lists the event types that a Decoder knows.
func Types() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}
