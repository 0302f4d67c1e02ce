package sim

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// unfinished says what is still to be done, or nothing.
func (w *world) unfinished() string {
	if n := len(w.clients.waiting); n > 0 {
		return fmt.Sprintf("command %s/%s has no answer", w.clients.waiting[0].in.Command.Source, w.clients.waiting[0].in.Command.ID)
	}
	for _, g := range w.groups {
		if what := g.unfinished(); what != "" {
			return fmt.Sprintf("g%d: %s", g.id, what)
		}
	}
	return ""
}

func (g *group) unfinished() string {
	l := g.leader
	if l == nil || !l.ready() {
		return "no leader that reads all partitions"
	}
	for _, r := range g.replicas {
		if !r.up || r.applied < len(g.log) {
			return fmt.Sprintf("replica %d has applied %d of %d", r.id, r.applied, len(g.log))
		}
	}
	for _, p := range l.list() {
		if l.tenure.Intake.Source(p.partition) == nil {
			return fmt.Sprintf("%s is not read", p.partition.String())
		}
	}
	for _, s := range l.tenure.Intake.Sources() {
		p := g.w.kafka.input(s.Partition())
		if p.gone {
			continue
		}
		if next, _ := l.r.core.Next(s.Partition()); next != p.end {
			return fmt.Sprintf("%s is applied to %d of %d: %s", p.partition.String(), next, p.end, s.State(l.now()))
		}
	}
	for _, mv := range l.r.core.Moves() {
		return fmt.Sprintf("shard %d is %s", mv.Shard, mv.Phase)
	}
	if n, _ := l.r.core.OutboxDepth(); n > 0 || l.tenure.Delivery.Depth() > 0 {
		return fmt.Sprintf("%d records to deliver: %s %s", n, l.tenure.Delivery.State(), l.tenure.Delivery.Why())
	}
	for _, s := range l.r.core.Partitions() {
		if g.w.kafka.input(s.Partition).gone && !s.Idle && g.w.kafka.gap == leader.GapSkip {
			return fmt.Sprintf("%s, whose topic is gone, holds the event clock back", s.Partition.String())
		}
	}
	for _, t := range g.w.kafka.topics {
		if t.remade && !g.w.kafka.skips(t) {
			return fmt.Sprintf("topic %s, made anew, is not accepted", t.alias)
		}
	}
	if n := l.tenure.Lanes.Depth(); n > 0 {
		return fmt.Sprintf("%d lane messages to send", n)
	}
	if n := l.tenure.Proposer.InFlight(); n > 0 {
		return fmt.Sprintf("%d entries in flight", n)
	}
	if due := l.r.core.NextTimer(); due != 0 && due < l.now()+state.Second && g.w.cfg.Clock == core.ClockWall {
		return fmt.Sprintf("a timer is due at %v", due)
	}
	return ""
}

// next is how far a partition is applied on the replica that is farthest.
func (k *kafka) next(p *partition) (next int64, open bool) {
	for _, g := range k.w.groups {
		for _, r := range g.replicas {
			if r.up {
				n, known := r.core.Next(p.partition)
				next, open = max(next, n), open || known
			}
		}
	}
	return next, open
}

// drop deletes the records of an input partition below an offset.
func (k *kafka) drop(p *partition, start int64) {
	k.w.tracef("%s: records below %d are gone", p.partition.String(), start)
	p.start = start
}

// check judges a cluster at rest.
func (w *world) check(checkers []Checker) {
	for _, p := range w.kafka.inputs {
		if next, _ := w.kafka.next(p); p.gone { // what was not read went with its topic
			w.lose(p, next, p.end)
		}
	}
	f := &Final{Config: w.cfg, Plan: w.plan, Records: w.kafka.records, GroupOf: w.groupOf, Counts: w.report.Counts, Lost: w.given}
	for _, g := range w.groups {
		for _, r := range g.replicas {
			if err := r.store.Verify(); err != nil {
				w.failf("g%d r%d: a stored row was changed: %w", g.id, r.id, err)
			}
		}
		r := g.leader.r
		f.Groups = append(f.Groups, FinalGroup{Core: r.core, View: r.store.View()})
		w.checkOutput(g)
		w.checkModels(g)
	}
	w.checkAccounts(f)
	w.checkNumbers()
	sum := xxhash.New()
	for _, g := range f.Groups {
		w.hashTables(sum, g.View)
	}
	w.report.Tables = fmt.Sprintf("%016x", sum.Sum64())
	for _, check := range checkers {
		w.errs = append(w.errs, check(f)...)
	}
	for _, g := range f.Groups {
		if err := g.View.Close(); err != nil {
			w.failf("close view: %w", err)
		}
	}
}

