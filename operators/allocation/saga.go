package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
)

// Ids of the order's timers, of which there is one each.
const (
	timerOrder = "order"
	timerStep  = "step"
)

// begin starts the next attempt over the demand rows: it asks every SKU once.
func (o *Operator) begin(c operators.Context, head *Head) {
	head.Attempt++
	head.Round, head.Refused, head.Pending = 0, 0, 0
	head.State, head.Started = Asking, c.LogTime()
	last := ""
	var skus []string
	o.demands.Scan(c, "", func(row string, _ *Demand) bool {
		if sku := skuOf(row); sku != last {
			skus = append(skus, sku)
			last = sku
		}
		return true
	})
	for _, sku := range skus {
		o.resources.Set(c, kindStock+sku, Resource{State: resourceAsked})
		o.AskStock.Emit(c, sku, &event.AvailabilityAsked{Order: c.Key(), Attempt: head.Attempt, Resource: sku})
	}
	head.Pending = int64(len(skus))
	timeout := policy.Allocation(c, o.Policies).Allocation.OrderTimeout
	o.orderTimer.Set(c, timerOrder, c.LogTime()+timeout)
}

// stockAnswered files what an SKU could promise; the last answer moves on.
func (o *Operator) stockAnswered(c operators.Context, e *event.AvailabilityAnswered) error {
	return o.answered(c, e, Asking, kindStock+e.Resource, o.measure)
}

// capacityAnswered files what a place's day has left.
func (o *Operator) capacityAnswered(c operators.Context, e *event.AvailabilityAnswered) error {
	return o.answered(c, e, Measuring, kindCapacity+e.Resource, o.plan)
}

// answered files an answer. One that nobody waits for (any more) is ignored.
func (o *Operator) answered(c operators.Context, e *event.AvailabilityAnswered, in, row string, then func(operators.Context, *Head)) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != in || head.Attempt != e.Attempt {
		return nil
	}
	res, asked := o.resources.Get(c, row)
	if !asked || res.State != resourceAsked {
		return nil
	}
	res.State, res.Places, res.Inbound = resourceKnown, trim(e.Places), e.Inbound
	if e.Fault != "" {
		res.State, res.Fault = resourceUnusable, e.Fault
	}
	o.resources.Set(c, row, res)
	head.Pending--
	if head.Pending == 0 {
		then(c, &head)
	}
	o.heads.Set(c, rowHead, head)
	return nil
}

// measure asks for the capacity of places that are limited and could serve.
func (o *Operator) measure(c operators.Context, head *Head) {
	a := o.load(c, head, true)
	var keys []string
	for i := range a.places {
		if p := &a.places[i]; p.capacity != "" && p.why == "" && p.offers > 0 {
			keys = append(keys, p.capacity)
		}
	}
	if len(keys) == 0 {
		o.plan(c, head)
		return
	}
	head.State, head.Pending = Measuring, int64(len(keys))
	for _, key := range keys {
		o.resources.Set(c, kindCapacity+key, Resource{State: resourceAsked})
		o.AskCapacity.Emit(c, key, &event.AvailabilityAsked{Order: c.Key(), Attempt: head.Attempt, Resource: key})
	}
}

// plan starts the next round, or decides at once when there is nothing to claim.
// If what is free does not suffice but what other orders hold without having
// decided would, it queues for that.
func (o *Operator) plan(c operators.Context, head *Head) {
	head.Round++
	head.Refused, head.Pending = 0, 0
	a := o.load(c, head, false)
	result := a.choose()
	if result.best.filled < a.wanted() {
		b := o.load(c, head, true)
		if more := b.choose(); more.best.filled > result.best.filled {
			a, result = b, more
			head.Round = max(2, head.Round)
		}
	}
	o.plans.Set(c, rowPlan, a.explain(&result))
	if a.assign(&result) == 0 || a.mustFail() {
		a.drop()
		o.decide(c, head, a)
		return
	}
	a.store()
	head.State = Holding
	if head.Round > 1 {
		o.claimNext(c, head, "")
		return
	}
	for _, row := range a.claimedRows() {
		o.claim(c, head, row, a)
		head.Pending++
	}
}

// claimNext asks for the next open claim from a resource row on, in the one order in
// which every order asks. After the last the round is over.
func (o *Operator) claimNext(c operators.Context, head *Head, from string) {
	next := ""
	o.resources.ScanFrom(c, "", from, func(row string, r *Resource) bool {
		if r.State == resourceClaimed && r.Round == head.Round {
			next = row
			return false
		}
		return true
	})
	if next == "" {
		o.stepTimer.Set(c, timerStep, c.LogTime())
		return
	}
	head.Pending = 1
	o.claim(c, head, next, nil)
}

// claim asks a resource for this round's parts.
func (o *Operator) claim(c operators.Context, head *Head, row string, a *attempt) {
	ask := event.HoldAsked{Order: c.Key(), Attempt: head.Attempt, Round: head.Round, Resource: row[len(kindStock):]}
	if row[:len(kindStock)] == kindStock {
		ask.Parts = o.parts(c, ask.Resource)
		o.HoldStock.Emit(c, ask.Resource, &ask)
		return
	}
	location := ""
	if a != nil {
		location = a.locationOf(ask.Resource)
	} else if r, ok := o.resources.Get(c, row); ok && len(r.Places) > 0 {
		location = r.Places[0].Location
	}
	ask.Parts = []event.HoldPart{{Location: location, Quantity: 1}}
	o.HoldCapacity.Emit(c, ask.Resource, &ask)
}

