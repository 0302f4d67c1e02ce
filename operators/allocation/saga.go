package allocation

import (
	"slices"

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
	sc := operators.Scratch[scratch](c)
	sc.demands = o.listDemands(sc.demands[:0], c, head, "")
	last := ""
	for _, d := range sc.demands {
		if d.SKU == last {
			continue
		}
		last = d.SKU
		o.setResource(c, head, &Resource{Key: kindStock + last, State: resourceAsked})
		o.AskStock.Emit(c, last, &event.AvailabilityAsked{Order: c.Key(), Attempt: head.Attempt, Resource: last})
		head.Pending++
	}
	timeout := policy.Allocation(c, o.Policies).Allocation.OrderTimeout
	o.orderTimer.Set(c, timerOrder, c.LogTime()+timeout)
}

// stockAnswered files what an SKU could promise; the last answer moves on.
func (o *Operator) stockAnswered(c operators.Context, e *event.AvailabilityAnswered) error {
	return o.answered(c, e, Asking, kindStock+e.Resource, o.measure)
}

// capacityAnswered files what a place's day has left.
func (o *Operator) capacityAnswered(c operators.Context, e *event.AvailabilityAnswered) error {
	return o.answered(c, e, Measuring, kindCapacity+e.Resource, o.nextRound)
}

// answered files an answer. One that nobody waits for (any more) is ignored.
func (o *Operator) answered(c operators.Context, e *event.AvailabilityAnswered, in, row string, then func(operators.Context, *Head)) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != in || head.Attempt != e.Attempt {
		return nil
	}
	res, asked := o.resource(c, &head, row)
	if !asked || res.State != resourceAsked {
		return nil
	}
	res.State, res.Places, res.Inbound = resourceKnown, trim(e.Places), e.Inbound
	if e.Fault != "" {
		res.State, res.Fault = resourceUnusable, e.Fault
	}
	o.setResource(c, &head, &res)
	head.Pending--
	if head.Pending == 0 {
		then(c, &head)
	}
	o.save(c, &head)
	return nil
}

// measure asks for the capacity of places that are limited and could serve.
func (o *Operator) measure(c operators.Context, head *Head) {
	o.fixPolicy(c, head)
	a := o.load(c, head, 0, true)
	var keys []string
	for i := range a.places {
		if p := &a.places[i]; p.capacity != "" && p.why == "" && p.offers > 0 {
			keys = append(keys, p.capacity)
		}
	}
	if len(keys) == 0 {
		a.hope = false // which makes a difference to capacities only, and none is known
		o.choose(c, head, a)
		return
	}
	head.State, head.Pending = Measuring, int64(len(keys))
	for _, key := range keys {
		o.setResource(c, head, &Resource{Key: kindCapacity + key, State: resourceAsked})
		o.AskCapacity.Emit(c, key, &event.AvailabilityAsked{Order: c.Key(), Attempt: head.Attempt, Resource: key})
	}
}

// nextRound chooses again from what is known now.
func (o *Operator) nextRound(c operators.Context, head *Head) {
	if o.overtaken(c, head) {
		head.State = Asking
		o.measure(c, head)
		return
	}
	o.choose(c, head, o.load(c, head, 0, false))
}

