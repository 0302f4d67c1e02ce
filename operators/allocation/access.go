package allocation

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"anabranch.dev/operators"
)

// What is known of an order is read and written here, wherever it stands: in the
// head of a small order or in rows of its own; see small.go.

// line reads a line of an order.
func (o *Operator) line(r operators.Reader, h *Head, number int64) (Line, bool) {
	if h.Small == nil {
		return o.lines.Get(r, lineRow(number))
	}
	if i, known := h.Small.line(number); known {
		return h.Small.Lines[i], true
	}
	return Line{}, false
}

func (s *Small) line(number int64) (int, bool) {
	return slices.BinarySearchFunc(s.Lines, number, func(l Line, n int64) int { return cmp.Compare(l.Line, n) })
}

// setLine writes a line of an order.
func (o *Operator) setLine(c operators.Context, h *Head, l *Line) {
	if h.Small != nil {
		s := h.small(ownLines)
		if i, known := s.line(l.Line); known {
			s.Lines[i] = *l
		} else {
			s.Lines = slices.Insert(s.Lines, i, *l)
		}
		o.spread(c, h)
		return
	}
	o.lines.Set(c, lineRow(l.Line), *l)
}

// listLines appends an order's lines by number to a list. They must not be
// changed, and are good until the order's next line is set.
func (o *Operator) listLines(list []*Line, r operators.Reader, h *Head) []*Line {
	if h.Small == nil {
		return listRows(list, o.lines, r, "")
	}
	for i := range h.Small.Lines {
		list = append(list, &h.Small.Lines[i])
	}
	return list
}

func listRows[R any](list []*R, t operators.Table[R], r operators.Reader, prefix string) []*R {
	t.Scan(r, prefix, func(_ string, row *R) bool {
		list = append(list, row)
		return true
	})
	return list
}

// demand reads what the running attempt wants for a line.
func (o *Operator) demand(r operators.Reader, h *Head, sku string, line int64) (Demand, bool) {
	if h.Small == nil {
		return o.demands.Get(r, demandRow(sku, line))
	}
	if i, known := h.Small.demand(sku, line); known {
		return h.Small.Demands[i], true
	}
	return Demand{}, false
}

func (s *Small) demand(sku string, line int64) (int, bool) {
	i := sort.Search(len(s.Demands), func(i int) bool {
		d := &s.Demands[i]
		return d.SKU > sku || d.SKU == sku && d.Line >= line
	})
	return i, i < len(s.Demands) && s.Demands[i].SKU == sku && s.Demands[i].Line == line
}

func (o *Operator) setDemand(c operators.Context, h *Head, d *Demand) {
	if h.Small != nil {
		s := h.small(ownDemands)
		if i, known := s.demand(d.SKU, d.Line); known {
			s.Demands[i] = *d
		} else {
			s.Demands = slices.Insert(s.Demands, i, *d)
		}
		o.spread(c, h)
		return
	}
	o.demands.Set(c, demandRow(d.SKU, d.Line), *d)
}

// listDemands appends what the running attempt wants, of one SKU or with "" of
// all, by SKU and line to a list. It is to be used as that of [listLines].
func (o *Operator) listDemands(list []*Demand, r operators.Reader, h *Head, sku string) []*Demand {
	if h.Small == nil {
		prefix := ""
		if sku != "" {
			prefix = demandPrefix(sku)
		}
		return listRows(list, o.demands, r, prefix)
	}
	for i := range h.Small.Demands {
		if d := &h.Small.Demands[i]; sku == "" || d.SKU == sku {
			list = append(list, d)
		}
	}
	return list
}

func (o *Operator) countDemands(r operators.Reader, h *Head) int {
	if h.Small == nil {
		return o.demands.Count(r)
	}
	return len(h.Small.Demands)
}

// resource reads what the running attempt knows of a resource.
func (o *Operator) resource(r operators.Reader, h *Head, key string) (Resource, bool) {
	if h.Small == nil {
		return o.resources.Get(r, key)
	}
	if i, known := h.Small.resource(key); known {
		return h.Small.Resources[i], true
	}
	return Resource{}, false
}

func (s *Small) resource(key string) (int, bool) {
	return slices.BinarySearchFunc(s.Resources, key, func(r Resource, k string) int { return strings.Compare(r.Key, k) })
}

func (o *Operator) setResource(c operators.Context, h *Head, r *Resource) {
	if h.Small != nil {
		s := h.small(ownResources)
		if i, known := s.resource(r.Key); known {
			s.Resources[i] = *r
		} else {
			s.Resources = slices.Insert(s.Resources, i, *r)
		}
		o.spread(c, h)
		return
	}
	o.resources.Set(c, r.Key, *r)
}

// listResources appends what the running attempt knows of resources of a kind,
// or with "" of all, by key to a list. It is to be used as that of [listLines].
func (o *Operator) listResources(list []*Resource, r operators.Reader, h *Head, kind string) []*Resource {
	if h.Small == nil {
		return listRows(list, o.resources, r, kind)
	}
	for i := range h.Small.Resources {
		if r := &h.Small.Resources[i]; strings.HasPrefix(r.Key, kind) {
			list = append(list, r)
		}
	}
	return list
}

// claimFrom is the first resource, by key from one on, that this round's claim is
// out for, or "".
func (o *Operator) claimFrom(r operators.Reader, h *Head, from string) (key string) {
	if h.Small == nil {
		o.resources.ScanFrom(r, "", from, func(_ string, r *Resource) bool {
			if r.claimed(h) {
				key = r.Key
			}
			return key == ""
		})
		return key
	}
	for i := range h.Small.Resources {
		if r := &h.Small.Resources[i]; r.Key >= from && r.claimed(h) {
			return r.Key
		}
	}
	return ""
}

// claimed says whether this round's claim is out.
func (r *Resource) claimed(h *Head) bool { return r.State == resourceClaimed && r.Round == h.Round }

// setPlan keeps the running round's plan, plan reads it.
func (o *Operator) setPlan(c operators.Context, h *Head, plan []byte) {
	if h.Small == nil {
		o.plans.Set(c, rowPlan, Plan{Facts: plan})
		return
	}
	h.small(ownSmall).Plan = plan
	o.spread(c, h)
}

func (o *Operator) plan(r operators.Reader, h *Head) []byte {
	if h.Small == nil {
		p, _ := o.plans.Get(r, rowPlan)
		return p.Facts
	}
	return h.Small.Plan
}
