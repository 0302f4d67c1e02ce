package sim

import "anabranch.dev/engine/core"

// gap is one that an entry wants, and where the partition was before.
type gap struct {
	control *core.Control
	next    int64
	open    bool
}

// note looks at an entry before a replica applies it, if it is the first: which
// gaps it wants, and whether shards move.
func (g *group) note(r *replica, e *core.Entry) (gaps []gap) {
	if r.applied <= len(g.facts) {
		return nil
	}
	for i := range e.Items {
		switch k := e.Items[i].Control; {
		case e.Items[i].Import != nil, k != nil && k.Kind == core.ControlMove:
			g.moved = true
		case k != nil && k.Kind == core.ControlGap:
			next, open := r.core.Next(*k.Partition)
			gaps = append(gaps, gap{k, next, open})
		}
	}
	return gaps
}

// settle finds out what the gaps of an entry have given up. No partition goes
// back (V7), and nothing is given up that is there (V11).
func (g *group) settle(c *core.Core, gaps []gap) {
	w := g.w
	passed := map[core.Partition]int64{}
	for _, gap := range gaps {
		k, p := gap.control, w.kafka.input(*gap.control.Partition)
		now, open := c.Next(*k.Partition)
		if gap.open && open && now < gap.next {
			w.failf("V7: g%d: %s went back from %d to %d", g.id, p.partition.String(), gap.next, now)
		}
		next := max(gap.next, passed[*k.Partition])
		if !gap.open || k.From > next || k.To <= next || now < k.To {
			w.count("gap refused")
			continue
		}
		passed[*k.Partition] = k.To
		if k.To > p.start {
			w.failf("V11: a gap in %s gives up what is there: up to %d, gone up to %d", p.partition.String(), k.To, p.start)
		}
		if k.ID == "" {
			w.count("gap skipped")
		} else {
			w.count("gap accepted by command")
		}
		w.lose(p, next, k.To)
	}
}

// lose notes the events of a stretch of a partition as lost.
func (w *world) lose(p *partition, from, to int64) {
	for i := range p.records {
		if o := p.records[i].Offset; o >= from && o < to {
			events := w.decode(p, i)
			w.given = append(w.given, events...)
			w.lost[p.partition.String()] += int64(len(events))
		}
	}
}