// checkOutput: what a group has decided to say stands on Kafka once, in order
// of emission (V5).
func (w *world) checkOutput(g *group) {
	var seen []*operators.Record
	for i, rec := range w.kafka.records {
		if w.kafka.by[i] == g.id {
			seen = append(seen, rec)
		}
	}
	for i, rec := range seen {
		if i >= len(g.emitted) || g.emitted[i] != rec.ID {
			w.failf("V5: g%d: record %d on Kafka is %s (shard %d outbox %d), decided was %s", g.id, i, rec.ID, rec.Shard, rec.Outbox,
				at(g.emitted, i))
			return
		}
	}
	if len(seen) < len(g.emitted) {
		w.failf("V5: g%d: %d records on Kafka, %d decided; the first missing is %s", g.id, len(seen), len(g.emitted), g.emitted[len(seen)])
	}
}

func at(ids []string, i int) string {
	if i < len(ids) {
		return ids[i]
	}
	return "nothing"
}

// checkNumbers: per key, numbers begin with 1 and have no gap, and no id comes
// twice (V5).
func (w *world) checkNumbers() {
	type key struct{ topic, stage, key string }
	last := map[key]uint64{}
	ids := map[string]bool{}
	for _, rec := range w.kafka.records {
		k := key{topic: rec.Topic, key: rec.Key}
		if out := w.plan.Out(uint32(rec.Port)); out != nil {
			k.stage = out.Stage
		}
		if rec.Number != last[k]+1 {
			w.failf("V5: %s %s: number %d follows %d", rec.Topic, rec.Key, rec.Number, last[k])
			return
		}
		last[k] = rec.Number
		if ids[rec.ID] {
			w.failf("V5: %s comes twice", rec.ID)
			return
		}
		ids[rec.ID] = true
	}
}

// checkAccounts: events = applied + duplicates + dead letters, per partition,
// and no event is missing that was not lost (V11).
func (w *world) checkAccounts(f *Final) {
	read, counted, there := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, g := range f.Groups {
		for _, p := range g.Core.Partitions() {
			read[p.Partition.String()] = p.Events
		}
		g.Core.Counters(func(origin string, applied, duplicates, dead int64) {
			counted[origin] += applied + duplicates + dead
			w.report.Counts["duplicate event"] += duplicates
			w.report.Counts["dead letter"] += dead
		})
	}
	for _, rec := range f.Records {
		if d, ok := rec.Payload.Value.(*operators.DeadLetter); ok {
			w.count("dead letter: " + d.Code)
		}
	}
	lost := map[string]int64{}
	for _, p := range w.kafka.inputs {
		name := p.partition.String()
		for i := range p.records {
			there[name] += int64(len(w.decode(p, i)))
		}
		lost[name] = w.lost[name]
		if read[name] != counted[name] {
			w.failf("V11: %s: %d events read, %d accounted for", name, read[name], counted[name])
		}
		if read[name]+lost[name] != there[name] {
			w.failf("V11: %s: %d events read and %d lost of %d", name, read[name], lost[name], there[name])
		}
		w.report.Events += there[name]
	}
}

// hashTables adds the operators' rows to a hash, in key order.
func (w *world) hashTables(sum *xxhash.Digest, view state.Reader) {
	w.errs = append(w.errs, w.tableRows(view, func(line string) { sum.WriteString(line) })...)
}

// tableRows prints the operators' rows, one a line, in key order.
func (w *world) tableRows(view state.Reader, fn func(line string)) (errs []error) {
	plans := map[state.TableID]bool{}
	for _, t := range w.plan.Tables() {
		plans[t.ID] = true
	}
	for s := range w.cfg.Shards + w.cfg.Groups {
		err := view.Rows(state.Shard(s), func(id state.CellID, t *state.Table, row string, v state.Visitable) bool {
			if plans[t.ID] {
				bytes, err := w.codec.Append(nil, core.Level, v)
				if err != nil {
					errs = append(errs, err)
					return false
				}
				fn(fmt.Sprintf("%d %s %q %q %x\n", id.Shard, t, id.Key, row, bytes))
			}
			return true
		})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
