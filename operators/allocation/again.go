package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// applyRejection takes a place that can't serve the order out and looks for
// others.
func (o *Operator) applyRejection(c operators.Context, head *Head, p *Parked) error {
	lines, said, err := o.wanted(c, head, p)
	if err != nil {
		return err
	}
	at := func(r *ReservedPart) bool { return r.Location == p.Location }
	u, released := o.undo(c, head), o.total(head, outcomeReleased)
	for i := range lines {
		l := &lines[i]
		units := said[i].Quantity
		if len(p.Lines) == 0 {
			units = l.Reserved()
		}
		got := u.take(l, units, true, at)
		if got < units && len(p.Lines) > 0 {
			return operators.Rejectf(CodeRejectExceeds, "line %d: %d rejected, %d reserved at %s", l.Line, units, got, p.Location)
		}
		released.add(got, l.UnitPrice)
		o.want(c, head, l, got, false)
	}
	if released.sum.Units == 0 {
		return operators.Rejectf(CodeRejectExceeds, "nothing is reserved at %s", p.Location)
	}
	o.rejections.Set(c, p.Location, Rejection{Attempt: head.Attempt, Reason: p.Reason})
	o.PlaceServed.Emit(c, p.Location, &event.PlaceServed{Location: p.Location, Rejected: true})
	u.release(reasonRejected)
	u.shrinkParcels(reasonRejected)
	u.publish(reasonRejected)
	released.emit(c)
	o.again(c, head)
	return nil
}

// applyShortfall looks for other places for units whose goods are gone. Their
// SKU holds them no more. Units that have left the order since are passed over.
func (o *Operator) applyShortfall(c operators.Context, head *Head, p *Parked) {
	u, released := o.undo(c, head), o.total(head, outcomeReleased)
	for i := range p.Parts {
		part := &p.Parts[i]
		l, known := o.line(c, head, part.Line)
		if !known {
			continue
		}
		got := u.take(&l, part.Quantity, true, func(r *ReservedPart) bool {
			return r.Attempt == p.Attempt && r.Location == part.Location && r.Pool == part.Pool
		})
		released.add(got, l.UnitPrice)
		o.want(c, head, &l, got, false)
	}
	if released.sum.Units == 0 {
		return
	}
	u.shrinkParcels(reasonShortfall)
	u.publish(reasonShortfall)
	released.emit(c)
	o.again(c, head)
}

// applySupply tries again for a line that has waited.
func (o *Operator) applySupply(c operators.Context, head *Head, p *Parked) {
	l, known := o.line(c, head, p.Lines[0].Line)
	if !known || l.Backordered == 0 {
		return
	}
	units := l.Backordered
	l.Backordered = 0
	o.want(c, head, &l, units, true)
	o.begin(c, head)
}

// again starts the next attempt, in a call of its own if that is a large one.
func (o *Operator) again(c operators.Context, head *Head) {
	if o.countDemands(c, head) <= maxInline {
		o.begin(c, head)
		return
	}
	head.State = Starting
	o.Resume.Emit(c, c.Key(), &Resumed{Row: resumeBegin})
}

// want writes a line of which units are to be decided about again.
func (o *Operator) want(c operators.Context, head *Head, l *Line, units int64, waited bool) {
	if units == 0 {
		return
	}
	d, _ := o.demand(c, head, l.SKU, l.Line)
	o.setDemand(c, head, &Demand{SKU: l.SKU, Line: l.Line, Quantity: d.Quantity + units, Waited: waited})
	l.Waiting += units
	o.setLine(c, head, l)
}
