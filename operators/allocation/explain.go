package allocation

import (
	"bytes"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Limits of an explanation.
const (
	maxExplainedPlaces = 32 // of a decision
	maxExplainedOffers = 16 // of a line
	maxExplainedBytes  = 1_700
	// explanationBytes is when facts about lines go on in another row.
	explanationBytes = 16 << 10
)

// explain turns a choice into the facts that its decision will keep:
//
//	places: how many, their names
//	plans worked out, plans pruned, units wanted, units the best fills, its cost, cost of a split
//	of each place: metres, shipping, distance, capacity, handling, acceptance, units it fills, parcels free, chosen, why it is out
//	plans: how many, and of each: units filled, cost, places: how many, which
//	places that are not listed but could fill something, and if any: units and cost of the last candidate
//	rules: see explainRules
func (a *attempt) explain(result *choice) []byte {
	sc := operators.Scratch[scratch](a.c)
	listed := a.list(result)
	f := facts{sc.packed[:0]}
	f.number(int64(len(listed)))
	for _, k := range listed {
		f.text(a.places[k].location)
	}
	for _, n := range []int64{result.compared, result.pruned, a.wanted(), result.best.filled, int64(result.best.cost),
		int64(a.policy.Allocation.SplitPerParcel)} {
		f.number(n)
	}
	for _, k := range listed {
		a.explainPlace(&f, k, slices.Contains(result.best.places, k))
	}
	f.number(int64(len(result.plans)))
	for i := range result.plans {
		pl := &result.plans[i]
		f.number(pl.filled)
		f.number(int64(pl.cost))
		f.number(int64(len(pl.places)))
		for _, k := range pl.places {
			a.refer(&f, slices.Index(listed, k), a.places[k].location)
		}
	}
	more := a.able() - len(result.candidates)
	f.number(int64(more))
	if more > 0 {
		last := &a.solve.places[result.candidates[len(result.candidates)-1]]
		f.number(last.fills)
		f.number(int64(last.alone))
	}
	a.explainRules(&f, listed)
	sc.packed = f.b
	return bytes.Clone(f.b)
}

// compared is how many plans were worked out, by the plan's facts.
func compared(plan []byte) int64 {
	k := known{b: plan}
	for range k.count() {
		k.name()
	}
	return k.number()
}

// refer names a place by its position among those listed, or else by its name.
func (a *attempt) refer(f *facts, listed int, location string) {
	f.number(int64(listed))
	if listed < 0 {
		f.text(location)
	}
}

func (a *attempt) explainPlace(f *facts, k int, chosen bool) {
	p, q := &a.places[k], &a.solve.places[k]
	f.number(p.metres)
	f.number(int64(p.shipping))
	f.number(int64(p.distance))
	f.number(int64(p.price))
	f.number(int64(p.unit))
	f.number(int64(p.risk))
	f.number(q.fills)
	f.number(p.free)
	f.number(flag(chosen))
	f.text(p.why)
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

// list picks the places to explain: those chosen, then the other candidates,
// then the rest. The result is good until usedPlaces is called.
func (a *attempt) list(result *choice) []int {
	a.used = append(a.used[:0], result.best.places...)
	for _, k := range result.candidates {
		if !slices.Contains(result.best.places, k) {
			a.used = append(a.used, k)
		}
	}
	for k := 0; k < len(a.places) && len(a.used) < maxExplainedPlaces; k++ {
		if !slices.Contains(a.used, k) {
			a.used = append(a.used, k)
		}
	}
	return a.used[:min(len(a.used), maxExplainedPlaces)]
}

// able is how many places could fill anything.
func (a *attempt) able() int {
	n := 0
	for i := range a.solve.places {
		if a.solve.places[i].fills > 0 {
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

// cost is what the lines' parts cost, by term.
func (a *attempt) cost() event.Cost {
	cost := event.Cost{Currency: a.head.Currency}
	parcels := int64(0)
	t := &cost.Terms
	for k, units := range a.unitsAt() {
		if units == 0 {
			continue
		}
		p := &a.places[k]
		parcels++
		t.Shipping += p.shipping + p.distance
		t.Capacity += p.price
		t.Acceptance += p.risk
		t.Rules += p.ruled
		t.Handling += p.unit * state.Decimal(units)
	}
	if parcels > 1 {
		t.Split = a.policy.Allocation.SplitPerParcel * state.Decimal(parcels-1)
	}
	cost.Total = t.Shipping + t.Handling + t.Split + t.Capacity + t.Acceptance + t.Rules + t.Opportunity - t.Markdown
	return cost
}
