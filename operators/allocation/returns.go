package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// Codes of returns that can't be applied.
const (
	CodeReturnExceeds = "return_exceeds"    // more than was shipped and has not come back
	CodeReturnLate    = "return_late"       // after the product's return days
	CodeNoReturns     = "returns_not_taken" // by this location
)

// returned takes goods back, at any place that takes returns, whatever channel
// they were sold in.
func (o *Operator) returned(c operators.Context, e *event.ReturnReceived) error {
	if err := document.CheckName("document", e.Document); err != nil {
		return err
	}
	if err := document.CheckName("location", e.Location); err != nil {
		return err
	}
	if err := document.CheckLines(e.Lines, 0); err != nil {
		return err
	}
	if l := o.Locations.Get(c, e.Location); l != nil && !l.TakesReturns {
		return operators.Rejectf(CodeNoReturns, "location %s", e.Location)
	}
	p := &Parked{
		Kind: kindReturned, Document: e.Document, Location: e.Location, Pool: e.Pool,
		Channel: e.Channel, Currency: e.Currency, Lines: e.Lines,
	}
	if e.Order != "" {
		return o.take(c, p)
	}
	return o.returnWithoutOrder(c, p)
}

// returnWithoutOrder takes back what no order is known for: its key is the
// return's document.
func (o *Operator) returnWithoutOrder(c operators.Context, p *Parked) error {
	if p.Currency != "" {
		if err := document.CheckCurrency(p.Currency); err != nil {
			return err
		}
	}
	row := documentRow("return without order", p.Document)
	if _, used := o.documents.Get(c, row); used {
		return operators.ErrDuplicate
	}
	o.documents.Set(c, row, Document{Time: c.EventTime()})
	sum := o.total(&Head{Currency: p.Currency}, outcomeReturned)
	for i := range p.Lines {
		l := &p.Lines[i]
		o.moveBack(c, p, l, p.Document)
		sum.add(l.Quantity, l.UnitPrice)
	}
	sum.emit(c)
	return nil
}

// applyReturn takes goods of an order back: at most what was shipped and has
// not come back, within the product's return days.
func (o *Operator) applyReturn(c operators.Context, head *Head, p *Parked) error {
	lines, said, err := o.wanted(c, head, p)
	if err != nil {
		return err
	}
	sum := o.total(head, outcomeReturned)
	for i := range lines {
		l := &lines[i]
		if left := l.Shipped - l.Returned; said[i].Quantity > left {
			return operators.Rejectf(CodeReturnExceeds, "line %d: %d returned, %d are out", l.Line, said[i].Quantity, left)
		}
		if days := o.returnDays(c, l.SKU); p.Time > l.ShippedAt+state.Time(days)*state.Day {
			return operators.Rejectf(CodeReturnLate, "line %d: more than %d days after shipment", l.Line, days)
		}
		l.Returned += said[i].Quantity
		sum.add(said[i].Quantity, said[i].UnitPrice)
		o.setLine(c, head, l)
		o.moveBack(c, p, &event.Line{Line: l.Line, SKU: l.SKU, Quantity: said[i].Quantity}, c.Key()+"/"+p.Document)
	}
	sum.emit(c)
	return nil
}

// moveBack moves a line's goods to the place that received them.
func (o *Operator) moveBack(c operators.Context, p *Parked, l *event.Line, number string) {
	o.MoveGoods.Emit(c, l.SKU, &event.GoodsMoved{
		SKU: l.SKU, Kind: "return", Document: number, Line: l.Line,
		Location: p.Location, Pool: p.Pool, Quantity: l.Quantity,
	})
}

func (o *Operator) returnDays(c operators.Context, sku string) int64 {
	if p := o.Products.Get(c, sku); p != nil && p.ReturnDays > 0 {
		return p.ReturnDays
	}
	return policy.Allocation(c, o.Policies).Allocation.ReturnDays
}
