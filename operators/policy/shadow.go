package policy

import (
	"cmp"
	"fmt"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// KeptDifferences is how many of the orders that a shadow would have decided
// differently are kept, the last ones.
const KeptDifferences = 100

// Shadow counts how the shadow compares with the policy in force.
type Shadow struct {
	Version int64  `v:"version"`
	Counts  Counts `v:"counts"`
}

// Counts are of decisions. Which of two that fill as much is dearer is told by the
// costs that each policy has worked out by itself.
type Counts struct {
	Compared  int64 `v:"compared"`
	Different int64 `v:"different"` // other goods or other places
	FillsMore int64 `v:"fills_more"`
	FillsLess int64 `v:"fills_less"`
	Cheaper   int64 `v:"cheaper"` // of those that fill as much
	Dearer    int64 `v:"dearer"`
}

// Difference is an order that the shadow would have decided differently.
type Difference struct {
	Number  int64        `v:"number"` // among the differences, from 1
	Order   string       `v:"order"`
	Attempt int64        `v:"attempt"`
	Time    state.Time   `v:"time"`    // log time
	Version int64        `v:"version"` // in force
	Wanted  int64        `v:"wanted"`  // units
	Chosen  event.Choice `v:"chosen"`
	Instead event.Choice `v:"instead"`
}

// ShadowState is a shadow with what is known of it.
type ShadowState struct {
	Policy      event.Policy `v:"policy"`
	Counts      Counts       `v:"counts"`
	Differences []Difference `v:"differences"` // newest first
}

const rowShadow = "shadow"

func differenceRow(number int64) string { return fmt.Sprintf("%03d", number%KeptDifferences) }

// compared counts what the shadow would have chosen. What was compared with an
// earlier shadow comes too late.
func (o *Operator) compared(c operators.Context, e *event.ShadowCompared) error {
	s, running := o.shadows.Get(c, rowShadow)
	if !running || s.Version != e.Shadow {
		return nil
	}
	n := &s.Counts
	n.Compared++
	if !e.Same {
		n.Different++
		o.differences.Set(c, differenceRow(n.Different), Difference{
			Number: n.Different, Order: e.Order, Attempt: e.Attempt, Time: e.Time, Version: e.Version,
			Wanted: e.Wanted, Chosen: e.Chosen, Instead: e.Instead,
		})
	}
	switch cmp.Compare(e.Instead.Filled, e.Chosen.Filled) {
	case 1:
		n.FillsMore++
	case -1:
		n.FillsLess++
	default:
		switch cmp.Compare(e.Instead.Cost, e.Chosen.Cost) {
		case 1:
			n.Dearer++
		case -1:
			n.Cheaper++
		}
	}
	o.shadows.Set(c, rowShadow, s)
	return nil
}

// endShadow forgets the shadow, if there is one.
func (o *Operator) endShadow(c operators.Context, name string) {
	if _, running := o.shadows.Get(c, rowShadow); !running {
		return
	}
	o.shadows.Delete(c, rowShadow)
	var rows []string
	o.differences.Scan(c, "", func(row string, _ *Difference) bool { rows = append(rows, row); return true })
	for _, row := range rows {
		o.differences.Delete(c, row)
	}
	o.Policies.Withdraw(c, shadowRow(name))
}

// shadowState is the running shadow, or nil.
func (o *Operator) shadowState(r operators.Reader) *ShadowState {
	s, running := o.shadows.Get(r, rowShadow)
	if !running {
		return nil
	}
	a := &ShadowState{Counts: s.Counts}
	a.Policy, _ = o.history.Get(r, versionRow(s.Version))
	o.differences.Scan(r, "", func(_ string, d *Difference) bool {
		a.Differences = append(a.Differences, *d)
		return true
	})
	slices.SortFunc(a.Differences, func(x, y Difference) int { return cmp.Compare(y.Number, x.Number) })
	return a
}
