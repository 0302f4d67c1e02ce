package allocation

import (
	"slices"
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
)

// Codes of events about an order that can't be applied.
const (
	CodeCancelExceeds = "cancel_exceeds" // more than is left unshipped
	CodeShipExceeds   = "ship_exceeds"   // more than is reserved there
	CodeRejectExceeds = "reject_exceeds" // more than is reserved there
	CodeLineUnknown   = "line_unknown"   // the order has no such line, or another SKU on it
)

// Kinds of documents and parked events.
const (
	kindCancelled = "cancelled"
	kindShipped   = "shipped"
	kindRejected  = "rejected"
	kindReturned  = "returned"
	kindShortfall = "shortfall"
	kindReady     = "ready"
)

func (o *Operator) cancelled(c operators.Context, e *event.OrderCancelled) error {
	return o.take(c, &Parked{Kind: kindCancelled, Document: e.Document, Lines: e.Lines})
}

func (o *Operator) shipped(c operators.Context, e *event.OrderShipped) error {
	return o.take(c, &Parked{Kind: kindShipped, Document: e.Document, Location: e.Location, Lines: e.Lines})
}

func (o *Operator) rejected(c operators.Context, e *event.OrderRejected) error {
	if err := document.CheckName("location", e.Location); err != nil {
		return err
	}
	return o.take(c, &Parked{Kind: kindRejected, Document: e.Document, Location: e.Location, Reason: e.Reason, Lines: e.Lines})
}

func (o *Operator) shortfall(c operators.Context, e *event.ShortfallFound) error {
	row := documentRow(kindShortfall, hold.Key(strconv.FormatInt(e.Attempt, 10), e.SKU, strconv.FormatInt(e.Left, 10)))
	if _, known := o.documents.Get(c, row); known {
		return operators.ErrDuplicate
	}
	o.documents.Set(c, row, Document{Time: c.EventTime()})
	return o.take(c, &Parked{Kind: kindShortfall, Attempt: e.Attempt, SKU: e.SKU, Parts: e.Parts})
}

func (o *Operator) backorderReady(c operators.Context, e *event.BackorderReady) error {
	return o.take(c, &Parked{Kind: kindReady, SKU: e.SKU, Lines: []event.Line{{Line: e.Line, SKU: e.SKU}}})
}

// take applies an event about an order, or parks it while the order has not
// come or is being decided.
func (o *Operator) take(c operators.Context, p *Parked) error {
	p.Time = c.EventTime()
	if hasDocument(p.Kind) {
		row := documentRow(p.Kind, p.Document)
		if _, used := o.documents.Get(c, row); used {
			return operators.ErrDuplicate
		}
		if len(p.Document) > document.MaxText {
			return operators.Rejectf(document.CodeName, "document of %d bytes", len(p.Document))
		}
		o.documents.Set(c, row, Document{Time: p.Time})
	}
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != Decided {
		return o.park(c, p)
	}
	return o.apply(c, &head, p)
}

func hasDocument(kind string) bool { return kind != kindShortfall && kind != kindReady }

// apply applies an event to a decided order.
func (o *Operator) apply(c operators.Context, head *Head, p *Parked) error {
	var err error
	switch p.Kind {
	case kindCancelled:
		err = o.applyCancel(c, head, p)
	case kindShipped:
		err = o.applyShipment(c, head, p)
	case kindRejected:
		err = o.applyRejection(c, head, p)
	case kindReturned:
		err = o.applyReturn(c, head, p)
	case kindShortfall:
		o.applyShortfall(c, head, p)
	case kindReady:
		o.applySupply(c, head, p)
	}
	if err != nil {
		return err
	}
	if head.Reserved == 0 && head.Expiry != 0 {
		head.Expiry = 0
		o.expiryTimer.Clear(c, timerExpiry)
	}
	o.save(c, head)
	return nil
}

