package allocation

import (
	"fmt"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// Limits of explanation rows.
const (
	maxExplainedPlaces = 32 // of a decision
	maxExplainedOffers = 16 // of a line
	maxExplainedBytes  = 1_700
)

// explain turns a choice into the row that its decision will keep.
func (a *attempt) explain(result *choice) DecisionRow {
	row := DecisionRow{
		Attempt: a.head.Attempt, Round: a.head.Round,
		Policy:   event.PolicyRef{Name: policy.NameAllocation, Version: a.policy.Version},
		Compared: result.compared, Pruned: result.pruned,
	}
	row.Plans = make([]PlanCost, 0, len(result.plans))
	row.Places = make([]PlaceTerms, 0, min(len(a.places), maxExplainedPlaces))
	for i := range result.plans {
		pl := &result.plans[i]
		cost := PlanCost{Unfilled: a.wanted() - pl.filled, Total: pl.cost}
		for _, k := range pl.places {
			cost.Locations = append(cost.Locations, a.places[k].location)
		}
		row.Plans = append(row.Plans, cost)
	}
	chosen := make([]bool, len(a.places))
	for _, k := range result.best.places {
		chosen[k] = true
	}
	listed := make([]bool, len(a.places))
	list := func(k int) {
		if !listed[k] && len(row.Places) < maxExplainedPlaces {
			listed[k] = true
			row.Places = append(row.Places, a.terms(k, chosen[k], result))
		}
	}
	for _, k := range result.best.places {
		list(k)
	}
	for _, k := range result.candidates {
		list(k)
	}
	if able := a.able(); able > len(result.candidates) {
		last := &a.solved.places[result.candidates[len(result.candidates)-1]]
		row.Bound = fmt.Sprintf("%d more places: alone each fills at most %d units, or as many at %s or more",
			able-len(result.candidates), last.fills, last.alone)
	}
	for k := range a.places {
		list(k)
	}
	return row
}

// able is how many places could fill anything.
func (a *attempt) able() int {
	n := 0
	for i := range a.solved.places {
		if a.solved.places[i].fills > 0 {
			n++
		}
	}
	return n
}

func (a *attempt) wanted() int64 {
	var n int64
	for i := range a.skus {
		n += a.skus[i].quantity
	}
	return n
}

// terms are a place's cost terms, and why it was not chosen.
func (a *attempt) terms(k int, chosen bool, result *choice) PlaceTerms {
	p, q := &a.places[k], &a.solved.places[k]
	t := PlaceTerms{
		Location: p.location, Metres: p.metres, Shipping: p.shipping, Distance: p.distance,
		Capacity: p.price, Split: a.policy.Allocation.SplitPerParcel, Handling: p.unit,
		Fills: q.fills, Alone: q.alone, Free: p.free, Chosen: chosen,
	}
	if q.fills == 0 {
		t.Alone = 0
	}
	if !chosen {
		t.Why = a.lost(p, q, &result.best)
	}
	return t
}

// lost says why a place is not in the chosen plan.
func (a *attempt) lost(p *placeInfo, q *candidate, best *plan) string {
	switch {
	case p.why != "":
		return p.why
	case q.fills == 0:
		return whyShort
	case q.fills < best.filled:
		return fmt.Sprintf("fills %d of %d alone", q.fills, best.filled)
	case q.alone > best.cost:
		return "dearer by " + (q.alone - best.cost).String()
	}
	return "equal cost, later name"
}

// cost is what the lines' parts cost, by term.
func (a *attempt) cost() event.Cost {
	units := make([]int64, len(a.places))
	for i := range a.skus {
		for j := range a.skus[i].lines {
			for _, p := range a.skus[i].lines[j].Parts {
				if k, known := a.index[p.Location]; known {
					units[k] += p.Quantity
				}
			}
		}
	}
	cost := event.Cost{Currency: a.head.Currency}
	t, parcels := &cost.Terms, int64(0)
	for k := range a.places {
		if units[k] == 0 {
			continue
		}
		p := &a.places[k]
		parcels++
		t.Shipping += p.shipping + p.distance
		t.Capacity += p.price
		t.Handling += p.unit * state.Decimal(units[k])
	}
	if parcels > 1 {
		t.Split = a.policy.Allocation.SplitPerParcel * state.Decimal(parcels-1)
	}
	cost.Total = t.Shipping + t.Handling + t.Split + t.Capacity + t.Opportunity - t.Markdown
	return cost
}

// explainLine is one line's explanation, cut to the size of its row.
func (a *attempt) explainLine(s *skuDemand, d *event.DecidedLine, row *DecisionRow) LineExplanation {
	e := LineExplanation{
		Line: d.Line, SKU: d.SKU, Quantity: d.Quantity, Outcome: d.Outcome, Reason: d.Reason, Parts: d.Parts,
	}
	bytes := len(d.SKU) + len(d.Reason)
	for i := range d.Parts {
		bytes += len(d.Parts[i].Location) + len(d.Parts[i].Pool) + 8
	}
	if n := min(len(s.offers), maxExplainedOffers); n > 0 {
		e.Candidates = make([]LineOffered, 0, n)
	}
	for pass := range 2 { // what was taken first
		for i := range s.offers {
			f := &s.offers[i]
			taken := takenAt(d.Parts, f.at)
			if (taken > 0) != (pass == 0) {
				continue
			}
			bytes += len(f.at.Location) + len(f.at.Pool) + 48
			if len(e.Candidates) == maxExplainedOffers || bytes > maxExplainedBytes {
				e.Omitted++
				continue
			}
			e.Candidates = append(e.Candidates, a.offered(f, taken, row))
		}
	}
	return e
}

func (a *attempt) offered(f *offer, taken int64, row *DecisionRow) LineOffered {
	o := LineOffered{
		Location: f.at.Location, Pool: f.at.Pool, OnHand: f.at.OnHand, Reserved: f.at.Reserved,
		Withheld: f.at.Withheld, Safety: f.at.SafetyStock, ATP: f.at.ATP, Confidence: f.at.Confidence, Taken: taken,
	}
	switch {
	case f.why != "":
		o.Why = f.why
	case f.at.ATP == taken && taken == 0:
		o.Why = whyShort
	case taken == 0:
		o.Why = whyOf(row, f.at.Location)
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

func takenAt(parts []event.Part, at *event.Available) int64 {
	for i := range parts {
		if parts[i].Location == at.Location && parts[i].Pool == at.Pool {
			return parts[i].Quantity
		}
	}
	return 0
}
