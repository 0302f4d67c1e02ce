package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

func (o *Operator) answerOrder(r operators.Reader, q *OrderQuestion) (*OrderState, error) {
	head, known := o.heads.Get(r, rowHead)
	if !known {
		return nil, nil
	}
	a := &OrderState{
		Order: r.Key(), State: head.State, Attempt: head.Attempt, Round: head.Round, Placed: head.Placed,
		Currency: head.Currency, PromisedBy: head.PromisedBy, Backorder: head.Backorder, Reserved: head.Reserved,
		Origin: event.Origin{Channel: head.Channel, Location: head.Location, Staff: head.Staff},
	}
	o.lines.Scan(r, "", func(_ string, l *Line) bool {
		a.Lines = append(a.Lines, *l)
		return true
	})
	if q.Explained {
		o.decisions.Scan(r, "", func(_ string, d *DecisionRow) bool {
			a.Decisions = append(a.Decisions, *d)
			return true
		})
	}
	return a, nil
}

func (o *Operator) answerDecision(r operators.Reader, q *DecisionQuestion) (*DecisionState, error) {
	var found *DecisionRow
	o.decisions.Scan(r, "", func(_ string, d *DecisionRow) bool {
		if q.ID == "" || d.ID == q.ID {
			found = d
		}
		return true
	})
	if found == nil {
		return nil, nil
	}
	a := &DecisionState{Order: r.Key(), Decision: *found}
	o.explanations.Scan(r, fixed(found.Attempt, 6)+"/", func(_ string, l *LineExplanation) bool {
		a.Lines = append(a.Lines, *l)
		return true
	})
	return a, nil
}
