// Package totals keeps what has happened in each currency: documents, lines,
// units and money per outcome.
//
// Every document is added exactly once by the stage that owns it, so the
// totals equal a batch count over the applied events. Additions commute: the
// result does not depend on the order of arrival.
//
// Start at [Operator]; what it keeps is in total.go.
package totals

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

//go:generate go run anabranch.dev/internal/visitgen .

// Operator adds up totals. Its key is a currency.
type Operator struct {
	Added operators.In[event.TotalsAdded]

	totals operators.Table[Total]
}

// maxOutcomes bounds the outcomes of a currency; [event.TotalsAdded] names nine.
const maxOutcomes = 32

// Question asks for a currency's totals.
type Question struct {
	Outcome string `v:"outcome"` // empty: all
}

// Totals answers a [Question], outcomes in alphabetical order.
type Totals struct {
	Currency string  `v:"currency"`
	Outcomes []Total `v:"outcomes"`
}

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.totals = operators.Keeps[Total](d, "totals", operators.MaxRows(maxOutcomes))
	o.Added = operators.On(d, "totals.added", o.add)
	operators.Answers(d, "totals", o.answer)
}

func (o *Operator) answer(r operators.Reader, q *Question) (*Totals, error) {
	a := &Totals{Currency: r.Key()}
	o.totals.Scan(r, "", func(row string, t *Total) bool {
		if q.Outcome == "" || q.Outcome == row {
			a.Outcomes = append(a.Outcomes, *t)
		}
		return true
	})
	if len(a.Outcomes) == 0 {
		return nil, nil
	}
	return a, nil
}