// choose starts the next round, or decides at once when there is nothing to
// claim. If what is free does not suffice but what other orders hold without
// having decided would, it queues for that.
func (o *Operator) choose(c operators.Context, head *Head, a *attempt) {
	first := head.Round == 0
	head.Round++
	head.Refused, head.Pending = 0, 0
	result := a.choose()
	if result.best.filled < a.wanted() {
		b := o.load(c, head, 1, true)
		if more := b.choose(); more.best.filled > result.best.filled {
			a, result = b, more
			head.Round = max(2, head.Round)
		}
	}
	o.setPlan(c, head, a.explain(result))
	none := a.assign(result) == 0 || a.mustFail()
	if none {
		a.drop()
	}
	if first {
		o.compare(a)
	}
	if none {
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
	next := o.claimFrom(c, head, from)
	if next == "" {
		o.stepTimer.Set(c, timerStep, c.LogTime())
		return
	}
	head.Pending = 1
	o.claim(c, head, next, nil)
}

// claim asks a resource for this round's parts.
func (o *Operator) claim(c operators.Context, head *Head, row string, a *attempt) {
	r, known := o.resource(c, head, row)
	ask := &event.HoldAsked{Order: c.Key(), Attempt: head.Attempt, Round: head.Round, Final: r.Final, Resource: row[len(kindStock):]}
	if row[:len(kindStock)] == kindStock {
		ask.Parts = o.parts(c, head, ask.Resource)
		o.HoldStock.Emit(c, ask.Resource, ask)
		return
	}
	location := ""
	if a != nil {
		location = a.locationOf(ask.Resource)
	} else if known && len(r.Places) > 0 {
		location = r.Places[0].Location
	}
	ask.Parts = []event.HoldPart{{Location: location, Quantity: 1}}
	o.HoldCapacity.Emit(c, ask.Resource, ask)
}

// parts are this round's parts of an SKU, all its lines together.
func (o *Operator) parts(c operators.Context, head *Head, sku string) []event.HoldPart {
	sc := operators.Scratch[scratch](c)
	sc.demands = o.listDemands(sc.demands[:0], c, head, sku)
	n := 0
	for _, d := range sc.demands {
		n += len(d.Parts)
	}
	parts := make([]event.HoldPart, 0, n)
	for _, d := range sc.demands {
		for i := range d.Parts {
			p := &d.Parts[i]
			parts = append(parts, event.HoldPart{Line: d.Line, Location: p.Location, Pool: p.Pool, Quantity: p.Quantity})
		}
	}
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
	res, asked := o.resource(c, &head, row)
	if !asked || res.State != resourceClaimed || res.Round != e.Round {
		return nil
	}
	res.State = resourceGranted
	if !e.Granted {
		res.State = resourceRefused
		res.Places = trim(e.Places)
		head.Refused++
	}
	o.setResource(c, &head, &res)
	o.advance(c, &head, row)
	o.save(c, &head)
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

// endRound decides, or tries again if a claim was refused and rounds are left, or
// if what is claimed was chosen under a policy that is not kept any more.
func (o *Operator) endRound(c operators.Context, head *Head) {
	if head.Refused > 0 && head.Round < MaxRounds || o.overtaken(c, head) {
		o.giveUp(c, head, resourceGranted)
		o.nextRound(c, head)
		return
	}
	o.decide(c, head, o.load(c, head, 0, false))
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
	o.save(c, &head)
	return nil
}

// giveUp releases this round's claims that are in one of the states.
func (o *Operator) giveUp(c operators.Context, head *Head, states ...string) {
	for _, r := range o.listResources(nil, c, head, "") {
		if r.Round == head.Round && slices.Contains(states, r.State) {
			o.release(c, head, r.Key, reasonReplan, nil)
		}
	}
}

// release gives a claim of this round back, or parts of it.
func (o *Operator) release(c operators.Context, head *Head, row, reason string, parts []event.HoldPart) {
	e := &event.HoldReleased{
		Order: c.Key(), Attempt: head.Attempt, Round: head.Round,
		Resource: row[len(kindStock):], Reason: reason, Parts: parts,
	}
	if len(parts) > 0 {
		head.Releases++
		e.Number = head.Releases
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
	if head.State == Holding && o.overtaken(c, &head) {
		o.giveUp(c, &head, resourceGranted, resourceClaimed)
		o.setPlan(c, &head, nil)
		head.State = Asking
	}
	if head.State == Asking || o.overtaken(c, &head) {
		o.fixPolicy(c, &head)
	}
	a := o.load(c, &head, 0, false)
	a.late = true
	if head.State != Holding {
		head.Round = 0
		a.drop()
	}
	o.decide(c, &head, a)
	o.save(c, &head)
	return nil
}

// maxTrimmedBytes keeps a resource row below the limit of a row.
const maxTrimmedBytes = 48 << 10

// trim bounds what an answer says: places with most to promise stay.
func trim(places []event.Available) []event.Available {
	if len(places) <= maxPlaces && placesBytes(places) <= maxTrimmedBytes {
		return places
	}
	return mostATP(places)
}
