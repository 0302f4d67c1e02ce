package simload

import (
	"fmt"

	"anabranch.dev/engine/sim"
	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// unmixed holds the plan that each kept decision was made from against the policy
// that the decision names: choosing, claiming and deciding are to go by one.
func (l *Load) unmixed(f *sim.Final, versions map[int64]*event.Policy) (errs []error, err error) {
	stage := l.plan.Stage(retail.StageAllocation)
	for s := range f.Config.Shards {
		shard := state.Shard(s)
		err := f.Groups[f.GroupOf(shard)].View.Rows(shard, func(id state.CellID, _ *state.Table, _ string, v state.Visitable) bool {
			if id.Stage != stage.ID {
				return true
			}
			if row, ok := v.(*allocation.Decision); ok && versions[row.Policy] != nil {
				errs = append(errs, plannedBy(id.Key, row, versions[row.Policy])...)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return errs, nil
}

// plannedBy compares what the candidates of a decision were told to cost with
// what a policy says.
func plannedBy(order string, d *allocation.Decision, p *event.Policy) (errs []error) {
	rules := map[string]state.Decimal{}
	for _, r := range p.Allocation.Rules {
		rules[r.Rule] = r.Cost
	}
	row := d.Render(&allocation.Head{})
	for i := range row.Places {
		t := &row.Places[i]
		if want := p.Allocation.SplitPerParcel; t.Split != want {
			errs = append(errs, fmt.Errorf("policy: order %s, attempt %d, is decided by version %d, but planned with %s for a split in place of %s",
				order, d.Attempt, p.Version, t.Split, want))
		}
		for _, added := range t.Added {
			if want, known := rules[added.Rule]; !known || added.Cost != want {
				errs = append(errs, fmt.Errorf("policy: order %s, attempt %d, is decided by version %d, but planned with %s for rule %s in place of %s",
					order, d.Attempt, p.Version, added.Cost, added.Rule, want))
			}
		}
	}
	return errs
}
