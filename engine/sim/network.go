package sim

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// arrivals draws when copies of a message arrive: usually one soon, sometimes
// none, two, or one late, so that it overtakes or is overtaken.
func (w *world) arrivals(what string, fn func()) {
	if !w.off(Networks) && w.chance(15) {
		w.count(what + " lost")
		return
	}
	delay := w.between(50, 2*state.Millisecond)
	if !w.off(Networks) && w.chance(15) {
		w.count(what + " delayed")
		delay += w.between(0, 800*state.Millisecond)
	}
	w.after(delay, fn)
	if !w.off(Networks) && w.chance(15) {
		w.count(what + " doubled")
		w.after(w.between(50, 20*state.Millisecond), fn)
	}
}

// recipient is the leader of a group as far as senders know: now and then they
// still ask a deposed one.
func (w *world) recipient(group int) *leadership {
	g := w.groups[group]
	if w.rng.IntN(8) == 0 {
		for _, r := range g.replicas {
			if r.lead != nil && r.lead != g.leader && r.lead.alive && r.lead.tenure != nil {
				w.count("message to a deposed leader")
				return r.lead
			}
		}
	}
	if l := g.leader; l != nil && l.alive && l.tenure != nil {
		return l
	}
	return nil
}

// sendLane takes lane messages to the leader of another group, through bytes as
// on a wire.
func (w *world) sendLane(lane *core.Lane) {
	bytes, err := w.codec.Append(nil, core.Level, lane)
	if err != nil {
		w.failf("encode lane: %w", err)
		return
	}
	w.arrivals("lane message", func() {
		to := w.groupOf(state.Shard(lane.To))
		if int(lane.To) < w.cfg.Shards && w.before[lane.To] >= 0 && w.chance(10) {
			w.count("lane message to the old owner")
			to = w.before[lane.To]
		}
		l := w.recipient(to)
		if l == nil {
			return
		}
		got := new(core.Lane)
		if err := w.codec.Decode(bytes, got); err != nil {
			w.failf("decode lane: %w", err)
			return
		}
		if !l.tenure.Proposer.Lane(got) {
			w.count("lane message kept out of the log")
		}
		l.drive()
	})
}

// laneSent counts what goes out more than once.
func (l *leadership) laneSent(lane *core.Lane) {
	pair := [2]uint64{lane.From, lane.To}
	if lane.First <= l.sent[pair] {
		l.w.count("lane message sent again")
	}
	l.sent[pair] = max(l.sent[pair], lane.First+uint64(len(lane.Messages))-1)
}

// laneNumbers counts what an entry's lane messages met with, when the first
// replica applies it.
func (g *group) laneNumbers(e *core.Entry, out *core.Output) {
	acks := out.LaneAcks
	for i := range e.Items {
		lane := e.Items[i].Lane
		switch {
		case lane == nil || out.Halt != nil:
			continue
		case len(acks) == 0 || acks[0].From != lane.From || acks[0].To != lane.To:
			g.w.count("lane message for a shard that is not here")
			continue
		}
		pair, through := [2]uint64{lane.From, lane.To}, acks[0].Through
		acks = acks[1:]
		if lane.First <= g.through[pair] {
			g.w.count("lane number applied before")
		}
		if lane.First+uint64(len(lane.Messages))-1 > through {
			g.w.count("lane number too high")
		}
		g.through[pair] = through
	}
}

// sendLaneAck tells the sender of lane messages how far they are applied.
func (w *world) sendLaneAck(a core.LaneAck) {
	w.arrivals("lane acknowledgement", func() {
		if l := w.recipient(w.groupOf(state.Shard(a.From))); l != nil {
			l.tenure.LaneAcked(a)
			l.drive()
		}
	})
}

// clients submit commands through the API, and again until they know.
type clients struct {
	w       *world
	waiting []*request
	known   []*request
}

type request struct {
	in      Input
	outcome string
	answer  string
	tries   int
}

// done reports whether the client knows all it wants to.
func (q *request) done() bool {
	switch q.outcome {
	case "":
		return false
	case core.OutcomeDeadLetter, core.OutcomeRefused:
		return true
	}
	return !q.in.Answer || q.answer != ""
}

func (c *clients) add(in Input) {
	q := &request{in: in}
	c.waiting = append(c.waiting, q)
	c.try(q)
}

// try submits, and looks again later.
func (c *clients) try(q *request) {
	if q.done() {
		return
	}
	w := c.w
	if q.tries++; q.tries > 1 {
		w.count("command retried")
	}
	if l := w.recipient(w.groupOf(state.ShardOf(q.in.Key, w.cfg.Shards))); l != nil {
		e := c.copy(q.in.Command)
		if l.tenure.Proposer.Command(&core.Command{Event: e, Answer: q.in.Answer}) {
			l.drive()
		}
	}
	w.after(w.between(300*state.Millisecond, state.Second), func() { c.try(q) })
}

// copy takes an event over as a server would read it.
func (c *clients) copy(e *operators.Event) (read operators.Event) {
	bytes, err := c.w.codec.Append(nil, core.Level, e)
	if err == nil {
		err = c.w.codec.Decode(bytes, &read)
	}
	if err != nil {
		c.w.failf("copy command: %w", err)
	}
	return read
}

// replies takes what the leader of a group answers.
func (c *clients) replies(replies []core.Reply) {
	for i := range replies {
		r := &replies[i]
		for n, q := range c.waiting {
			if q.in.Command.Source != r.Source || q.in.Command.ID != r.ID {
				continue
			}
			if r.Code == core.CodeOtherGroup || r.Code == core.CodeShardMoving {
				c.w.count("command refused while its shard moves")
				break // it is tried again
			}
			if r.Outcome == core.OutcomeAnswer || q.outcome == "" {
				q.outcome = r.Outcome
			}
			if r.Answer != "" {
				if q.answer != "" && q.answer != r.Answer {
					c.w.failf("command %s: answered %s and %s", r.ID, q.answer, r.Answer)
				}
				q.answer = r.Answer
			}
			if q.done() {
				c.known = append(c.known, q)
				c.waiting = append(c.waiting[:n:n], c.waiting[n+1:]...)
				c.w.count("command answered")
			}
			break
		}
	}
}
