package leader

import (
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// Proposer gathers what is to be applied into entries: at once when nothing is
// in flight, and else only full ones, so that many small things cost the log
// what one costs.
//
// Back-pressure: above the limit of the outbox, external input stops, which is
// ranges and commands; lane messages, acknowledgements, controls, input status
// and timers always pass, because only they can drain it.
type Proposer struct {
	codec  state.Codec
	replay bool
	limits Limits
	tell   state.Time // how long nothing may be proposed, 0 for ever
	intake *Intake
	clock  logClock
	level  uint64 // feature level in force, as of the last applied entry

	acks     []core.Ack
	ackBy    state.Time // when those waiting go into an entry of their own; 0 if not known yet
	laneAcks []core.LaneAck
	controls []*core.Control
	moves    []core.Item // steps of moving shards
	lanes    queue[*core.Lane]
	away     map[state.Shard]bool // not served here: on the move, or another group's
	hold     hold                 // of laneAcks and lanes
	commands queue[*core.Command]
	deposed  bool
	barrier  bool // an entry is wanted, even an empty one

	flight    []*core.Entry
	proof     *core.Entry // the last one proposed since the barrier was wanted
	odd       bool        // ranges go first in every other entry
	nextTimer state.Time
	heartbeat state.Time // when the next one is due
	silent    state.Time // since when nothing was proposed
	records   int        // outbox depth
	bytes     int64
}

func newProposer(cfg Config, limits Limits, in *Intake, s Start) *Proposer {
	away := map[state.Shard]bool{}
	for _, shard := range s.Away {
		away[shard] = true
	}
	p := &Proposer{
		away: away, codec: cfg.Codec, replay: cfg.Clock == core.ClockReplay, limits: limits, intake: in, tell: cfg.TellEvery,
		clock: logClock{last: s.LogTime}, level: s.Level,
		nextTimer: s.NextTimer, records: s.OutboxRecords, bytes: s.OutboxBytes,
	}
	if cfg.Level > s.Level {
		p.Control(&core.Control{Kind: core.ControlRaise, Level: cfg.Level})
	}
	return p
}

// Command queues an API command. It returns false when too much waits.
func (p *Proposer) Command(c *core.Command) bool {
	return p.commands.push(c, p.size(c), p.limits.QueueBytes)
}

// Lane queues messages of another group. It returns false when too much waits,
// or when their shard is not served here: the sender sends again, to whoever has
// the shard then. The core would ignore them, as often as they come.
func (p *Proposer) Lane(l *core.Lane) bool {
	if p.away[state.Shard(l.To)] && !planted.Is("core: lane message taken for a shard that has left") {
		return false
	}
	p.intake.merge.hear(l.Reached)
	return p.lanes.push(l, p.size(l), p.limits.QueueBytes)
}

// size is what something takes in an entry.
func (p *Proposer) size(v state.Visitable) int {
	return recordOverhead + p.codec.Size(uint8(p.level), v)
}

// laneAck queues the news that another group has applied a lane's messages.
func (p *Proposer) laneAck(a core.LaneAck) {
	for i := range p.laneAcks {
		if q := &p.laneAcks[i]; q.From == a.From && q.To == a.To {
			q.Through = max(q.Through, a.Through)
			return
		}
	}
	p.laneAcks = append(p.laneAcks, a)
}

// Control queues a control.
func (p *Proposer) Control(c *core.Control) { p.controls = append(p.controls, c) }

// Move queues a step of moving a shard: an import or a sweep.
func (p *Proposer) Move(it core.Item) { p.moves = append(p.moves, it) }

// InFlight is the number of entries proposed and not applied.
func (p *Proposer) InFlight() int { return len(p.flight) }

// Pressed reports whether external input is stopped by the outbox.
func (p *Proposer) Pressed() bool {
	return p.records > p.limits.OutboxRecords || p.bytes > p.limits.OutboxBytes
}

// Next returns an entry to propose now, or nil. Entries must be proposed in
// this order; each ends in [Tenure.Applied], [Proposer.Failed], or the end of
// the tenure.
func (p *Proposer) Next(now state.Time) *core.Entry {
	if n := len(p.flight); p.deposed || n >= p.limits.InFlight || n > 0 && p.waiting(now) < p.limits.EntryBytes {
		return nil
	}
	if len(p.acks) > 0 && p.ackBy == 0 {
		p.ackBy = now + p.limits.AckWithin
	}
	e := &core.Entry{Level: p.level}
	if p.replay {
		e.Time = p.intake.merge.reached()
	} else {
		e.Time = p.clock.stamp(now)
	}
	p.gather(e, now)
	tick := p.nextTimer != 0 && p.nextTimer <= e.Time && len(p.flight) == 0
	if len(e.Items) == 0 && !p.barrier && !tick && !p.acksDue(now) && !p.tellDue(now) {
		return nil
	}
	p.silent = now
	p.gatherAcks(e)
	if p.barrier {
		p.barrier, p.proof = false, e
	}
	if tick {
		p.nextTimer = 0 // until the core names the next one
	}
	p.flight = append(p.flight, e)
	return e
}

// tellDue reports whether nothing was proposed for so long that other groups
// should hear how late it is here.
func (p *Proposer) tellDue(now state.Time) bool { return p.tell != 0 && now >= p.silent+p.tell }

// waiting is the size of what could go into an entry.
func (p *Proposer) waiting(now state.Time) int {
	n := 0
	if !p.holds(now) {
		n = p.lanes.bytes
	}
	if !p.Pressed() {
		n += p.commands.bytes + p.intake.waiting()
	}
	return n
}

// gather fills an entry.
func (p *Proposer) gather(e *core.Entry, now state.Time) {
	p.gatherLaneAcks(e, now)
	for _, c := range p.controls {
		e.Items = append(e.Items, core.Item{Control: c})
	}
	p.controls = nil
	p.gatherMoves(e, now)
	p.inputs(e, now)

	p.odd = !p.odd
	left := p.limits.EntryBytes
	if p.odd {
		left -= p.ranges(e, left, true)
	}
	left -= p.gatherLanes(e, now, left, left == p.limits.EntryBytes)
	if p.Pressed() {
		return
	}
	left -= p.commands.take(left, left == p.limits.EntryBytes, func(c *core.Command) { e.Items = append(e.Items, core.Item{Command: c}) })
	if !p.odd {
		p.ranges(e, left, left == p.limits.EntryBytes)
	}
}

// acksDue reports whether the acknowledgements that wait are worth an entry of
// their own. They only trim the outbox, so they can wait a little for an entry
// that is proposed anyway: an entry of their own for each transaction would be
// as many as all others.
func (p *Proposer) acksDue(now state.Time) bool {
	return len(p.acks) > 0 && (now >= p.ackBy || p.Pressed())
}

func (p *Proposer) gatherAcks(e *core.Entry) {
	acks := make([]core.Item, len(p.acks), len(p.acks)+len(e.Items))
	for i := range p.acks {
		acks[i] = core.Item{Ack: &p.acks[i]}
	}
	e.Items, p.acks, p.ackBy = append(acks, e.Items...), nil, 0
}

// Flush has the acknowledgements that wait go into the next entry, even alone.
func (p *Proposer) Flush() { p.barrier = p.barrier || len(p.acks) > 0 }

func (p *Proposer) ranges(e *core.Entry, budget int, alone bool) (bytes int) {
	if p.Pressed() {
		return 0
	}
	return p.intake.take(budget, alone, func(r *core.Range) { e.Items = append(e.Items, core.Item{Range: r}) })
}

// inputs adds what the sources have to say beside events: gaps, a changed idle
// status, and when a heartbeat is due the holes at their ends. Only what would
// move something is said.
func (p *Proposer) inputs(e *core.Entry, now state.Time) {
	due := now >= p.heartbeat
	if due {
		p.heartbeat = now + p.limits.HeartbeatEvery
	}
	var status []core.InputStatus
	for _, s := range p.intake.sources {
		if c := s.control(); c != nil {
			e.Items = append(e.Items, core.Item{Control: c})
		}
		if idle := s.Idle(now); !p.replay && idle != s.reported && !s.ready() && (due || !idle) {
			s.reported = idle
			status = append(status, core.InputStatus{Partition: s.partition, Idle: idle})
		}
		if due {
			p.holes(e, s)
		}
	}
	if len(status) > 0 {
		e.Items = append(e.Items, core.Item{Inputs: &core.Inputs{Status: status}})
	}
}

// holes adds the range of a source's holes. Under the replay clock it doesn't
// move log time.
func (p *Proposer) holes(e *core.Entry, s *Source) {
	floor := p.intake.merge.floor
	if p.Pressed() || p.replay && floor == 0 {
		return
	}
	if r := s.holes(); r != nil {
		if p.replay {
			r.Time = floor
		}
		e.Items = append(e.Items, core.Item{Range: r})
	}
}

// applied takes note of an applied entry. It reports whether the entry proves
// that we still led after the barrier was wanted.
func (p *Proposer) applied(a Applied) (proof bool) {
	p.clock.last = max(p.clock.last, a.Output.Time)
	p.level = max(p.level, a.Output.Level)
	p.nextTimer, p.records, p.bytes = a.NextTimer, a.OutboxRecords, a.OutboxBytes
	if len(p.flight) == 0 {
		return false
	}
	e := p.flight[0]
	if proof = e == p.proof; proof {
		p.proof = nil
	}
	p.flight = slices.Delete(p.flight, 0, 1)
	for i := range e.Items {
		switch it := &e.Items[i]; {
		case it.Range != nil:
			p.moved(a.Output, it.Range.Partition, it.Range.To)
		case it.Control != nil && it.Control.Kind == core.ControlGap && it.Control.Partition != nil:
			p.moved(a.Output, *it.Control.Partition, it.Control.To)
		}
	}
	for i := range a.Output.Wants {
		w := &a.Output.Wants[i]
		if s := p.intake.Source(w.Partition); s != nil {
			s.rewind(w.Next)
		}
		p.intake.merge.floor = a.Output.Time
	}
	return proof
}

// moved tells a source that its partition has been applied up to an offset,
// unless the core wants something else.
func (p *Proposer) moved(out *core.Output, at core.Partition, to int64) {
	for i := range out.Wants {
		if out.Wants[i].Partition == at {
			return
		}
	}
	if s := p.intake.Source(at); s != nil {
		s.applied(to)
	}
}

// Failed takes back an entry that was certainly not appended to the log, so
// that nothing in it is lost. An entry whose fate is unknown ends the tenure
// instead.
func (p *Proposer) Failed(e *core.Entry) {
	at := slices.Index(p.flight, e)
	if at < 0 {
		return
	}
	p.flight = slices.Delete(p.flight, at, at+1)
	if planted.Is("leader: failed entry forgotten") {
		return
	}
	p.barrier = p.barrier || e == p.proof
	p.intake.merge.floor = p.clock.last
	var acks []core.Ack
	for i := range e.Items {
		switch it := &e.Items[i]; {
		case it.Range != nil:
			if s := p.intake.Source(it.Range.Partition); s != nil {
				s.rewind(s.next)
			}
		case it.Ack != nil:
			acks = append(acks, *it.Ack)
		case it.LaneAck != nil:
			p.laneAck(*it.LaneAck)
		case it.Lane != nil:
			if !p.away[state.Shard(it.Lane.To)] {
				p.lanes.unshift(it.Lane, p.size(it.Lane))
			}
		case it.Command != nil:
			p.commands.unshift(it.Command, p.size(it.Command))
		case it.Control != nil:
			p.controls = append(p.controls, it.Control)
		case it.Import != nil, it.Sweep != nil:
			p.moves = append(p.moves, *it)
		case it.Inputs != nil:
			for _, st := range it.Inputs.Status {
				if s := p.intake.Source(st.Partition); s != nil {
					s.reported = !st.Idle
				}
			}
		}
	}
	p.acks = append(acks, p.acks...)
}

// wakeAt is when Next may have something though nothing new came.
func (p *Proposer) wakeAt(now state.Time) state.Time {
	at := state.Time(0)
	if len(p.flight) > 0 {
		return at // the next applied entry is the occasion
	}
	if len(p.intake.sources) > 0 {
		at = max(p.heartbeat, now)
	}
	if p.hold.id != "" && (at == 0 || p.hold.until < at) {
		at = max(p.hold.until, now)
	}
	if len(p.acks) > 0 {
		if due := max(p.ackBy, now); at == 0 || due < at {
			at = due
		}
	}
	if p.tell != 0 {
		if due := max(p.silent+p.tell, now); at == 0 || due < at {
			at = due
		}
	}
	if p.replay || p.nextTimer == 0 {
		return at
	}
	if due := max(now, p.clock.reaches(p.nextTimer)); at == 0 || due < at {
		at = due
	}
	return at
}
