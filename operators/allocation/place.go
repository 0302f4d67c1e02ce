package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Outcomes in totals.
const (
	outcomeOrdered     = "ordered"
	outcomeAllocated   = "allocated"
	outcomeBackordered = "backordered"
	outcomeFailed      = "failed"
	outcomeShipped     = "shipped"
	outcomeCancelled   = "cancelled"
	outcomeReturned    = "returned"
	outcomeReleased    = "released"
)

// place takes an order in and starts its first attempt.
func (o *Operator) place(c operators.Context, e *event.OrderPlaced) error {
	if _, known := o.heads.Get(c, rowHead); known {
		return operators.ErrDuplicate
	}
	if err := checkOrder(e); err != nil {
		return err
	}
	head := Head{
		State: Decided, Channel: e.Channel, Location: e.Location, Staff: e.Staff,
		Currency: e.Currency, Destination: e.Destination, PromisedBy: e.PromisedBy,
		Known: len(e.Customer) > 0, Backorder: e.Backorder, Placed: c.EventTime(), Lines: int64(len(e.Lines)), Request: c.Request(),
	}
	if n := len(e.Lines); n <= maxSmallLines {
		head.Small, head.own = &Small{Lines: make([]Line, 0, n), Demands: make([]Demand, 0, n), Resources: make([]Resource, 0, n)}, ownAll
	}
	sum := o.total(&head, outcomeOrdered)
	for i := range e.Lines {
		l := &e.Lines[i]
		o.setLine(c, &head, &Line{
			Line: l.Line, SKU: l.SKU, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Waiting: l.Quantity,
		})
		o.setDemand(c, &head, &Demand{SKU: l.SKU, Line: l.Line, Quantity: l.Quantity})
		sum.add(l.Quantity, l.UnitPrice)
	}
	sum.emit(c)
	o.begin(c, &head)
	o.save(c, &head)
	return nil
}

func checkOrder(e *event.OrderPlaced) error {
	if err := document.CheckChannel(e.Channel); err != nil {
		return err
	}
	if err := document.CheckCurrency(e.Currency); err != nil {
		return err
	}
	return document.CheckLines(e.Lines, 1)
}

// total collects what is added to the totals of the order's currency.
type total struct {
	o   *Operator
	sum event.TotalsAdded
}

func (o *Operator) total(head *Head, outcome string) total {
	return total{o: o, sum: event.TotalsAdded{Currency: head.Currency, Outcome: outcome, Documents: 1}}
}

func (t *total) add(units int64, price state.Decimal) {
	if units == 0 {
		return
	}
	t.sum.Lines++
	t.sum.Units += units
	t.sum.Amount += state.Decimal(units) * price
}

// emit sends the total unless nothing was added.
func (t *total) emit(c operators.Context) {
	if t.sum.Units == 0 || t.sum.Currency == "" {
		return
	}
	sum := t.sum
	t.o.TotalsAdded.Emit(c, sum.Currency, &sum)
}
