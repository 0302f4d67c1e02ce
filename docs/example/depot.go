// Package example is a topology of its own: which parcels wait in which depot,
// and which have waited too long. docs/example.md walks through it.
//
// Start at [Plan].
package example

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

//go:generate go run anabranch.dev/internal/visitgen .

// Patience is how long a parcel may stay in a depot.
const Patience = 2 * state.Hour

// Scan is a parcel that comes to a depot or leaves it.
type Scan struct {
	Parcel string `v:"parcel"`
	Depot  string `v:"depot"`
}

// Stuck says that a parcel has waited too long, one of Waiting there.
type Stuck struct {
	Parcel  string     `v:"parcel"`
	Since   state.Time `v:"since"`
	Waiting int64      `v:"waiting"`
}

// Waiting is the row of a parcel that is there.
type Waiting struct {
	Since state.Time `v:"since"`
}

// Depot watches the parcels of a depot, which is its key.
type Depot struct {
	Arrived, Left operators.In[Scan]
	Stuck         operators.Out[Stuck]

	waiting operators.Table[Waiting]
	overdue operators.Timer
}

// Declare implements operators.Operator.
func (o *Depot) Declare(d *operators.Declaration) {
	o.Arrived, o.Left = operators.On(d, "parcel.arrived", o.arrived), operators.On(d, "parcel.left", o.left)
	o.Stuck = operators.Emits[Stuck](d, "parcel.stuck")
	o.waiting = operators.Keeps[Waiting](d, "waiting", operators.Lifetime(30*state.Day))
	o.overdue = operators.OnTimer(d, "overdue", operators.LogClock, o.late)
}

func (o *Depot) arrived(c operators.Context, e *Scan) error {
	o.waiting.Set(c, e.Parcel, Waiting{Since: c.EventTime()})
	o.overdue.Set(c, e.Parcel, c.EventTime()+Patience)
	return nil
}

func (o *Depot) left(c operators.Context, e *Scan) error {
	o.waiting.Delete(c, e.Parcel)
	o.overdue.Clear(c, e.Parcel)
	return nil
}

func (o *Depot) late(c operators.Context, parcel string) error {
	w, _ := o.waiting.Get(c, parcel)
	o.Stuck.Emit(c, c.Key(), &Stuck{Parcel: parcel, Since: w.Since, Waiting: int64(o.waiting.Count(c))})
	return nil
}

// Plan connects the depots with the topics depots.scans and depots.alerts.
func Plan() (*topology.Plan, error) {
	b := topology.New("depots")
	depot := topology.Add(b, "depot", &Depot{})
	topology.Source(b, "scans", depot.Arrived, func(e *Scan) string { return e.Depot })
	topology.Source(b, "scans", depot.Left, func(e *Scan) string { return e.Depot })
	topology.Sink(b, depot.Stuck, "alerts")
	return b.Build()
}
