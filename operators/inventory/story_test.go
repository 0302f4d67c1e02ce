package inventory_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/acceptance"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/operators/policy"
	"anabranch.dev/operators/reference"
	"anabranch.dev/topology"
)

// plan is inventory with its reference data; what orders say to it comes from
// topics, so that a test can say anything, and what it answers goes to them.
func plan(t testing.TB) *topology.Plan {
	t.Helper()
	b := topology.New("inventory test")
	inv := topology.Add(b, "inventory", &inventory.Operator{})
	ref := topology.Add(b, "reference", &reference.Operator{})
	pol := topology.Add(b, "policy", &policy.Operator{})
	topology.Source(b, "reference", ref.Location, reference.LocationKey)
	topology.Source(b, "reference", ref.Product, reference.ProductKey)
	topology.Source(b, "reference", ref.Price, reference.PriceKey)
	topology.Source(b, "reference", ref.Staff, reference.StaffKey)
	topology.Source(b, "reference", pol.Published, func(e *event.PolicyPublished) string { return e.Name })
	topology.Broadcast(b, ref.Locations, inv.Locations)
	topology.Broadcast(b, ref.Products, inv.Products)
	topology.Broadcast(b, pol.Policies, inv.Policies)
	topology.Source(b, "orders", pol.Compared, func(e *event.ShadowCompared) string { return e.Name })
	acc := topology.Add(b, "acceptance", &acceptance.Operator{})
	topology.Source(b, "orders", acc.Served, func(e *event.PlaceServed) string { return e.Location })
	topology.Broadcast(b, acc.Acceptances, inv.Acceptances)

	topology.Source(b, "stock", inv.Counted, func(e *event.StockCounted) string { return e.SKU })
	topology.Source(b, "stock", inv.Received, func(e *event.StockReceived) string { return e.SKU })
	topology.Source(b, "stock", inv.Transferred, func(e *event.StockTransferred) string { return e.SKU })
	topology.Source(b, "stock", inv.Adjusted, func(e *event.StockAdjusted) string { return e.SKU })
	topology.Source(b, "stock", inv.Withheld, func(e *event.StockWithheld) string { return e.SKU })
	topology.Source(b, "stock", inv.Released, func(e *event.StockReleased) string { return e.SKU })
	topology.Source(b, "stock", inv.Moved, func(e *event.GoodsMoved) string { return e.SKU })
	topology.Source(b, "interactions", inv.AskedFor, func(e *event.StockAsked) string { return e.SKU })
	topology.Source(b, "orders", inv.Asked, func(e *event.AvailabilityAsked) string { return e.Resource })
	topology.Source(b, "orders", inv.HoldAsked, func(e *event.HoldAsked) string { return e.Resource })
	topology.Source(b, "orders", inv.HoldDecided, func(e *event.HoldDecided) string { return e.Resource })
	topology.Source(b, "orders", inv.HoldReleased, func(e *event.HoldReleased) string { return e.Resource })
	topology.Source(b, "orders", inv.HoldSettled, func(e *event.HoldSettled) string { return e.Resource })
	topology.Source(b, "orders", inv.BackorderAsked, func(e *event.BackorderAsked) string { return e.SKU })
	topology.Sink(b, inv.Answered, "answers")
	topology.Sink(b, inv.HoldAnswered, "answers")
	topology.Sink(b, inv.Shortfall, "answers")
	topology.Sink(b, inv.BackorderReady, "answers")
	topology.Sink(b, inv.Level, "stock-levels")
	topology.Sink(b, inv.Alert, "alerts")
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verbs are the words of the stories. They are all about one SKU.
func verbs() map[string]operatortest.Verb {
	sku := func(more ...string) map[string]string {
		d := map[string]string{"sku": "glasses-7"}
		for i := 0; i < len(more); i += 2 {
			d[more[i]] = more[i+1]
		}
		return d
	}
	resource := map[string]string{"resource": "glasses-7", "attempt": "1", "round": "1"}
	onHand := map[string]string{"on_hand": "quantity"}
	return map[string]operatortest.Verb{
		"count":      {Type: "stock.counted", Rename: onHand, Defaults: sku()},
		"receive":    {Type: "stock.received", Defaults: sku()},
		"transfer":   {Type: "stock.transferred", Rename: map[string]string{"from": "location"}, Defaults: sku()},
		"adjust":     {Type: "stock.adjusted", Defaults: sku()},
		"withhold":   {Type: "stock.withheld", Defaults: sku()},
		"unwithhold": {Type: "stock.released", Defaults: sku()},
		"sell":       {Type: "goods.moved", Defaults: sku("kind", "sale", "quantity", "1", "line", "1")},
		"return":     {Type: "goods.moved", Defaults: sku("kind", "return", "quantity", "1", "line", "1")},
		"move":       {Type: "goods.moved", Defaults: sku("quantity", "1", "line", "1")},
		"wish":       {Type: "stock.asked", Defaults: sku()},
		"served":     {Type: "place.served"},
		"ask":        {Type: "availability.asked", Defaults: resource},
		"hold":       {Type: "hold.asked", Defaults: resource},
		"decide":     {Type: "hold.decided", Defaults: resource},
		"release":    {Type: "hold.released", Defaults: resource},
		"settle":     {Type: "hold.settled", Defaults: map[string]string{"resource": "glasses-7", "attempt": "1"}},
		"backorder":  {Type: "backorder.asked", Defaults: sku("line", "1")},
		"location":   {Type: "location", Defaults: map[string]string{"channel": "own_store", "kind": "store"}},
		"product":    {Type: "product", Defaults: sku()},
		"policy": {Type: "policy.published", Defaults: map[string]string{"name": "allocation",
			"allocation.order_timeout_us": "30s", "allocation.reservation_ttl_us": "14d",
			"allocation.returns_to": "on_hand", "allocation.return_days": "30"}},
	}
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		operatortest.Run(t, path, &operatortest.Suite{Plan: plan(t), Verbs: verbs(), Print: map[string][]string{
			"stock.level":           {"location", "pool", "on_hand=", "reserved", "withheld", "in_transit", "safety_stock", "atp=", "confidence"},
			"hold.answered":         {"order", "attempt", "round", "granted", "reason", "places.location", "places.atp="},
			"availability.answered": {"order", "fault", "places", "inbound"},
			"stock.alert":           {"kind", "location", "expected", "found", "document", "here", "safety_stock", "elsewhere", "places", "staff"},
			"shortfall.found":       {"order", "attempt", "parts"},
			"backorder.ready":       {"order", "line"},
		}})
	})
}
