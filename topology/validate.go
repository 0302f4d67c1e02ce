package topology

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Invalid lists every fault of a topology.
type Invalid struct {
	Name   string
	Faults []string
}

// Error implements error, one fault a line.
func (e *Invalid) Error() string {
	return fmt.Sprintf("topology %s: %d faults:\n  %s", e.Name, len(e.Faults), strings.Join(e.Faults, "\n  "))
}

// Build checks the topology and returns its plan, or an [Invalid].
func (b *Builder) Build() (*Plan, error) {
	b.index()
	b.checkPorts()
	b.checkTables()
	b.clocks()
	b.topic(DeadLetterTopic, false)
	for _, i := range b.plan.Inputs {
		i.Facts = i.Topic != "" && b.topics[i.Topic].First
	}
	for _, t := range b.topics { // sorted below: the order of the map does not matter
		b.plan.Topics = append(b.plan.Topics, *t)
	}
	sort.Slice(b.plan.Topics, func(i, j int) bool { return b.plan.Topics[i].Alias < b.plan.Topics[j].Alias })
	if len(b.faults) > 0 {
		sort.Strings(b.faults)
		return nil, &Invalid{Name: b.plan.Name, Faults: slices.Compact(b.faults)}
	}
	return b.plan, nil
}

// index fills the plan's look-ups and refuses names that collide.
func (b *Builder) index() {
	p := b.plan
	ids := map[uint32]string{}
	claim := func(id uint32, name string) {
		if other, taken := ids[id]; taken {
			b.faultf("%s and %s: stored ids collide, rename one", other, name)
		}
		ids[id] = name
	}
	for _, s := range p.Stages {
		claim(uint32(s.ID), "stage "+s.Name)
		for _, in := range s.Decl.Ins {
			claim(in.ID, "input "+s.Name+"<"+in.Name)
			p.ins[in.ID] = in
		}
		for _, out := range s.Decl.Outs {
			claim(out.ID, "output "+s.Name+">"+out.Name)
			p.outs[out.ID] = out
		}
		for _, t := range s.Decl.Timers {
			claim(t.ID, "timer "+s.Name+"@"+t.Name)
			p.timers[t.ID] = t
		}
		for _, q := range s.Decl.Queries {
			claim(state.IDOf(s.Name+"?"+q.Name), "query "+s.Name+"?"+q.Name)
			p.queries[s.Name+"/"+q.Name] = q
		}
	}
	for _, t := range p.Tables() {
		claim(uint32(t.ID), "table "+t.String())
		p.tables[t.ID] = t
	}
}

// checkPorts finds ports that lead nowhere.
func (b *Builder) checkPorts() {
	fed := map[*operators.InPort]bool{}
	for _, i := range b.plan.Inputs {
		fed[i.Port] = true
	}
	for out, ins := range b.plan.links { // faults are sorted: the order of the map does not matter
		for i, in := range ins {
			if slices.Contains(ins[:i], in) {
				b.faultf("port %s>%s: connected twice to %s<%s", out.Stage, out.Name, in.Stage, in.Name)
			}
			fed[in] = true
		}
	}
	for _, s := range b.plan.Stages {
		for _, in := range s.Decl.Ins {
			if !fed[in] {
				b.faultf("port %s<%s: nothing feeds it", s.Name, in.Name)
			}
		}
		for _, out := range s.Decl.Outs {
			if len(b.plan.links[out]) == 0 && b.plan.sinks[out] == nil {
				b.faultf("port %s>%s: leads nowhere", s.Name, out.Name)
			}
		}
		for _, r := range s.Decl.ReadPorts {
			if b.broadcasts[r] == nil {
				b.faultf("broadcast %s/%s: nothing publishes it", s.Name, r.Name)
			}
		}
	}
}

// checkTables refuses tables that could grow for ever.
func (b *Builder) checkTables() {
	for _, s := range b.plan.Stages {
		for _, t := range s.Decl.Tables {
			if t.MaxRows == 0 && t.Lifetime == 0 {
				b.faultf("table %s: has neither a bound nor a lifetime", t)
			}
			if t.MaxBytes > state.MaxRowBytes {
				b.faultf("table %s: rows above %d bytes", t, state.MaxRowBytes)
			}
		}
	}
}

// clocks computes each stage's topics and depth, and refuses event timers on
// cycles: there the watermark would wait for itself. Answers to requests go
// back to the asker and count neither as a path nor as a cycle.
func (b *Builder) clocks() {
	next := b.edges()
	for _, s := range b.plan.Stages {
		onCycle := reaches(next, next[s.Name], s.Name)
		for _, t := range s.Decl.Timers {
			if onCycle && t.Clock == operators.EventClock {
				b.faultf("timer %s@%s: event timers on a cycle never fire", s.Name, t.Name)
			}
		}
	}
	for _, i := range b.plan.Inputs {
		if i.Topic != "" {
			b.spread(next, i.Port.Stage, i.Topic, 1, nil)
		}
	}
	for _, s := range b.plan.Stages {
		sort.Strings(s.Topics)
	}
}

// edges lists, per stage, the stages that its output ports lead to, answers
// left out.
func (b *Builder) edges() map[string][]string {
	answers := map[*operators.OutPort]bool{}
	for _, s := range b.plan.Stages {
		for _, in := range s.Decl.Ins {
			if in.Refuse == nil {
				continue
			}
			out, _, _ := in.Refuse(in.New(), "")
			answers[out] = true
		}
	}
	next := map[string][]string{}
	for _, s := range b.plan.Stages {
		for _, out := range s.Decl.Outs {
			if answers[out] {
				continue
			}
			for _, in := range b.plan.links[out] {
				next[s.Name] = append(next[s.Name], in.Stage)
			}
		}
	}
	return next
}

func reaches(next map[string][]string, from []string, to string) bool {
	seen := map[string]bool{}
	for len(from) > 0 {
		s := from[0]
		from = from[1:]
		if s == to {
			return true
		}
		if !seen[s] {
			seen[s] = true
			from = append(from, next[s]...)
		}
	}
	return false
}

// spread marks a stage and all behind it as consumers of a topic, with the
// length of the longest path that visits no stage twice.
func (b *Builder) spread(next map[string][]string, stage, topic string, depth int, path []string) {
	s := b.plan.stages[stage]
	if s == nil || slices.Contains(path, stage) {
		return
	}
	if !slices.Contains(s.Topics, topic) {
		s.Topics = append(s.Topics, topic)
	}
	s.Depth = max(s.Depth, depth)
	for _, n := range next[stage] {
		b.spread(next, n, topic, depth+1, append(path, stage))
	}
}
