// Package reference publishes the slowly changing facts: locations, products,
// prices and staff.
//
// Each fact has one key, "type/id", which keeps the event time of the latest
// version it has seen; an older one that arrives late changes nothing. What is
// valid is broadcast to every group. A deleted fact is withdrawn, and its time
// stays, so that a late older version can't bring it back.
//
// Start at [Operator]; what is refused is in check.go.
package reference

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

//go:generate go run anabranch.dev/internal/visitgen .

// Operator checks and broadcasts facts. Its key is a [LocationKey],
// [ProductKey], [PriceKey] or [StaffKey].
type Operator struct {
	Location operators.In[event.Location]
	Product  operators.In[event.Product]
	Price    operators.In[event.Price]
	Staff    operators.In[event.Staff]

	Locations operators.Publication[event.Location] // row: location
	Products  operators.Publication[event.Product]  // row: SKU
	Prices    operators.Publication[event.Price]    // row: [PriceRow]
	StaffList operators.Publication[event.Staff]    // row: staff

	latest operators.Table[Latest]
}

// Latest is the event time of the newest version of a fact.
type Latest struct {
	Time    state.Time `v:"time"`
	Deleted bool       `v:"deleted"`
}

const rowLatest = "latest"

// Keys of facts.
func LocationKey(e *event.Location) string { return "location/" + e.Location }
func ProductKey(e *event.Product) string   { return "product/" + e.SKU }
func PriceKey(e *event.Price) string       { return "price/" + PriceRow(e.SKU, e.Channel) }
func StaffKey(e *event.Staff) string       { return "staff/" + e.Staff }

// PriceRow is the row of an SKU's price in a channel class.
func PriceRow(sku, channel string) string { return sku + "/" + channel }

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.latest = operators.Keeps[Latest](d, "latest", operators.MaxRows(1))
	o.Locations = operators.Publishes[event.Location](d, "locations")
	o.Products = operators.Publishes[event.Product](d, "products")
	o.Prices = operators.Publishes[event.Price](d, "prices")
	o.StaffList = operators.Publishes[event.Staff](d, "staff")
	o.Location = operators.On(d, "location", o.location)
	o.Product = operators.On(d, "product", o.product)
	o.Price = operators.On(d, "price", o.price)
	o.Staff = operators.On(d, "staff", o.staff)
}

func (o *Operator) location(c operators.Context, e *event.Location) error {
	return keep(o, c, o.Locations, e.Location, e, e.Deleted, checkLocation)
}

func (o *Operator) product(c operators.Context, e *event.Product) error {
	return keep(o, c, o.Products, e.SKU, e, e.Deleted, checkProduct)
}

func (o *Operator) price(c operators.Context, e *event.Price) error {
	return keep(o, c, o.Prices, PriceRow(e.SKU, e.Channel), e, e.Deleted, checkPrice)
}

func (o *Operator) staff(c operators.Context, e *event.Staff) error {
	return keep(o, c, o.StaffList, e.Staff, e, e.Deleted, checkStaff)
}

// keep publishes e unless a newer version is known. Of two versions with the
// same event time the one applied later stays.
func keep[E any](o *Operator, c operators.Context, p operators.Publication[E], row string, e *E,
	deleted bool, check func(e *E) error) error {
	if err := checkName(row); err != nil {
		return err
	}
	if !deleted {
		if err := check(e); err != nil {
			return err
		}
	}
	if l, known := o.latest.Get(c, rowLatest); known && l.Time > c.EventTime() {
		return nil
	}
	o.latest.Set(c, rowLatest, Latest{Time: c.EventTime(), Deleted: deleted})
	if deleted {
		p.Withdraw(c, row)
		return nil
	}
	p.Publish(c, row, *e)
	return nil
}
