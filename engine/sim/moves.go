package sim

import (
	"fmt"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// move begins to move random shards, until healing.
func (w *world) moveShards() {
	if !w.moving {
		return
	}
	w.after(w.between(100*state.Millisecond, state.Second), func() {
		if w.healed == 0 {
			w.moveShard()
			w.moveShards()
		}
	})
}

func (w *world) moveShard() {
	s := state.Shard(w.rng.IntN(w.cfg.Shards))
	from := w.groupOf(s)
	to := (from + 1 + w.rng.IntN(w.cfg.Groups-1)) % w.cfg.Groups
	if l := w.recipient(from); l != nil {
		l.tenure.Proposer.Control(&core.Control{Kind: core.ControlMove, Shard: uint64(s), Group: uint64(to)})
		l.drive()
	}
}

// placed takes note of what an entry has changed about shards, when the first
// replica applies it.
func (g *group) placed(changes []core.ShardChange) {
	w := g.w
	for i := range changes {
		ch := &changes[i]
		w.tracef("g%d shard %d %s", g.id, ch.Shard, ch.Change)
		switch ch.Change {
		case core.ShardFrozen:
			w.count("move begun")
		case core.ShardThawed:
			w.count("move called off")
		case core.ShardPlaced:
			if p := &w.places[ch.Shard]; ch.Version > p.Version {
				w.count("move done")
				w.before[ch.Shard] = p.Group
				*p = core.Placement{Shard: ch.Shard, Group: ch.Group, Version: ch.Version}
			}
		}
	}
}

// handover drives a move on the side of the group that the shard leaves, or
// deletes what it left: the twin of what a node does.
type handover struct {
	l      *leadership
	mv     core.Move
	until  state.Time // then it is called off
	off    bool       // it is being called off
	pieces []*core.Import
	at     int
	gone   bool // the new group has it
}

// handOver drives the moves that there are, if nobody does.
func (l *leadership) handOver() {
	for _, mv := range l.r.core.Moves() {
		if mv.Phase == core.PhaseComing || l.handovers[mv.Shard] != nil {
			continue
		}
		h := &handover{l: l, mv: mv, until: l.w.now + l.w.between(200*state.Millisecond, 3*state.Second)}
		l.handovers[mv.Shard] = h
		if mv.Phase == core.PhaseLeaving { // there is no hurry
			h.later(0, 600*state.Millisecond)
		} else {
			h.later(0, 20*state.Millisecond)
		}
	}
}

func (h *handover) later(low, high state.Time) {
	h.l.w.after(h.l.w.between(low, high), h.step)
}

// step does what comes next.
func (h *handover) step() {
	l := h.l
	if !l.alive || l.tenure == nil || l.handovers[h.mv.Shard] != h {
		return
	}
	now, ok := l.moveOf(h.mv)
	leads := l.r.g.leader == l // a deposed leader gets no rows to read
	switch {
	case !ok || now.Phase != h.mv.Phase:
		delete(l.handovers, h.mv.Shard)
		l.handOver()
	case now.Phase == core.PhaseLeaving:
		if leads {
			h.sweep()
		}
		h.later(100*state.Millisecond, 300*state.Millisecond)
	case h.gone:
		h.later(5*state.Millisecond, 50*state.Millisecond)
	case h.off || l.w.now > h.until:
		h.callOff()
	case now.Drained && (leads || h.pieces != nil):
		h.send()
	default:
		h.later(5*state.Millisecond, 20*state.Millisecond)
	}
}

// moveOf is a move as it is now, if it is still under way.
func (l *leadership) moveOf(mv core.Move) (core.Move, bool) {
	for _, now := range l.r.core.Moves() {
		if now.Shard == mv.Shard && now.Move == mv.Move && now.Version == mv.Version {
			return now, true
		}
	}
	return core.Move{}, false
}

// send has the new group take the next piece.
func (h *handover) send() {
	l := h.l
	if h.pieces == nil {
		h.pieces = leader.Pieces(h.mv, l.r.core.Departure(h.mv.Shard), l.stored(h.mv.Shard))
	}
	l.w.ask(h.mv.To, *h.pieces[h.at], func(code string, known bool) {
		switch {
		case !known:
			l.w.count("import without an answer")
			h.later(50*state.Millisecond, 100*state.Millisecond)
			return
		case code == core.CodeNotYet:
			l.w.count("import not yet taken")
			h.later(5*state.Millisecond, 20*state.Millisecond)
			return
		case code == core.CodeImportOver:
			h.gone = true
		case code == core.CodeImportNumber: // an answer was lost, or an earlier leader came so far
			l.w.count("import of a piece that was taken")
			h.at++
		case code == "":
			h.at++
			h.gone = h.at == len(h.pieces)
		default:
			l.w.count("import refused")
			h.off = true
		}
		h.off = h.off || h.at == len(h.pieces) && !h.gone
		h.later(0, state.Millisecond)
	})
}

// callOff has the new group take no more of the shard; then this one goes on
// with it.
func (h *handover) callOff() {
	l := h.l
	im := core.Import{Shard: uint64(h.mv.Shard), From: uint64(h.mv.From), Move: h.mv.Move, Version: h.mv.Version, Cancel: true}
	l.w.ask(h.mv.To, im, func(code string, known bool) {
		switch {
		case !known || code != "" && code != core.CodeImportOver && code != core.CodeImportBarred:
		case code == core.CodeImportOver:
			l.w.count("move done before it was called off")
			h.gone = true
		case l.alive && l.tenure != nil:
			l.tenure.Proposer.Control(&core.Control{Kind: core.ControlThaw, Shard: uint64(h.mv.Shard), Move: h.mv.Move})
			l.drive()
		}
		h.later(50*state.Millisecond, 100*state.Millisecond)
	})
}

// sweep deletes the rows that the shard has left behind.
func (h *handover) sweep() {
	for _, s := range leader.Sweeps(h.mv, h.l.stored(h.mv.Shard)) {
		h.l.tenure.Proposer.Move(core.Item{Sweep: s})
	}
	h.l.drive()
}

// stored reads a shard's rows.
func (l *leadership) stored(s state.Shard) (rows []state.StoredRow) {
	view := l.r.store.View()
	err := view.Stored(s, func(r state.StoredRow) bool {
		rows = append(rows, r)
		return true
	})
	if err == nil {
		err = view.Close()
	}
	if err != nil {
		l.w.failf("g%d: read shard %d: %w", l.r.g.id, s, err)
	}
	return rows
}

// ask has another group take a step of taking a shard in. Whether it did may stay
// unknown.
func (w *world) ask(group int, im core.Import, then func(code string, known bool)) {
	w.commands++
	im.ID = fmt.Sprintf("import-%d", w.commands)
	w.asked[im.ID] = func(code string) {
		delete(w.asked, im.ID)
		if !w.chance(20) {
			w.after(w.between(50, 2*state.Millisecond), func() { then(code, true) })
			return
		}
		w.after(w.between(100*state.Millisecond, 400*state.Millisecond), func() { then("", false) })
	}
	w.arrivals("import", func() {
		if l := w.recipient(group); l != nil {
			l.tenure.Proposer.Move(core.Item{Import: &im})
			l.drive()
		}
	})
	w.after(w.between(300*state.Millisecond, 900*state.Millisecond), func() {
		if w.asked[im.ID] != nil {
			delete(w.asked, im.ID)
			then("", false)
		}
	})
}

// answers takes the replies to steps of moves. It reports whether there was one
// to a control, which may have changed what is on the move.
func (w *world) answers(replies []core.Reply) (any bool) {
	for i := range replies {
		r := &replies[i]
		if !r.ControlReply(r.ID) {
			continue
		}
		any = true
		if then := w.asked[r.ID]; then != nil {
			then(r.Code)
		}
	}
	return any
}
