package sample

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// chance is the random source of the n-th event of a kind.
func chance(kind uint64, n int64) *rand.Rand { return rand.New(rand.NewPCG(kind, uint64(n))) }

// Kinds of chance.
const (
	orderChance = iota + 1
	stockChance
	saleChance
	rushChance
	returnChance
)

// open sends reference data and opening counts.
func (s *Shop) open(ctx context.Context) error {
	var batch []planned
	for i := range places {
		l := &places[i]
		batch = append(batch, planned{topic: "reference", key: "location/" + l.Location, id: "open-" + l.Location, typ: "location", payload: l})
	}
	for i := range products {
		p := &products[i]
		batch = append(batch, planned{topic: "reference", key: "product/" + p.SKU, id: "open-" + p.SKU, typ: "product", payload: p})
	}
	for i := range products {
		for j := range stocked {
			quantity := int64(20)
			if places[j].Kind == "warehouse" {
				quantity = 120
			}
			if products[i].SKU == rushSKU {
				quantity = 2
			}
			id := "open-" + products[i].SKU + "-" + places[j].Location
			batch = append(batch, planned{topic: "stock", key: products[i].SKU, id: id, typ: "stock.counted",
				payload: &event.StockCounted{SKU: products[i].SKU, Location: places[j].Location, Quantity: quantity, Document: id}})
		}
	}
	for _, e := range batch {
		if err := s.deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// order makes the n-th order; some are cancelled shortly after, and now and
// then one names a channel that does not exist.
func (s *Shop) order(n int64) []planned {
	r := chance(orderChance, n)
	number := fmt.Sprintf("A-%06d", n)
	e := newOrder(r, number)
	for line := range 1 + r.Int64N(3) {
		p := pick(r)
		e.Lines = append(e.Lines, event.Line{Line: line + 1, SKU: p.SKU, Quantity: 1 + r.Int64N(2), UnitPrice: p.Price})
	}
	if n%200 == 99 {
		e.Channel = "webshop"
	}
	if n%25 == 7 {
		s.later(2*time.Second, planned{topic: "sales", key: number, id: "C-" + number, typ: "order.cancelled",
			payload: &event.OrderCancelled{Order: number, Document: "C-" + number, Currency: currency}})
	}
	return []planned{{topic: "sales", key: number, id: number, typ: "order.placed", payload: e}}
}

// newOrder makes an order without lines from a random channel to a random town.
func newOrder(r *rand.Rand, number string) *event.OrderPlaced {
	from := &places[[]int{0, 1, 2, 4, 4, 4, 5, 5, 6}[r.IntN(9)]]
	to := towns[r.IntN(len(towns))]
	to.Lat += state.Decimal(r.Int64N(100_000))
	to.Lon += state.Decimal(r.Int64N(100_000))
	return &event.OrderPlaced{Order: number, Channel: from.Channel, Location: from.Location, Currency: currency, Destination: &to,
		Customer: []event.Identifier{{Type: "loyalty", Value: fmt.Sprintf("%05d", r.IntN(500)), Authenticated: true}}}
}

// pick takes any product but the one of the rush.
func pick(r *rand.Rand) *event.Product {
	for {
		if p := &products[r.IntN(len(products))]; p.SKU != rushSKU {
			return p
		}
	}
}

// delivery brings the n-th delivery: about as much as orders take.
func delivery(n int64) planned {
	r := chance(stockChance, n)
	p := pick(r)
	at := places[r.IntN(stocked)].Location
	return received(fmt.Sprintf("D-%06d", n), p.SKU, at, 10+r.Int64N(8))
}

func received(document, sku, location string, quantity int64) planned {
	return planned{topic: "stock", key: sku, id: document, typ: "stock.received",
		payload: &event.StockReceived{SKU: sku, Location: location, Quantity: quantity, Document: document}}
}

// sale is the n-th sale at a till.
func sale(n int64) planned {
	r := chance(saleChance, n)
	at := &places[r.IntN(3)]
	p := pick(r)
	number := fmt.Sprintf("R-%06d", n)
	return planned{topic: "sales", key: number, id: number, typ: "sale.completed",
		payload: &event.SaleCompleted{Receipt: number, Channel: at.Channel, Location: at.Location, Currency: currency,
			Lines: []event.Line{{Line: 1, SKU: p.SKU, Quantity: 1, UnitPrice: p.Price}}}}
}

// rushDelivery brings a few of what everybody will want.
func rushDelivery(n int64) []planned {
	return []planned{
		received(fmt.Sprintf("DR-%04d-1", n), rushSKU, "sanlitun", 8),
		received(fmt.Sprintf("DR-%04d-2", n), rushSKU, "tianjin-dc", 12),
	}
}

// rushOrder is the i-th order of the n-th rush: more than there is.
func rushOrder(n, i int64) planned {
	r := chance(rushChance, n*rushOrders+i)
	number := fmt.Sprintf("X-%04d-%02d", n, i)
	e := newOrder(r, number)
	e.Lines = []event.Line{{Line: 1, SKU: rushSKU, Quantity: 1 + r.Int64N(2), UnitPrice: money(54900)}}
	return planned{topic: "sales", key: number, id: number, typ: "order.placed", payload: e}
}

// returnOf sends one of a few orders back, to any place that takes returns.
func returnOf(order, number string, lines []event.DecidedLine) *event.ReturnReceived {
	var hash int64
	for _, c := range []byte(number) {
		hash = hash*31 + int64(c)
	}
	r := chance(returnChance, hash)
	if r.IntN(15) != 0 || len(lines[0].Parts) == 0 {
		return nil
	}
	at := &places[r.IntN(3)]
	l := &lines[0]
	return &event.ReturnReceived{Order: order, Document: "B-" + number, Channel: at.Channel, Location: at.Location, Currency: currency,
		Lines: []event.Line{{Line: l.Line, SKU: l.SKU, Quantity: 1}}}
}
