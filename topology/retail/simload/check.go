package simload

import (
	"fmt"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail/check"
)

// Check holds the retail invariants against a cluster at rest (V2, V3, V5, V11),
// and finds orders without a decision (V13).
func (l *Load) Check(f *sim.Final) (errs []error) {
	report := func(vs check.Violations) {
		for _, v := range vs {
			errs = append(errs, fmt.Errorf("%s", v))
		}
	}
	var views []check.View
	for i, g := range f.Groups {
		view := check.View{Reader: g.View}
		for s := range f.Config.Shards {
			if f.GroupOf(state.Shard(s)) == i {
				view.Shards = append(view.Shards, state.Shard(s))
			}
		}
		view.Shards = append(view.Shards, core.GroupShard(f.Config.Shards, i))
		views = append(views, view)
	}
	vs, err := check.State(f.Plan, views, true)
	if err != nil {
		errs = append(errs, err)
	}
	report(vs)
	out := check.NewOutput()
	for _, rec := range f.Records {
		out.Add(rec)
		f.Counts[rec.Type]++
	}
	report(out.Violations())
	errs = append(errs, l.policies(f)...)
	errs = append(errs, l.hostile(f)...)
	return append(errs, l.undecided(f)...)
}

// undecided lists the orders that came in and were neither decided nor refused.
func (l *Load) undecided(f *sim.Final) (errs []error) {
	excused := map[string]bool{}
	for i := range f.Lost {
		if o, ok := l.placedBy(&f.Lost[i]); ok {
			excused[o] = true
		}
	}
	for _, rec := range f.Records {
		switch p := rec.Payload.Value.(type) {
		case *event.AllocationDecided:
			excused[p.Order] = true
		case *operators.DeadLetter:
			excused[p.Key] = true
		case *event.AllocationReleased:
			excused[p.Order] = true
		}
	}
	for _, o := range l.placed {
		if !excused[o.Order] && !l.cancelled(o.Order) {
			errs = append(errs, fmt.Errorf("V13: order %s was never decided", o.Order))
		}
	}
	return errs
}

// placedBy is the order that a lost event placed.
func (l *Load) placedBy(e *operators.Event) (order string, ok bool) {
	for i := range l.repeat {
		if sent := &l.repeat[i].Events[0]; sent.ID == e.ID {
			o, ok := sent.Payload.Value.(*event.OrderPlaced)
			if ok {
				return o.Order, true
			}
		}
	}
	return "", false
}

// cancelled reports whether a cancellation of the whole order was sent: one that
// comes before the order leaves nothing to decide.
func (l *Load) cancelled(order string) bool {
	for i := range l.repeat {
		if c, ok := l.repeat[i].Events[0].Payload.Value.(*event.OrderCancelled); ok && c.Order == order && len(c.Lines) == 0 {
			return true
		}
	}
	return false
}

// Rare lists what must have happened in a set of runs for them to prove much.
func Rare(clock core.Clock) []string {
	names := []string{"allocation.decided", "allocation.failed", "allocation.released", "stock.level", "stock.alert",
		"dead letter: json_invalid", "dead letter: unknown_type", "dead letter: quantity_invalid", "dead letter: clock_behind",
		"dead letter: not_withheld"}
	for _, kind := range hostile {
		names = append(names, "dead letter: "+kind.code)
	}
	if clock == core.ClockReplay { // there is no API, and nobody reacts to decisions
		return names
	}
	return append(names, "policy change", "shadow compared", "shadow difference", "race", "dead letter: cancel_exceeds",
		"dead letter: ship_exceeds", "dead letter: reject_exceeds", "dead letter: return_exceeds")
}
