package sim

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/memstate"
)

// decode reads a record of an input partition again.
func (w *world) decode(p *partition, i int) (events []operators.Event) {
	r := &p.records[i]
	if r.Control {
		return nil
	}
	w.decoder().Decode(p.partition.Topic, r, func(e operators.Event) {
		e.Offset, e.Index = r.Offset, int64(len(events))
		events = append(events, e)
	})
	return events
}

// model is a core that runs a group's log in another way.
type model struct {
	w     *world
	g     *group
	core  *core.Core
	store *memstate.Store
	index uint64
}

func (w *world) newModel(g *group) *model {
	store := memstate.New(w.tables, w.codec)
	c, err := core.New(w.coreConfig(g.id), store)
	if err != nil {
		w.failf("model: %w", err)
	}
	return &model{w: w, g: g, core: c, store: store}
}

// apply applies an entry under the model's own index.
func (m *model) apply(e *core.Entry) {
	m.index++
	if out := m.core.Apply(m.index, e); out.Halt != nil {
		m.w.failf("g%d: model halted at %d: %s", m.g.id, out.Halt.Index, out.Halt.Code)
	}
}

// checkModels runs a group's log twice more, by single-threaded models: cut into
// entries of one message each (V12 b), and without what was applied before
// (V1). Both must come to the same rows. A group that shards have left or come to
// is left out: when one may come depends on acknowledgements, and those on how
// the log is cut.
func (w *world) checkModels(g *group) {
	if g.moved {
		return
	}
	cut, unique := w.newModel(g), w.newModel(g)
	seen := map[string]bool{}
	for _, rec := range g.log {
		if rec.bytes == nil || len(w.errs) > 0 {
			continue
		}
		e := w.entry(rec)
		if e.Level > core.Level {
			continue // it was skipped
		}
		for _, e := range cut.split(e) {
			cut.apply(e)
		}
		if w.cfg.Groups == 1 {
			for _, e := range unique.split(w.entry(rec)) {
				unique.applyUnique(e, seen)
			}
		}
	}
	if len(w.errs) > 0 {
		return
	}
	w.compare("V12: the log cut into other entries", g, cut)
	if w.cfg.Groups == 1 {
		w.compare("V1: fold of the unique inputs", g, unique)
	}
}

func (w *world) entry(rec record) *core.Entry {
	e := new(core.Entry)
	if err := w.codec.Decode(rec.bytes, e); err != nil {
		w.failf("decode entry: %w", err)
	}
	return e
}

// split cuts an entry into entries of one message each. What may carry no
// message goes with the next that does.
func (m *model) split(e *core.Entry) (parts []*core.Entry) {
	part := &core.Entry{Level: e.Level, Time: e.Time}
	full := false
	next := map[core.Partition]int64{}
	add := func(it core.Item, message bool) {
		if message && full {
			parts = append(parts, part)
			part, full = &core.Entry{Level: e.Level, Time: e.Time}, false
		}
		part.Items = append(part.Items, it)
		full = full || message
	}
	for i := range e.Items {
		switch it := e.Items[i]; {
		case it.Ack != nil, it.LaneAck != nil: // a model delivers nothing
		case it.Range != nil:
			for _, r := range m.cut(it.Range, next) {
				add(core.Item{Range: r}, len(r.Events) > 0)
			}
		default:
			add(it, it.Command != nil || it.Control != nil)
		}
	}
	return append(parts, part)
}

// cut makes a range for each record of a range that will be applied. next is
// where partitions are after the parts made so far.
func (m *model) cut(r *core.Range, next map[core.Partition]int64) (parts []*core.Range) {
	at, known := next[r.Partition]
	if !known {
		at, known = m.core.Next(r.Partition)
	}
	if !known || r.From > at || r.To <= at {
		return nil
	}
	next[r.Partition] = r.To
	for n := 0; n < len(r.Events); {
		one := &core.Range{Partition: r.Partition, From: at, Time: r.Time}
		end := n
		for end < len(r.Events) && r.Events[end].Offset == r.Events[n].Offset {
			end++
		}
		one.Events, one.To = r.Events[n:end], r.Events[n].Offset+1
		if n = end; n == len(r.Events) {
			one.To = r.To
		}
		if one.To > at {
			parts = append(parts, one)
			at = one.To
		}
	}
	if len(parts) == 0 {
		parts = []*core.Range{{Partition: r.Partition, From: at, To: r.To, Time: r.Time}}
	}
	return parts
}

// applyUnique applies an entry of one message unless it was applied before; then
// an event that nobody knows stands in for it, so that time and position move
// all the same. Workloads don't repeat records of several events.
func (m *model) applyUnique(e *core.Entry, seen map[string]bool) {
	var event *operators.Event
	for i := range e.Items {
		switch it := &e.Items[i]; {
		case it.Range != nil && len(it.Range.Events) == 1:
			event = &it.Range.Events[0]
		case it.Command != nil:
			event = &it.Command.Event
		}
	}
	if event == nil {
		m.apply(e)
		return
	}
	name := event.Source + "\x00" + event.ID
	input := m.w.plan.Input(event.Type)
	if seen[name] && (input == nil || !input.Idempotent) {
		event.Type = "duplicate"
		m.apply(e)
		return
	}
	before := m.applied()
	m.apply(e)
	if m.applied() > before {
		seen[name] = true
	}
}

// applied is the number of events applied so far.
func (m *model) applied() (n int64) {
	m.core.Counters(func(_ string, applied, _, _ int64) { n += applied })
	return n
}

// compare holds a model's rows against the group's.
func (w *world) compare(what string, g *group, m *model) {
	real, modelled := g.leader.r.store.View(), m.store.View()
	var rows []string
	w.errs = append(w.errs, w.tableRows(real, func(line string) { rows = append(rows, line) })...)
	n := 0
	w.errs = append(w.errs, w.tableRows(modelled, func(line string) {
		if n < len(rows) && rows[n] != line && len(w.errs) == 0 {
			w.failf("%s: g%d has row\n  %swhere the model has\n  %s", what, g.id, rows[n], line)
		}
		n++
	})...)
	if n != len(rows) && len(w.errs) == 0 {
		w.failf("%s: g%d has %d rows, the model %d", what, g.id, len(rows), n)
	}
	for _, v := range []state.Reader{real, modelled} {
		if err := v.Close(); err != nil {
			w.failf("close view: %w", err)
		}
	}
}
