//go:build !level2

package totals

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Total is the sum of one outcome.
type Total struct {
	Outcome   string        `v:"outcome"`
	Documents int64         `v:"documents"`
	Lines     int64         `v:"lines"`
	Units     int64         `v:"units"`
	Amount    state.Decimal `v:"amount"`
}

func (o *Operator) add(c operators.Context, e *event.TotalsAdded) error {
	t, _ := o.totals.Get(c, e.Outcome)
	t.Outcome = e.Outcome
	t.Documents += e.Documents
	t.Lines += e.Lines
	t.Units += e.Units
	t.Amount += e.Amount
	o.totals.Set(c, e.Outcome, t)
	return nil
}