// wanted are the lines an event names, or all of the order's, in row order, and
// what it says of each. The event's quantity is 0 where it means all that is
// left; its price is the order's where it names none.
func (o *Operator) wanted(c operators.Context, head *Head, p *Parked) (lines []Line, said []event.Line, err error) {
	if len(p.Lines) == 0 {
		for _, l := range o.listLines(nil, c, head) {
			lines = append(lines, *l)
			said = append(said, event.Line{Line: l.Line, SKU: l.SKU, UnitPrice: l.UnitPrice})
		}
		return lines, said, nil
	}
	if err := document.CheckLines(p.Lines, 0); err != nil {
		return nil, nil, err
	}
	said = slices.Clone(p.Lines)
	slices.SortFunc(said, func(a, b event.Line) int { return cmpInt(a.Line, b.Line) })
	for i := range said {
		l, known := o.line(c, head, said[i].Line)
		if !known || l.SKU != said[i].SKU {
			return nil, nil, operators.Rejectf(CodeLineUnknown, "line %d with SKU %q", said[i].Line, said[i].SKU)
		}
		if said[i].UnitPrice == 0 {
			said[i].UnitPrice = l.UnitPrice
		}
		lines = append(lines, l)
	}
	return lines, said, nil
}

// applyCancel takes units back that have not been shipped: first those that
// wait for supply, then reserved ones, newest first, and last those that were
// not to be had anyway.
func (o *Operator) applyCancel(c operators.Context, head *Head, p *Parked) error {
	lines, said, err := o.wanted(c, head, p)
	if err != nil {
		return err
	}
	u, sum, released := o.undo(c, head), o.total(head, outcomeCancelled), o.total(head, outcomeReleased)
	for i := range lines {
		l := &lines[i]
		left := l.Quantity - l.Shipped - l.Cancelled
		units := said[i].Quantity
		if len(p.Lines) == 0 {
			units = left
		}
		if units > left {
			return operators.Rejectf(CodeCancelExceeds, "line %d: %d to cancel, %d left", l.Line, units, left)
		}
		if units == 0 {
			continue
		}
		l.Cancelled += units
		sum.add(units, said[i].UnitPrice)
		units -= o.cancelBackorder(c, l, units)
		got := u.take(l, units, true, anyPart)
		released.add(got, l.UnitPrice)
		units -= got
		gone := min(units, l.Failed)
		l.Failed -= gone
		l.Expired -= units - gone
		o.setLine(c, head, l)
	}
	if sum.sum.Units == 0 {
		return operators.Rejectf(CodeCancelExceeds, "nothing is left to cancel")
	}
	u.release(reasonCancelled)
	u.shrinkParcels(reasonCancelled)
	u.publish(reasonCancelled)
	sum.emit(c)
	released.emit(c)
	return nil
}

// cancelBackorder takes units out of a line's backorder.
func (o *Operator) cancelBackorder(c operators.Context, l *Line, units int64) int64 {
	units = min(units, l.Backordered)
	if units == 0 {
		return 0
	}
	l.Backordered -= units
	o.AskBackorder.Emit(c, l.SKU, &event.BackorderAsked{Order: c.Key(), SKU: l.SKU, Line: l.Line, Quantity: l.Backordered})
	return units
}

// applyShipment settles reservations whose goods have left. Goods that left after
// their reservation expired have left all the same, if it is said from where.
func (o *Operator) applyShipment(c operators.Context, head *Head, p *Parked) error {
	lines, said, err := o.wanted(c, head, p)
	if err != nil {
		return err
	}
	at := anyPart
	if p.Location != "" {
		at = func(r *ReservedPart) bool { return r.Location == p.Location }
	}
	u, sum := o.undo(c, head), o.total(head, outcomeShipped)
	for i := range lines {
		l := &lines[i]
		units := said[i].Quantity
		if len(p.Lines) == 0 {
			units = l.Reserved()
		}
		got := u.take(l, units, false, at)
		got += u.takeExpired(l, units-got, p.Location)
		if got < units && len(p.Lines) > 0 {
			return operators.Rejectf(CodeShipExceeds, "line %d: %d shipped, %d reserved there", l.Line, units, got)
		}
		if got == 0 {
			continue
		}
		l.Shipped += got
		l.ShippedAt = max(l.ShippedAt, p.Time)
		sum.add(got, l.UnitPrice)
		o.setLine(c, head, l)
	}
	if sum.sum.Units == 0 {
		return operators.Rejectf(CodeShipExceeds, "nothing is reserved there")
	}
	u.settle(p.Document)
	u.sendParcels(p.Document)
	u.served()
	sum.emit(c)
	return nil
}
