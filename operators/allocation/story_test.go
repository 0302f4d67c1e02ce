package allocation_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/operatortest"
	"anabranch.dev/topology/retail"
)

// suite tells stories about orders on the whole shipped plan.
func suite(t testing.TB) *operatortest.Suite {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	order := map[string]string{"channel": "own_online", "location": "web", "currency": "EUR"}
	lineWords := map[string]string{"qty": "quantity", "price": "unit_price"}
	return &operatortest.Suite{
		Plan: plan,
		Verbs: map[string]operatortest.Verb{
			"count":    {Type: "stock.counted", Rename: map[string]string{"on_hand": "quantity"}, Defaults: map[string]string{"pool": "store"}},
			"transfer": {Type: "stock.transferred", Rename: lineWords, Defaults: map[string]string{"pool": "store", "to_pool": "store"}},
			"receive":  {Type: "stock.received", Rename: lineWords, Defaults: map[string]string{"pool": "store"}},
			"place":    {Type: "order.placed", Rename: lineWords, Defaults: order},
			"ship":     {Type: "order.shipped", Rename: lineWords},
			"cancel":   {Type: "order.cancelled", Rename: lineWords},
			"reject":   {Type: "order.rejected", Rename: lineWords},
			"return":   {Type: "return.received", Rename: lineWords, Defaults: map[string]string{"pool": "store"}},
			"sell": {Type: "sale.completed", Rename: lineWords, Defaults: map[string]string{
				"channel": "own_store", "currency": "EUR", "pool": "store"}},
			"policy": {Type: "policy.published", Rename: map[string]string{"rule": "allocation.rule",
				"owner": "allocation.owner", "pool": "allocation.pool", "channels": "allocation.channels",
				"when": "allocation.when", "effect": "allocation.effect", "cost": "allocation.cost"}, Defaults: map[string]string{
				"name":                           "allocation",
				"allocation.shipping_per_parcel": "3",
				"allocation.shipping_per_km":     "0.001",
				"allocation.split_per_parcel":    "2",
				"allocation.handling_per_unit":   "0.2",
				"allocation.capacity_price":      "1",
				"allocation.return_days":         "30",
				"allocation.order_timeout_us":    "1970-01-01T00:00:30Z",
				"allocation.reservation_ttl_us":  "1970-01-15T00:00:00Z",
				"allocation.returns_to":          "on_hand",
				"allocation.partial_orders":      "true",
			}},
		},
		Print: map[string][]string{
			"stock.level":         {},
			"stock.alert":         {"kind", "sku", "location", "expected", "found"},
			"allocation.decided":  {"order", "attempt", "because", "cost.total", "policy.version", "lines.line", "lines.outcome", "lines.reason", "lines.parts"},
			"allocation.failed":   {"order", "attempt", "because", "policy.version", "lines.line", "lines.outcome", "lines.reason"},
			"allocation.released": {"order", "attempt", "reason", "lines.line", "lines.parts"},
		},
	}
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		operatortest.Run(t, path, suite(t))
	})
}
