package allocation

import (
	"fmt"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// Render says in full what a decision was made from.
func (d *Decision) Render(h *Head) (row DecisionRow) {
	row = DecisionRow{ID: d.ID, Attempt: d.Attempt, Round: d.Round, Time: d.Time, Failed: d.Failed, Because: d.Because,
		Policy: event.PolicyRef{Name: policy.NameAllocation, Version: d.Policy},
		Origin: event.Origin{Channel: h.Channel, Location: h.Location, Staff: h.Staff}, Cost: d.Cost}
	if len(d.Plan) == 0 {
		return row
	}
	k := known{b: d.Plan}
	row.Places = make([]PlaceTerms, k.count())
	for i := range row.Places {
		row.Places[i].Location = k.text()
	}
	row.Compared, row.Pruned = k.number(), k.number()
	wanted := k.number()
	best := plan{filled: k.number(), cost: state.Decimal(k.number())}
	split := state.Decimal(k.number())
	for i := range row.Places {
		t := &row.Places[i]
		t.Split = split
		k.place(t)
	}
	row.Plans = make([]PlanCost, k.count())
	for i := range row.Plans {
		p := &row.Plans[i]
		p.Unfilled, p.Total = wanted-k.number(), state.Decimal(k.number())
		for range k.count() {
			p.Locations = append(p.Locations, k.reference(row.Places))
		}
	}
	if more := k.number(); more > 0 {
		row.Bound = fmt.Sprintf("%d more places: alone each fills at most %d units, or as many at %s or more",
			more, k.number(), state.Decimal(k.number()))
	}
	k.rules(row.Places)
	for i := range row.Places {
		row.Places[i].judge(&best)
	}
	return row
}

// reference is the location of a place that is named by its position or, if it
// is not listed, by its location.
func (k *known) reference(places []PlaceTerms) string {
	i := k.number()
	if i >= 0 && i < int64(len(places)) {
		return places[i].Location
	}
	return k.text()
}

// place reads a place's cost terms.
func (k *known) place(t *PlaceTerms) {
	t.Metres = k.number()
	t.Shipping, t.Distance = state.Decimal(k.number()), state.Decimal(k.number())
	t.Capacity, t.Handling = state.Decimal(k.number()), state.Decimal(k.number())
	t.Acceptance = state.Decimal(k.number())
	t.Fills, t.Free = k.number(), k.number()
	t.Chosen = k.number() == 1
	t.Why = k.text()
}

// judge works out what a place would cost alone and why it was not chosen.
func (t *PlaceTerms) judge(best *plan) {
	if t.Fills > 0 {
		t.Alone = t.Shipping + t.Distance + t.Capacity + t.Acceptance + t.Rules + t.Handling*state.Decimal(t.Fills)
	}
	switch {
	case t.Chosen:
		t.Why = ""
	case t.Why != "":
	case t.Fills == 0:
		t.Why = whyShort
	case t.Fills < best.filled:
		t.Why = fmt.Sprintf("fills %d of %d alone", t.Fills, best.filled)
	case t.Alone > best.cost:
		t.Why = "dearer by " + (t.Alone - best.cost).String()
	default:
		t.Why = "equal cost, later name"
	}
}

// renderLines says in full why lines are served as they are.
func renderLines(lines []LineExplanation, stored []byte, row *DecisionRow) []LineExplanation {
	k := known{b: stored}
	for len(k.b) > 0 {
		l := LineExplanation{Line: k.number(), SKU: k.text(), Quantity: k.number(), Outcome: k.text(), Reason: k.text()}
		for range k.count() {
			l.Parts = append(l.Parts, event.Part{Location: k.text(), Pool: k.text(), Quantity: k.number()})
		}
		offers, pool := k.count(), ""
		l.Omitted = k.number()
		for range offers {
			o := k.offer(row, pool)
			pool = o.Pool
			l.Candidates = append(l.Candidates, o)
		}
		if !k.broken {
			lines = append(lines, l)
		}
	}
	return lines
}

func (k *known) offer(row *DecisionRow, pool string) LineOffered {
	o := LineOffered{Location: k.reference(row.Places), Pool: k.text()}
	if o.Pool == "" {
		o.Pool = pool
	}
	o.OnHand, o.Reserved, o.Withheld, o.Safety, o.ATP = k.number(), k.number(), k.number(), k.number(), k.number()
	o.Confidence = state.One - state.Decimal(k.number())
	o.Taken = k.number()
	switch o.Why = k.text(); {
	case o.Why != "":
	case o.ATP == o.Taken && o.Taken == 0:
		o.Why = whyShort
	case o.Taken == 0:
		o.Why = whyOf(row, o.Location)
	}
	return o
}

// whyOf is why a place is not in the plan; a place of the plan that this line
// did not need says nothing.
func whyOf(row *DecisionRow, location string) string {
	for i := range row.Places {
		if row.Places[i].Location == location {
			return row.Places[i].Why
		}
	}
	return "beyond the bound"
}
