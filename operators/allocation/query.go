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
	for _, l := range o.listLines(nil, r, &head) {
		a.Lines = append(a.Lines, *l)
	}
	if q.Explained {
		o.decisions.Scan(r, "", func(_ string, d *Decision) bool {
			a.Decisions = append(a.Decisions, d.Render(&head))
			return true
		})
	}
	return a, nil
}

func (o *Operator) answerDecision(r operators.Reader, q *DecisionQuestion) (*DecisionState, error) {
	var found *Decision
	o.decisions.Scan(r, "", func(_ string, d *Decision) bool {
		if q.ID == "" || d.ID == q.ID {
			found = d
		}
		return true
	})
	if found == nil {
		return nil, nil
	}
	head, _ := o.heads.Get(r, rowHead)
	a := &DecisionState{Order: r.Key(), Decision: found.Render(&head)}
	a.Lines = renderLines(nil, found.Lines, &a.Decision)
	o.explanations.Scan(r, fixed(found.Attempt, 6)+"/", func(_ string, e *Explanation) bool {
		a.Lines = renderLines(a.Lines, e.Facts, &a.Decision)
		return true
	})
	return a, nil
}
