package sample

import (
	"fmt"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

const currency = "CNY"

// degrees converts degrees into millionths.
func degrees(f float64) state.Decimal { return state.Decimal(f * float64(state.One)) }

func money(cents int64) state.Decimal { return state.Decimal(cents) * state.One / 100 }

// places of the sample: where stock is, then where orders only come from.
var places = []event.Location{
	{Location: "sanlitun", Kind: "store", Format: "street", Channel: "own_store", Lat: degrees(39.933), Lon: degrees(116.454), Region: "BJ", City: "Beijing", Tier: 1,
		TakesReturns: true, HandlingCost: money(150), ShippingCost: money(500), DailyCapacity: 5000},
	{Location: "jingan", Kind: "store", Format: "mall", Channel: "own_store", Lat: degrees(31.229), Lon: degrees(121.448), Region: "SH", City: "Shanghai", Tier: 1,
		TakesReturns: true, HandlingCost: money(150), ShippingCost: money(500)},
	{Location: "taikoo", Owner: "sichuan-optics", Kind: "store", Format: "mall", Channel: "franchise_store", Lat: degrees(30.653), Lon: degrees(104.083), Region: "SC", City: "Chengdu", Tier: 2,
		TakesReturns: true, HandlingCost: money(150), ShippingCost: money(500)},
	{Location: "tianjin-dc", Kind: "warehouse", Channel: "own_online", Lat: degrees(39.085), Lon: degrees(117.201), Region: "TJ", City: "Tianjin", Tier: 2,
		HandlingCost: money(100), ShippingCost: money(550)},
	{Location: "web", Kind: "web", Channel: "own_online"},
	{Location: "marketplace", Kind: "web", Channel: "marketplace"},
	{Location: "livestream", Kind: "web", Channel: "social"},
}

// stocked is how many of the places hold stock.
const stocked = 4

// towns are where orders go to.
var towns = []event.Destination{
	{Lat: degrees(39.904), Lon: degrees(116.407), Region: "BJ"},
	{Lat: degrees(31.230), Lon: degrees(121.474), Region: "SH"},
	{Lat: degrees(30.573), Lon: degrees(104.067), Region: "SC"},
	{Lat: degrees(23.129), Lon: degrees(113.264), Region: "GD"},
	{Lat: degrees(34.342), Lon: degrees(108.940), Region: "SN"},
}

// rushSKU is what everybody wants at once, now and then.
const rushSKU = "lamp-9"

// products of the sample: three kinds, ten of each.
var products = makeProducts()

func makeProducts() []event.Product {
	var all []event.Product
	for _, kind := range []struct {
		name, category string
		cents          int64
	}{{"glasses", "eyewear", 89900}, {"lamp", "lighting", 45900}, {"mug", "kitchen", 12900}} {
		for i := range int64(10) {
			all = append(all, event.Product{SKU: fmt.Sprintf("%s-%d", kind.name, i), Brand: "Sample", Category: kind.category,
				Price: money(kind.cents + i*1000), Currency: currency, ReturnDays: 30, SafetyStock: 1})
		}
	}
	return all
}
