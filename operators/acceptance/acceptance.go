// Package acceptance learns how likely a place serves what is allocated to it.
//
// Each shipment of an order from a place counts for it, each rejection against
// it. The probability is the mean of a Beta posterior over these counts, which
// fade with a half-life of [HalfLife]: what a place did long ago says little.
// Counts are kept per day of event time, so that they add up the same in any
// order of arrival; a probability is worked out from whole numbers.
//
// A place that is below [Usual] is broadcast at once when it rejects something
// and then once a day, while its record fades or mends; all others are not, so
// that a shipment costs one row. Who allocates decides what to make of it.
//
// Start at [Operator]; the arithmetic is in posterior.go.
package acceptance

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

//go:generate go run anabranch.dev/internal/visitgen .

// DaysKept is how long a day's counts say anything: six half-lives.
const DaysKept = 6 * HalfLife

// Operator learns the acceptance of one place; its key is the location.
type Operator struct {
	Served      operators.In[event.PlaceServed]
	Acceptances operators.Publication[event.Acceptance] // row: location

	days  operators.Table[Day] // by day
	again operators.Timer      // a day later, while something is broadcast
}

// Day is what a place did on one day.
type Day struct {
	Accepted int64 `v:"accepted"` // shipments
	Rejected int64 `v:"rejected"` // rejections
}

// Question ("acceptance") asks how likely a place serves what it is given.
type Question struct{}

// Visit implements [state.Visitable]: a question has no fields.
func (*Question) Visit(state.Visitor) {}

// Answer answers a [Question]. The counts are faded: a shipment of 30 days ago
// counts one half.
type Answer struct {
	Location    string        `v:"location"`
	Probability state.Decimal `v:"probability"`
	Accepted    state.Decimal `v:"accepted"`
	Rejected    state.Decimal `v:"rejected"`
}

// Declare implements [operators.Operator].
func (o *Operator) Declare(d *operators.Declaration) {
	o.days = operators.Keeps[Day](d, "days", operators.Lifetime(DaysKept*state.Day))
	o.Acceptances = operators.Publishes[event.Acceptance](d, "acceptances")
	o.Served = operators.On(d, "place.served", o.served)
	o.again = operators.OnTimer(d, "again", operators.LogClock, o.fade)
	operators.Answers(d, "acceptance", o.answer)
}

func (o *Operator) served(c operators.Context, e *event.PlaceServed) error {
	if err := document.CheckName("location", e.Location); err != nil {
		return err
	}
	row := dayRow(dayOf(c.EventTime()))
	day, _ := o.days.Get(c, row)
	if e.Rejected {
		day.Rejected++
	} else {
		day.Accepted++
	}
	o.days.Set(c, row, day)
	if e.Rejected {
		o.publish(c)
	}
	return nil
}

// fade says how a place stands a day later.
func (o *Operator) fade(c operators.Context, _ string) error {
	o.publish(c)
	return nil
}

// publish broadcasts a place that is below the usual, and looks again in a day.
func (o *Operator) publish(c operators.Context) {
	if p := o.posterior(c).mean(); p < Usual {
		o.Acceptances.Publish(c, c.Key(), event.Acceptance{Location: c.Key(), Probability: p})
		o.again.Set(c, "", c.LogTime()+state.Day)
		return
	}
	o.Acceptances.Withdraw(c, c.Key())
}

// posterior adds up the days, as they count today.
func (o *Operator) posterior(r operators.Reader) (p posterior) {
	today := dayOf(r.LogTime())
	o.days.Scan(r, "", func(row string, d *Day) bool {
		day, err := strconv.ParseInt(row, 10, 64)
		if err != nil {
			panic("acceptance: row " + row)
		}
		p.add(max(0, today-day), d)
		return true
	})
	return p
}

func dayOf(t state.Time) int64 { return int64(t / state.Day) }

func dayRow(day int64) string { return strconv.FormatInt(day, 10) }

func (o *Operator) answer(r operators.Reader, _ *Question) (*Answer, error) {
	p := o.posterior(r)
	if p == (posterior{}) {
		return nil, nil
	}
	return &Answer{Location: r.Key(), Probability: p.mean(), Accepted: p.accepted, Rejected: p.rejected}, nil
}
