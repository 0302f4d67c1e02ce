package leader

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// hold keeps everything that groups have for each other out of the log for a
// while: messages, so that a group applies nothing that another one has not said
// yet in its own snapshot, and acknowledgements, so that a group does not forget
// what another one's snapshot does not have. Both stay queued, and are sent again
// if the queue is full. Shards that are on the move get no further either: else
// two snapshots could both have one. Everything else goes on.
type hold struct {
	id    string // empty: there is none
	until state.Time
}

// Hold begins to keep lanes out of the log until a time, and ends an earlier hold.
func (t *Tenure) Hold(id string, until state.Time) { t.Proposer.hold = hold{id, until} }

// Held reports whether a hold has lasted since it began, and whether it is
// complete: nothing of a lane that was proposed before is still on its way.
func (t *Tenure) Held(id string, now state.Time) (lasts, complete bool) {
	p := t.Proposer
	if !p.holds(now) || p.hold.id != id {
		return false, false
	}
	for _, e := range p.flight {
		for i := range e.Items {
			if it := &e.Items[i]; it.Lane != nil || it.LaneAck != nil || it.Import != nil || it.Sweep != nil {
				return true, false
			}
		}
	}
	return true, true
}

// Release ends a hold, and reports whether it has lasted until now.
func (t *Tenure) Release(id string, now state.Time) bool {
	lasted, _ := t.Held(id, now)
	if lasted {
		t.Proposer.hold = hold{}
	}
	return lasted
}

// holds says whether lanes are kept out of the log. A hold whose time is over is
// forgotten, so that it can't seem to have lasted.
func (p *Proposer) holds(now state.Time) bool {
	if p.hold.id != "" && now >= p.hold.until {
		p.hold = hold{}
	}
	return p.hold.id != ""
}

// gatherLaneAcks adds what other groups have applied.
func (p *Proposer) gatherLaneAcks(e *core.Entry, now state.Time) {
	if p.holds(now) {
		return
	}
	for _, a := range p.laneAcks {
		e.Items = append(e.Items, core.Item{LaneAck: &a})
	}
	p.laneAcks = nil
}

// gatherMoves adds steps of moving shards.
func (p *Proposer) gatherMoves(e *core.Entry, now state.Time) {
	if p.holds(now) {
		return
	}
	e.Items = append(e.Items, p.moves...)
	p.moves = nil
}

// gatherLanes adds what other groups have sent, and returns its size.
func (p *Proposer) gatherLanes(e *core.Entry, now state.Time, left int, alone bool) int {
	if p.holds(now) {
		return 0
	}
	return p.lanes.take(left, alone, func(l *core.Lane) { e.Items = append(e.Items, core.Item{Lane: l}) })
}
