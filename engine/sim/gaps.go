package sim

import "anabranch.dev/engine/core"

// note looks at an entry before a replica applies it, if it is the first: what
// gaps give up, and whether shards move.
func (g *group) note(r *replica, e *core.Entry) {
	if r.applied <= len(g.facts) {
		return
	}
	passed := map[core.Partition]int64{}
	for i := range e.Items {
		switch k := e.Items[i].Control; {
		case e.Items[i].Import != nil, k != nil && k.Kind == core.ControlMove:
			g.moved = true
		case k != nil && k.Kind == core.ControlGap:
			g.gap(r.core, k, passed)
		}
	}
}

// gap notes the events that a gap gives up. passed is how far partitions were
// moved by the entry before it.
func (g *group) gap(c *core.Core, k *core.Control, passed map[core.Partition]int64) {
	w, p := g.w, g.w.kafka.input(*k.Partition)
	next, open := c.Next(*k.Partition)
	next = max(next, passed[*k.Partition])
	if !open || !c.Serves(core.PartitionShard(*k.Partition, w.cfg.Shards)) || k.From > next || k.To <= next {
		w.count("gap refused")
		return
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
	for i := range p.records {
		if o := p.records[i].Offset; o >= next && o < k.To {
			events := w.decode(p, i)
			w.given = append(w.given, events...)
			w.lost[p.partition.String()] += int64(len(events))
		}
	}
}
