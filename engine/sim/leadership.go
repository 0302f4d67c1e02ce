package sim

import (
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// leadership drives the machines of one tenure.
type leadership struct {
	w      *world
	r      *replica
	term   uint64
	alive  bool // false once the replica knows that it is over, or is dead
	tenure *leader.Tenure

	readers   map[connectors.PartitionID]*reader
	inputs    []*partition // what the group reads
	added     bool         // all of them are being read
	opening   map[core.Partition]bool
	sink      producer
	handovers map[state.Shard]*handover
	sent      map[[2]uint64]uint64 // highest number sent on each lane
	wakes     state.Time           // when the next wake-up is due
	commits   state.Time           // when the last proposal gets to the log: they stay in order
}

func newLeadership(r *replica, term uint64) *leadership {
	return &leadership{w: r.g.w, r: r, term: term, alive: true,
		readers: map[connectors.PartitionID]*reader{}, opening: map[core.Partition]bool{}, handovers: map[state.Shard]*handover{}, sent: map[[2]uint64]uint64{}}
}

// stop ends the leadership; what is still on its way finds nobody.
func (l *leadership) stop() {
	if l.alive {
		l.w.tracef("g%d r%d no longer leads term %d", l.r.g.id, l.r.id, l.term)
	}
	l.alive = false
}

// now is the replica's clock.
func (l *leadership) now() state.Time { return l.w.now + l.r.skew }

// ready reports whether all partitions of the group are being read.
func (l *leadership) ready() bool { return l.alive && l.tenure != nil && l.added }

// serve starts the tenure, unless the group is halted: then whoever leads waits
// for a skip.
func (l *leadership) serve() {
	if l.r.core.Halted() == nil {
		l.begin()
	}
}

// begin starts the tenure: the first record of the term has been applied.
func (l *leadership) begin() {
	g, c := l.r.g, l.r.core
	l.tenure = leader.New(leader.Config{
		Clock: l.w.cfg.Clock, Codec: l.w.codec, First: l.w.kafka.first, Gap: l.w.kafka.gap, Slots: slots, Incarnation: 1, Shards: l.w.cfg.Shards,
		Limits: leader.Limits{BufferBytes: 4 << 10, EntryBytes: 600, BatchRecords: 20, OutboxRecords: 20 / l.w.cfg.Groups},
	}, leader.Read(c))
	l.w.tracef("g%d r%d begins tenure %d at %d", g.id, l.r.id, l.term, l.r.applied)
	for _, mv := range c.Moves() {
		l.w.count("move resumed: " + mv.Phase)
	}
	l.handOver()
	l.describe()
}

// applied takes an entry that the replica has applied.
func (l *leadership) applied(own bool, out *core.Output) {
	a := leader.Applied{Output: out, Own: own, NextTimer: l.r.core.NextTimer()}
	a.OutboxRecords, a.OutboxBytes = l.r.core.OutboxDepth()
	if len(out.Wants) > 0 {
		l.w.count("range refused")
	}
	l.tenure.Applied(a)
	if !l.added {
		l.addInputs()
	}
	if l.w.answers(out.Replies) || len(out.Moved) > 0 {
		l.handOver()
	}
	for i := range out.Moved {
		if ch := out.Moved[i].Change; ch == core.ShardCame || ch == core.ShardThawed {
			l.w.after(l.w.between(0, 50*state.Millisecond), l.look)
		}
	}
	if own {
		for _, ack := range out.LaneAcks {
			l.w.sendLaneAck(ack)
		}
		l.w.clients.replies(out.Replies)
	}
	l.drive()
}

// drive lets the machines do all they want to do now.
func (l *leadership) drive() {
	if !l.alive || l.tenure == nil {
		return
	}
	for _, a := range l.tenure.Intake.Actions(l.now()) {
		l.act(a)
	}
	for e := l.tenure.Proposer.Next(l.now()); e != nil; e = l.tenure.Proposer.Next(l.now()) {
		l.propose(e)
	}
	switch op := l.tenure.Delivery.Next(l.now()); op.Kind {
	case leader.OpOpen:
		l.openSink(op)
	case leader.OpSend:
		l.send(op)
	}
	if l.tenure.Delivery.State() == leader.Stopped && l.r.g.leader == l {
		l.w.failf("g%d: delivery stopped: %s", l.r.g.id, l.tenure.Delivery.Why())
	}
	for _, lane := range l.tenure.Lanes.Next(l.now()) {
		l.laneSent(lane)
		l.w.sendLane(lane)
	}
	if l.tenure.Proposer.Pressed() {
		l.w.count("back-pressure")
	}
	l.wakeLater()
}

// wakeLater keeps one wake-up in the queue.
func (l *leadership) wakeLater() {
	at := l.tenure.WakeAt(l.now())
	if at == 0 {
		return
	}
	due := max(at-l.r.skew, l.w.now+state.Millisecond)
	if l.wakes > l.w.now && l.wakes <= due {
		return
	}
	l.wakes = due
	l.w.after(due-l.w.now, func() {
		if l.wakes == due {
			l.wakes = 0
			l.drive()
		}
	})
}

// propose takes an entry to the log, which knows only the newest term.
func (l *leadership) propose(e *core.Entry) {
	bytes := l.w.encode(e)
	if len(e.Items) == 0 {
		l.w.count("entry for timers alone")
	}
	delay := l.w.between(50, state.Millisecond)
	if l.w.chance(20) {
		l.w.count("slow commit")
		delay += l.w.between(0, 200*state.Millisecond)
	}
	l.commits = max(l.commits, l.w.now+delay)
	life := l.r.life
	p := &proposal{by: l, bytes: bytes, items: len(e.Items)}
	if l.r.g.leader == l {
		l.r.g.tail = append(l.r.g.tail, p)
	}
	l.w.after(l.commits-l.w.now, func() {
		at := slices.Index(l.r.g.tail, p)
		if at >= 0 {
			l.r.g.tail = slices.Delete(l.r.g.tail, at, at+1)
		}
		switch {
		case p.kept:
		case l.r.g.leader != l:
			l.w.count("proposal of a deposed leader refused")
		case l.r.life != life:
			l.w.count("proposal lost in a crash")
		case l.alive && l.w.chance(60):
			l.w.count("proposal failed")
			l.tenure.Proposer.Failed(e)
			l.drive()
		default:
			l.r.g.take(p)
		}
	})
}