// parts are this round's parts of an SKU, all its lines together.
func (o *Operator) parts(c operators.Context, sku string) []event.HoldPart {
	var parts []event.HoldPart
	o.demands.Scan(c, demandPrefix(sku), func(_ string, d *Demand) bool {
		for i := range d.Parts {
			p := &d.Parts[i]
			parts = append(parts, event.HoldPart{Line: d.Line, Location: p.Location, Pool: p.Pool, Quantity: p.Quantity})
		}
		return true
	})
	return parts
}

// stockHeld files an SKU's answer to a claim.
func (o *Operator) stockHeld(c operators.Context, e *event.HoldAnswered) error {
	return o.held(c, e, kindStock+e.Resource)
}

// capacityHeld files a capacity's answer to a claim.
func (o *Operator) capacityHeld(c operators.Context, e *event.HoldAnswered) error {
	return o.held(c, e, kindCapacity+e.Resource)
}

// held files the answer to a claim. Answers of an earlier attempt or round are
// ignored: whatever was out when the order moved on has been released since.
func (o *Operator) held(c operators.Context, e *event.HoldAnswered, row string) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != Holding || head.Attempt != e.Attempt || head.Round != e.Round {
		return nil
	}
	res, asked := o.resources.Get(c, row)
	if !asked || res.State != resourceClaimed || res.Round != e.Round {
		return nil
	}
	res.State = resourceGranted
	if !e.Granted {
		res.State = resourceRefused
		res.Places = trim(e.Places)
		head.Refused++
	}
	o.resources.Set(c, row, res)
	o.advance(c, &head, row)
	o.heads.Set(c, rowHead, head)
	return nil
}

// advance goes on after an answer. Round 1 waits for all; later rounds go on
// one by one, and all but the last give up at the first refusal.
func (o *Operator) advance(c operators.Context, head *Head, row string) {
	head.Pending--
	switch {
	case head.Round > 1 && head.Refused > 0 && head.Round < MaxRounds:
		o.stepTimer.Set(c, timerStep, c.LogTime())
	case head.Round > 1:
		o.claimNext(c, head, row)
	case head.Pending == 0:
		o.endRound(c, head)
	}
}

// endRound decides, or tries again if a claim was refused and rounds are left.
func (o *Operator) endRound(c operators.Context, head *Head) {
	if head.Refused > 0 && head.Round < MaxRounds {
		o.giveUp(c, head)
		o.plan(c, head)
		return
	}
	o.decide(c, head, o.load(c, head, false))
}

// step ends a round after the first. It is a timer, due at once, because such a
// round often ends when another order decides: a queue of orders must not become
// a chain of causes as long as the queue.
func (o *Operator) step(c operators.Context, _ string) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != Holding || head.Round < 2 || head.Pending > 0 {
		return nil
	}
	o.endRound(c, &head)
	o.heads.Set(c, rowHead, head)
	return nil
}

// giveUp releases what this round has been granted, before the next begins.
func (o *Operator) giveUp(c operators.Context, head *Head) {
	var rows []string
	o.resources.Scan(c, "", func(row string, r *Resource) bool {
		if r.Round == head.Round && r.State == resourceGranted {
			rows = append(rows, row)
		}
		return true
	})
	for _, row := range rows {
		o.release(c, head, row, reasonReplan, nil)
	}
}

// release gives a claim of this round back, or parts of it.
func (o *Operator) release(c operators.Context, head *Head, row, reason string, parts []event.HoldPart) {
	e := &event.HoldReleased{
		Order: c.Key(), Attempt: head.Attempt, Round: head.Round,
		Resource: row[len(kindStock):], Reason: reason, Parts: parts,
	}
	if row[:len(kindStock)] == kindStock {
		o.ReleaseStock.Emit(c, e.Resource, e)
		return
	}
	o.ReleaseCapacity.Emit(c, e.Resource, e)
}

// timeUp forces the decision with what has been granted so far.
func (o *Operator) timeUp(c operators.Context, _ string) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State == Decided {
		return nil
	}
	a := o.load(c, &head, false)
	a.late = true
	if head.State != Holding {
		head.Round = 0
		a.drop()
	}
	o.decide(c, &head, a)
	o.heads.Set(c, rowHead, head)
	return nil
}

// maxTrimmedBytes keeps a resource row below the limit of a row.
const maxTrimmedBytes = 48 << 10

// trim bounds what an answer says: places with most to promise stay.
func trim(places []event.Available) []event.Available {
	bytes := 0
	for i := range places {
		bytes += len(places[i].Location) + len(places[i].Pool) + 64
	}
	if len(places) <= maxPlaces && bytes <= maxTrimmedBytes {
		return places
	}
	return mostATP(places)
}
