package allocation

import (
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// A small order is one row: its lines, and what an attempt wants and knows while
// it runs, stand in its head. Those of a larger one have rows of their own, so
// that the work of a call does not grow with the order. A small order that turns
// out to need more room becomes a large one.

// Bounds of a small order.
const (
	maxSmallLines = 8
	maxSmallBytes = 40 << 10 // the head's row stays below the limit of a row
)

// Small is what a small order keeps in its head.
type Small struct {
	Lines     []Line     `v:"lines"`     // by number
	Demands   []Demand   `v:"demands"`   // by SKU and line
	Resources []Resource `v:"resources"` // by key
	Plan      []byte     `v:"plan"`      // of the running round; see [facts]
}

// ownership says which lists of a head's Small are no stored row's.
type ownership uint8

const (
	ownSmall ownership = 1 << iota
	ownLines
	ownDemands
	ownResources
	ownAll = ownSmall | ownLines | ownDemands | ownResources
)

// small is a head's Small, to be written to.
func (h *Head) small(list ownership) *Small {
	if h.own&ownSmall == 0 {
		s := *h.Small
		h.Small = &s
	}
	s := h.Small
	if h.own&list == 0 {
		switch list {
		case ownLines:
			s.Lines = slices.Clone(s.Lines)
		case ownDemands:
			s.Demands = slices.Clone(s.Demands)
		case ownResources:
			s.Resources = slices.Clone(s.Resources)
		}
	}
	h.own |= ownSmall | list
	return s
}

// save writes a head. It ends a call: the head must not be changed any more.
func (o *Operator) save(c operators.Context, h *Head) {
	h.own = 0
	o.heads.Put(c, rowHead, h)
}

// forget ends the running attempt: what it wanted and knew goes.
func (o *Operator) forget(c operators.Context, h *Head) {
	if h.Small != nil {
		s := h.small(ownSmall)
		s.Demands, s.Resources, s.Plan = nil, nil, nil
		return
	}
	o.plans.Delete(c, rowPlan)
	var rows []string
	o.resources.Scan(c, "", func(row string, _ *Resource) bool { rows = append(rows, row); return true })
	for _, row := range rows {
		o.resources.Delete(c, row)
	}
	rows = rows[:0]
	o.demands.Scan(c, "", func(row string, _ *Demand) bool { rows = append(rows, row); return true })
	for _, row := range rows {
		o.demands.Delete(c, row)
	}
}

// spread makes a large order of a small one that has no room any more.
func (o *Operator) spread(c operators.Context, h *Head) {
	s := h.Small
	if s.bytes() <= maxSmallBytes {
		return
	}
	h.Small, h.own = nil, 0
	for i := range s.Lines {
		o.setLine(c, h, &s.Lines[i])
	}
	for i := range s.Demands {
		o.setDemand(c, h, &s.Demands[i])
	}
	for i := range s.Resources {
		o.setResource(c, h, &s.Resources[i])
	}
	if len(s.Plan) > 0 {
		o.setPlan(c, h, s.Plan)
	}
}

// bytes is about what a small order's lists take, not less.
func (s *Small) bytes() int {
	const fields = 128 // of a line, demand or resource
	n := fields + len(s.Plan) + fields*(len(s.Lines)+len(s.Demands)+len(s.Resources))
	for i := range s.Lines {
		l := &s.Lines[i]
		n += len(l.SKU)
		for j := range l.Parts {
			n += partBytes(l.Parts[j].Location, l.Parts[j].Pool)
		}
	}
	for i := range s.Demands {
		d := &s.Demands[i]
		n += len(d.SKU)
		for j := range d.Parts {
			n += partBytes(d.Parts[j].Location, d.Parts[j].Pool)
		}
	}
	for i := range s.Resources {
		r := &s.Resources[i]
		n += len(r.Key) + len(r.State) + len(r.Fault) + placesBytes(r.Places)
		for j := range r.Inbound {
			n += partBytes(r.Inbound[j].Location, r.Inbound[j].Pool)
		}
	}
	return n
}

// partBytes is about what an entry of a list with a place takes, not less.
func partBytes(location, pool string) int { return len(location) + len(pool) + 80 }

// MostBytes implements [operators.Sized].
func (h *Head) MostBytes() int {
	const fields = 320
	n := fields + len(h.State) + len(h.Channel) + len(h.Location) + len(h.Staff) + len(h.Currency) + len(h.Request)
	if h.Destination != nil {
		n += len(h.Destination.Region)
	}
	if h.Small != nil {
		n += h.Small.bytes()
	}
	return n
}

func placesBytes(places []event.Available) int {
	n := 0
	for i := range places {
		n += partBytes(places[i].Location, places[i].Pool)
	}
	return n
}
