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
	anyQuantity
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
	// identifiers is how many the list of that name must have, those left out
	// that identify nobody.
	identifiers int
	// id is set for reference data: the fields that make up the id in its
	// Kafka key, type/id.
	id []string
	// codes are further string fields that are kept as given.
	codes []string
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
	{name: "stock.asked", make: of[event.StockAsked], required: []string{"sku", "location"}},
	{name: "location", make: of[event.Location], required: []string{"location"}, id: []string{"location"}},
	{name: "product", make: of[event.Product], required: []string{"sku"}, id: []string{"sku"}},
	{name: "price", make: of[event.Price], required: []string{"sku", "channel"}, id: []string{"sku", "channel"}},
	{name: "reader", make: of[event.Reader], required: []string{"reader", "antenna"}, id: []string{"reader", "antenna"}},
	{name: "beacon", make: of[event.Beacon], required: []string{"beacon"}, id: []string{"beacon"}},
	{name: "district", make: of[event.District], required: []string{"district"}, id: []string{"district"}},
	{name: "campaign", make: of[event.Campaign], required: []string{"campaign"}, id: []string{"campaign"}},
	{name: "staff", make: of[event.Staff], required: []string{"staff"}, id: []string{"staff"}},
	{name: "policy.published", make: of[event.PolicyPublished], required: []string{"name"}},
	{name: "tag.read", make: of[event.TagRead], required: []string{"epc", "reader", "antenna"}},
	{name: "beacon.ping", make: of[event.BeaconPing], required: []string{"device", "beacon", "rssi_dbm"}},
	{name: "product.searched", make: of[event.Click]},
	{name: "product.listed", make: of[event.Click]},
	{name: "product.clicked", make: of[event.Click], required: sku},
	{name: "product.viewed", make: of[event.Click], required: sku},
	{name: "product.favourited", make: of[event.Click], required: sku},
	{name: "product.unfavourited", make: of[event.Click], required: sku},
	{name: "product.shared", make: of[event.Click], required: sku},
	{name: "product.reviewed", make: of[event.Click], required: sku},
	{name: "cart.added", make: of[event.Click], required: sku},
	{name: "cart.removed", make: of[event.Click], required: sku},
	{name: "cart.viewed", make: of[event.Click]},
	{name: "checkout.started", make: of[event.Click]},
	{name: "promotion.viewed", make: of[event.Click], required: []string{"campaign"}},
	{name: "promotion.clicked", make: of[event.Click], required: []string{"campaign"}},
	{name: "identity.linked", make: of[event.IdentityLinked], identifiers: 2},
	{name: "identity.split", make: of[event.IdentitySplit], identifiers: 2},
	{name: "consent.changed", make: of[event.ConsentChanged], required: []string{"purpose", "granted"}, identifiers: 1},
	{name: "subject.erased", make: of[event.SubjectErased], identifiers: 1},
	{name: "staff.assisted", make: of[event.StaffAssisted], required: []string{"staff"}},
	{name: "code.scanned", make: of[event.CodeScanned], required: []string{"code"}},
	{name: "service.contacted", make: of[event.ServiceContacted], required: []string{"medium"}},
	{name: "service.resolved", make: of[event.ServiceResolved], required: []string{"case"}},
	{name: "social.posted", make: of[event.SocialPosted], required: []string{"platform"}},
	{name: "social.followed", make: of[event.SocialFollowed], required: []string{"platform"}},
	{name: "social.shared", make: of[event.SocialShared], required: []string{"platform"}},
	{name: "ad.shown", make: of[event.AdShown]},
	{name: "feedback.given", make: of[event.FeedbackGiven]},
	{name: "coupon.claimed", make: of[event.CouponClaimed], required: []string{"campaign"}},
	{name: "coupon.redeemed", make: of[event.CouponRedeemed], required: []string{"code"}},
	{name: "agent.status", make: of[event.AgentStatus], required: []string{"staff", "available"}},
	{name: "alert.acknowledged", make: of[event.AlertAcknowledged], required: []string{"alert"}},
	{name: "alert.outcome", make: of[event.AlertOutcome], required: []string{"alert", "outcome"}},
}

var sku = []string{"sku"}

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
