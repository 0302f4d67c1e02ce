package sim

import (
	"fmt"
	"strings"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// changes lets the input topics be changed until healing. Under the replay clock
// what they contain is all there is.
func (w *world) changes() {
	if w.cfg.Clock == core.ClockReplay || w.cfg.Calm || w.off(Topics) {
		return
	}
	w.after(w.between(50*state.Millisecond, 500*state.Millisecond), func() {
		if w.healed == 0 {
			w.change()
			w.changes()
		}
	})
}

// change does something to an input topic, as whoever runs Kafka may.
func (w *world) change() {
	t := w.kafka.topics[w.rng.IntN(len(w.kafka.topics))]
	switch n := w.rng.IntN(12); {
	case n < 10:
		w.retention(t.partitions[w.rng.IntN(len(t.partitions))])
	case n < 11:
		if len(t.partitions) < t.declared+2 {
			w.kafka.expand(t)
		}
	case !t.first && !t.remade:
		w.kafka.remake(t)
		if w.kafka.gap == leader.GapStop {
			w.after(w.between(100*state.Millisecond, 4*state.Second), func() {
				w.count("topic made anew accepted by command")
				t.accepted = true
			})
		}
	}
}

// retention deletes the head of an input partition, rarely more than was read.
func (w *world) retention(p *partition) {
	next, open := w.kafka.next(p)
	switch {
	case !open, p.start > next:
	case !w.halting && !w.kafka.first(p.partition.Topic) && next+1 < p.stable && w.rng.IntN(2) == 0:
		w.count("retention passes the position")
		w.kafka.drop(p, next+1+w.rng.Int64N(min(3, p.stable-next-1)))
	case p.start < next:
		w.count("retention below the position")
		w.kafka.drop(p, p.start+1+w.rng.Int64N(next-p.start))
	}
}

// attend is a person who looks now and then at what has stopped, and accepts
// that it is lost.
func (w *world) attend() {
	for _, g := range w.groups {
		switch l := g.leader; {
		case l == nil || !l.alive:
		case l.tenure != nil:
			l.accept()
		case l.r.core.Halted() != nil:
			g.skip(l)
		}
	}
	w.after(w.between(state.Second, 3*state.Second), w.attend)
}

// halt has a new leader write what nobody can apply yet.
func (g *group) halt() {
	if g.breach != 0 || !g.w.halting {
		return
	}
	g.elect()
	l := g.leader
	if l == nil || !l.alive {
		return
	}
	g.w.count("halt")
	g.append(record{by: l, bytes: g.w.encode(&core.Entry{Level: core.Level + 1})})
	g.breach = uint64(len(g.log))
	g.w.tracef("g%d is to halt at %d", g.id, g.breach)
}

// skip steps over the message that halts the group.
func (g *group) skip(l *leadership) {
	h := l.r.core.Halted()
	k := &core.Control{Kind: core.ControlSkip, Index: h.Index, Message: h.Message}
	g.append(record{by: l, bytes: g.w.encode(&core.Entry{Level: core.Level, Items: []core.Item{{Control: k}}})})
}

func (w *world) encode(e *core.Entry) []byte {
	bytes, err := w.codec.Append(nil, core.Level, e)
	if err != nil {
		w.failf("encode entry: %w", err)
	}
	return bytes
}

// accept commands that what is gone from the partitions that wait for it is given
// up. The same command may come again later, when it is of no use any more.
func (l *leadership) accept() {
	for _, s := range l.tenure.Intake.Sources() {
		if !strings.HasPrefix(s.State(l.now()), "stopped: "+leader.GapRetention) {
			continue
		}
		p := l.w.kafka.input(s.Partition())
		l.w.commands++
		k := core.Control{ID: fmt.Sprintf("gap-%d", l.w.commands), Kind: core.ControlGap, Partition: &p.partition, From: s.Next(),
			To: p.start, Reason: leader.GapRetention}
		l.command(k)
		if g := l.r.g; l.w.rng.IntN(2) == 0 {
			l.w.after(l.w.between(0, 2*state.Second), func() {
				if now := g.leader; now != nil && now.alive && now.tenure != nil {
					now.command(k)
				}
			})
		}
	}
}

func (l *leadership) command(k core.Control) {
	l.tenure.Proposer.Control(&k)
	l.drive()
}
