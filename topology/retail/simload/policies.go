package simload

import (
	"fmt"
	"math/rand/v2"

	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// publish proposes a policy through the API, every third as a shadow. A rule that
// holds everywhere costs as many millionths as the document has as its number, so
// that a decision tells by itself which document shaped it.
func (l *Load) publish(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	p := *policy.Default(policy.NameAllocation).Allocation
	p.SplitPerParcel = state.Decimal(r.IntN(5)) * state.One
	p.PartialOrders = r.IntN(2) == 0
	p.SafetyStock = r.Int64N(2)
	p.ConfidenceWeight = state.Decimal(r.IntN(3)) * state.One / 2
	p.AcceptanceFloor = state.Decimal(r.IntN(2)) * state.One * 4 / 5
	p.DepletionAlerts = []string{policy.DepletionOnline, policy.DepletionAll, policy.DepletionNone}[r.IntN(3)]
	l.n++
	p.Rules = []event.AllocationRule{
		{Rule: "everywhere", When: "order.lines > 0", Effect: event.EffectCost, Cost: state.Decimal(l.n)},
		{Rule: "far", When: "place.metres > 200000", Effect: event.EffectCost, Cost: 2 * state.One},
	}
	if r.IntN(3) == 0 {
		p.Rules = append(p.Rules, event.AllocationRule{Rule: "shut", Effect: event.EffectForbid,
			When: fmt.Sprintf("place.location == %q && order.channel == %q", place(r.IntN(places)), event.ChannelClasses[0])})
	}
	e := l.event("policy.published", at, &event.PolicyPublished{Name: policy.NameAllocation, Author: fmt.Sprint(l.n), Allocation: &p,
		Shadow: r.IntN(3) == 0})
	emit(sim.Input{Command: &e, Key: policy.NameAllocation, After: later(r)})
}

// policies checks which version each decision names: one that was in force, and
// of which all of it is.
func (l *Load) policies(f *sim.Final) (errs []error) {
	versions, err := l.history(f)
	if err != nil {
		return []error{err}
	}
	used := map[int64]bool{}
	for _, rec := range f.Records {
		d, ok := rec.Payload.Value.(*event.AllocationDecided)
		if !ok {
			continue
		}
		p := versions[d.Policy.Version]
		switch {
		case p == nil:
			errs = append(errs, fmt.Errorf("policy: order %s is decided by version %d, which nobody published", d.Order, d.Policy.Version))
		case p.Shadow:
			errs = append(errs, fmt.Errorf("policy: order %s is decided by version %d, which is a shadow", d.Order, d.Policy.Version))
		default:
			errs = append(errs, shapedBy(d, p)...)
		}
		used[d.Policy.Version] = true
	}
	f.Counts["policy change"] += int64(max(len(used)-1, 0))
	unmixed, err := l.unmixed(f, versions)
	if err != nil {
		return append(errs, err)
	}
	return append(errs, unmixed...)
}

// shapedBy holds the cost terms of a decision against the policy that it names.
func shapedBy(d *event.AllocationDecided, p *event.Policy) (errs []error) {
	from := map[string]bool{}
	for _, part := range allocated(d) {
		from[part.location] = true
	}
	parcels := state.Decimal(len(from))
	if want := p.Allocation.SplitPerParcel * max(parcels-1, 0); d.Cost.Terms.Split != want {
		errs = append(errs, fmt.Errorf("policy: order %s in %d parcels costs %s for the split; version %d says %s", d.Order, parcels,
			d.Cost.Terms.Split, p.Version, want))
	}
	var everywhere state.Decimal
	if len(p.Allocation.Rules) > 0 {
		everywhere = p.Allocation.Rules[0].Cost
	}
	if got, want := d.Cost.Terms.Rules%state.One, everywhere*parcels%state.One; got != want {
		errs = append(errs, fmt.Errorf("policy: order %s in %d parcels costs %s for rules; version %d says %s and whole ones", d.Order, parcels,
			d.Cost.Terms.Rules, p.Version, want))
	}
	return errs
}

// history reads all versions of the policy, and counts what its shadow found.
func (l *Load) history(f *sim.Final) (map[int64]*event.Policy, error) {
	versions := map[int64]*event.Policy{0: policy.Default(policy.NameAllocation)}
	shard := state.ShardOf(policy.NameAllocation, f.Config.Shards)
	stage := l.plan.Stage(retail.StagePolicy)
	var refused error
	err := f.Groups[f.GroupOf(shard)].View.Rows(shard, func(id state.CellID, _ *state.Table, _ string, v state.Visitable) bool {
		if id.Stage != stage.ID {
			return true
		}
		switch row := v.(type) {
		case *event.Policy:
			versions[row.Version] = row
		case *policy.Shadow:
			f.Counts["shadow compared"] += row.Counts.Compared
			f.Counts["shadow difference"] += row.Counts.Different
		}
		return true
	})
	for _, rec := range f.Records {
		if d, ok := rec.Payload.Value.(*operators.DeadLetter); ok && d.Code == policy.CodeInvalid {
			refused = fmt.Errorf("policy: a good document is refused: %v", d.Fields)
		}
	}
	if err == nil {
		err = refused
	}
	return versions, err
}
