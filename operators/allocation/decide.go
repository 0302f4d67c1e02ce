package allocation

import (
	"slices"
	"sort"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// Reasons of releases.
const (
	reasonReplan    = "replan"
	reasonCancelled = "cancelled"
	reasonRejected  = "rejected"
	reasonShortfall = "shortfall"
	reasonExpired   = "expired"
)

// maxInline is up to how many effects a decision also asks for backorders and
// resumes parked events itself; a larger one does that in a call of its own.
const maxInline = 4_000

// decision is an attempt being decided.
type decision struct {
	*attempt
	row         Decision
	plan        []byte
	lines       []event.DecidedLine
	allocated   int64
	backordered int64
	open        int64
	whole       bool // must be filled whole and can't be
	waiting     []event.BackorderAsked
	totals      [3]total // allocated, backordered, failed
}

// decide ends the attempt with what this round has been granted: one write of
// the order after all answers.
func (o *Operator) decide(c operators.Context, head *Head, a *attempt) {
	d := &operators.Scratch[scratch](c).decision
	*d = decision{attempt: a, plan: o.plan(c, head),
		row:    Decision{Attempt: head.Attempt, Round: head.Round, Policy: a.policy.Version},
		lines:  make([]event.DecidedLine, 0, o.countDemands(c, head)),
		totals: [3]total{o.total(head, outcomeAllocated), o.total(head, outcomeBackordered), o.total(head, outcomeFailed)},
	}
	d.settleClaims()
	expires := c.LogTime() + a.policy.Allocation.ReservationTTL
	for i := range a.skus {
		d.writeSKU(&a.skus[i], expires)
	}
	d.writeParcels()
	d.publish()
	d.finish(expires)
}

// settleClaims keeps the parts that are granted, stock and capacity both, and
// releases every other claim of the round.
func (d *decision) settleClaims() {
	for i := range d.skus {
		s := &d.skus[i]
		if !d.granted(s.resource) {
			if s.resource.State == resourceClaimed && s.resource.Round == d.head.Round {
				d.o.release(d.c, d.head, kindStock+s.sku, reasonReplan, nil)
			}
			s.dropParts(func(*event.Part) bool { return true })
			continue
		}
		lost := s.dropParts(func(p *event.Part) bool {
			k, _ := d.place(p.Location)
			return !d.capacityGranted(k)
		})
		if len(lost) > 0 {
			d.o.release(d.c, d.head, kindStock+s.sku, reasonReplan, lost)
		}
	}
	if d.whole = d.mustFail(); d.whole {
		d.releaseStock()
	}
	used := d.usedPlaces()
	for k := range d.places {
		if key := d.places[k].capacity; key != "" && !slices.Contains(used, k) {
			d.releaseCapacity(key)
		}
	}
	for i := range d.skus {
		if s := &d.skus[i]; s.hasParts() && !s.resource.Final {
			d.o.DecideStock.Emit(d.c, s.sku, &event.HoldDecided{
				Order: d.c.Key(), Attempt: d.head.Attempt, Round: d.head.Round, Resource: s.sku,
			})
		}
	}
}

func (d *decision) granted(r *Resource) bool {
	return r.State == resourceGranted && r.Round == d.head.Round
}

// capacityGranted says whether a parcel may leave a place.
func (d *decision) capacityGranted(k int) bool {
	key := d.places[k].capacity
	if key == "" {
		return true
	}
	r, _ := d.o.resource(d.c, d.head, kindCapacity+key)
	return d.granted(&r)
}

// releaseStock gives everything back: the order is filled whole or not at all.
func (d *decision) releaseStock() {
	for i := range d.skus {
		if s := &d.skus[i]; s.hasParts() {
			d.o.release(d.c, d.head, kindStock+s.sku, reasonReplan, nil)
			s.dropParts(func(*event.Part) bool { return true })
		}
	}
}

// releaseCapacity gives the claim on a parcel back that nothing will fill.
func (d *decision) releaseCapacity(key string) {
	r, _ := d.o.resource(d.c, d.head, kindCapacity+key)
	if r.Round == d.head.Round && (r.State == resourceGranted || r.State == resourceClaimed) {
		d.o.release(d.c, d.head, kindCapacity+key, reasonReplan, nil)
	}
}

// dropParts takes the parts that fn names from the lines and returns them.
func (s *skuDemand) dropParts(fn func(p *event.Part) bool) []event.HoldPart {
	var lost []event.HoldPart
	for i := range s.lines {
		l := &s.lines[i]
		if !slices.ContainsFunc(l.Parts, func(p event.Part) bool { return fn(&p) }) {
			continue
		}
		var kept []event.Part
		for j := range l.Parts {
			p := &l.Parts[j]
			if fn(p) {
				lost = append(lost, event.HoldPart{Line: l.Line, Location: p.Location, Pool: p.Pool, Quantity: p.Quantity})
				continue
			}
			kept = append(kept, *p)
		}
		l.Parts = kept
	}
	return lost
}

func (s *skuDemand) hasParts() bool {
	for i := range s.lines {
		if len(s.lines[i].Parts) > 0 {
			return true
		}
	}
	return false
}

// publish says what was decided, and keeps why.
func (d *decision) publish() {
	for i := range d.skus {
		d.nearestFirst(&d.skus[i])
	}
	slices.SortFunc(d.lines, func(a, b event.DecidedLine) int { return cmpInt(a.Line, b.Line) })
	d.row.Cost = d.cost()
	d.row.Because = d.because(d.allocated, d.backordered, d.open)
	d.row.Time = d.c.LogTime()
	d.row.Failed = d.allocated == 0 && d.backordered == 0
	e := &event.AllocationDecided{
		Order: d.c.Key(), Attempt: d.head.Attempt, Lines: d.lines, Cost: d.row.Cost,
		Origin:  event.Origin{Channel: d.head.Channel, Location: d.head.Location, Staff: d.head.Staff},
		Because: d.row.Because, Candidate: compared(d.plan),
		Policy: event.PolicyRef{Name: policy.NameAllocation, Version: d.row.Policy},
	}
	out := d.o.Decided
	if d.row.Failed {
		out = d.o.DecisionFailed
	}
	d.row.ID = out.Emit(d.c, d.c.Key(), e)
	d.row.Plan, d.row.Lines = d.plan, d.explainLines()
	d.o.decisions.Set(d.c, fixed(d.head.Attempt, 6), d.row)
	for i := range d.totals {
		d.totals[i].emit(d.c)
	}
	if d.head.Request != "" {
		d.c.Answer(d.head.Request, d.row.ID)
		d.head.Request = ""
	}
}

// sku finds what the attempt wants of an SKU that it has.
func (a *attempt) sku(name string) *skuDemand {
	i := sort.Search(len(a.skus), func(i int) bool { return a.skus[i].sku >= name })
	return &a.skus[i]
}

// finish clears the attempt's rows and goes on with what has waited for it.
func (d *decision) finish(expires state.Time) {
	d.o.orderTimer.Clear(d.c, timerOrder)
	d.o.stepTimer.Clear(d.c, timerStep)
	d.o.forget(d.c, d.head)
	d.head.State, d.head.Pending, d.head.Refused = Decided, 0, 0
	if d.allocated > 0 {
		d.head.Reserved += d.allocated
		if d.head.Expiry == 0 || expires < d.head.Expiry {
			d.o.setExpiry(d.c, d.head, expires)
		}
	}
	if len(d.skus)+len(d.waiting) > maxInline {
		d.o.Resume.Emit(d.c, d.c.Key(), &Resumed{Row: resumeRest})
		return
	}
	for i := range d.waiting {
		d.o.AskBackorder.Emit(d.c, d.waiting[i].SKU, &d.waiting[i])
	}
	d.o.resumeParked(d.c)
}
