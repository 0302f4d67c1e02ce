package leader

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Config is what a tenure needs to know.
type Config struct {
	Clock core.Clock
	Codec state.Codec             // to size what is gathered
	First func(alias string) bool // topics that are read before the others; nil: none
	Gap   GapPolicy               // empty: stop
	Slots int                     // of the sink
	// Limited holds the merge of the replay clock until [Tenure.Advance] lets
	// it pass.
	Limited bool
	// Level is the feature level that the cluster was formed at: a group below it
	// is raised by the first entry of a tenure. 0: none.
	Level uint64
	// Incarnation marks lane messages with the cluster's life.
	Incarnation uint64
	Shards      int // of the cluster
	// TellEvery is how long a group that has nothing to decide keeps silent:
	// other groups wait for its watermark. 0: for ever.
	TellEvery state.Time
	Limits    Limits
}

// Start is what the core says when the first entry of the leader's own term is
// applied. [Read] fills it on the goroutine that applies.
type Start struct {
	LogTime       state.Time
	Level         uint64 // feature level in force
	NextTimer     state.Time
	Pending       []*operators.Record
	Outboxes      []Outbox
	Moved         []state.Shard // that have changed groups, here or elsewhere
	Away          []state.Shard // that are not served here
	Progress      int64         // offset in the progress partition to read on from
	Lanes         []core.LaneOut
	OutboxRecords int
	OutboxBytes   int64
}

// Outbox is how far a shard's outbox goes and is acknowledged.
type Outbox struct {
	Shard, Acked, End uint64
}

// Read reads a tenure's start from the core.
func Read(c *core.Core) Start {
	s := Start{LogTime: c.LogTime(), Level: c.Level(), NextTimer: c.NextTimer(), Progress: c.ProgressOffset()}
	s.OutboxRecords, s.OutboxBytes = c.OutboxDepth()
	c.Pending(func(r *operators.Record) bool {
		s.Pending = append(s.Pending, r)
		return true
	})
	c.PendingLanes(func(l core.LaneOut) bool {
		s.Lanes = append(s.Lanes, l)
		return true
	})
	for _, p := range c.Placements() {
		if p.Version > 0 {
			s.Moved = append(s.Moved, p.Shard)
		}
		if !c.Serves(p.Shard) {
			s.Away = append(s.Away, p.Shard)
		}
	}
	for _, shard := range c.Shards() {
		if acked, end := c.Acked(shard); end > 0 {
			s.Outboxes = append(s.Outboxes, Outbox{Shard: uint64(shard), Acked: acked, End: end})
		}
	}
	return s
}

// Tenure is one leadership of one group.
type Tenure struct {
	Intake   *Intake
	Proposer *Proposer
	Delivery *Delivery
	Lanes    *Lanes
	deposed  bool
	read     []laneMark // the lanes when the first topics had been read
	hasRead  bool
}

// FirstRead reports whether this group has applied every first topic it reads
// up to the end, and the other groups what that meant for them. When all groups
// have, and all partitions were added, the driver calls [Intake.OpenAll].
func (t *Tenure) FirstRead() bool {
	if !t.Intake.firstRead() {
		t.hasRead = false
		return false
	}
	if !t.hasRead {
		t.hasRead, t.read = true, t.Lanes.mark()
	}
	return t.Lanes.past(t.read)
}

// MergeState is where the merge of one group's inputs stands.
type MergeState struct {
	Head  state.Time // log time of what comes next, an event or a timer
	Known bool       // Head is known: no partition could still bring anything earlier
	// Quiet: nothing is under way here, nothing that was sent to other groups is
	// without their acknowledgement, and nothing more may pass.
	Quiet bool
}

// Advance lets the merge pass everything up to a log time, and says where it
// stands. When all groups are quiet, twice in a row without an entry in between,
// there is nothing under way anywhere, and the limit may go to the earliest head
// of all.
func (t *Tenure) Advance(limit state.Time) MergeState {
	m, p := &t.Intake.merge, t.Proposer
	m.limit = max(m.limit, limit)
	var s MergeState
	s.Head, s.Known = m.head(t.Intake.sources)
	if p.nextTimer != 0 {
		s.Head = min(s.Head, p.nextTimer)
	}
	s.Quiet = s.Known && s.Head > m.limit && len(p.flight) == 0 && p.lanes.bytes == 0 && p.commands.bytes == 0 &&
		len(p.laneAcks) == 0 && len(p.controls) == 0 && t.Lanes.Depth() == 0
	return s
}

// Deposed reports whether an entry of a newer leader was applied.
func (t *Tenure) Deposed() bool { return t.deposed }

// Applied is what the applying side tells a tenure after an entry, in order.
type Applied struct {
	Output *core.Output
	// Own entries are of this tenure's term, and so proposed by it; they are
	// applied in the order in which they were proposed. Any other one means
	// that a newer leader writes: the tenure goes quiet.
	Own           bool
	NextTimer     state.Time // core.NextTimer
	OutboxRecords int        // core.OutboxDepth
	OutboxBytes   int64
}

// New starts a tenure. Partitions are added to the intake afterwards.
func New(cfg Config, s Start) *Tenure {
	limits := cfg.Limits.withDefaults()
	if cfg.Clock == core.ClockReplay {
		limits.InFlight = 1 // a dropped entry must not let a later one pass
	}
	if cfg.First == nil {
		cfg.First = func(string) bool { return false }
	}
	in := &Intake{limits: limits, shards: cfg.Shards, clock: cfg.Clock, policy: cfg.Gap, first: cfg.First, merge: merge{floor: s.LogTime, limited: cfg.Limited}}
	return &Tenure{
		Intake:   in,
		Proposer: newProposer(cfg, limits, in, s),
		Delivery: newDelivery(cfg, limits, s),
		Lanes:    newLanes(cfg, limits, &in.merge, s),
	}
}

// Applied takes note of an applied entry: sources let go or rewind, new records
// queue for delivery, and what delivery wants to say is queued for proposing.
func (t *Tenure) Applied(a Applied) {
	if !a.Own {
		// What the newer leader decides is its to deliver: were we faster, it
		// would find more on Kafka than it has decided itself.
		t.deposed = true
		t.Proposer.deposed = true
		t.Delivery.depose()
	}
	if t.deposed {
		return
	}
	t.shards(a.Output.Moved)
	proof := t.Proposer.applied(a)
	t.Delivery.add(a.Output.Records)
	t.Lanes.add(a.Output.Lanes)
	if proof {
		t.Delivery.confirmed()
	}
	t.settle()
}

// Opened takes the outcome of opening the sink.
func (t *Tenure) Opened(p Progress, err error, now state.Time) {
	t.Delivery.opened(p, err, now)
	t.settle()
}

// Sent takes the outcome of a transaction.
func (t *Tenure) Sent(offset int64, err error, now state.Time) {
	t.Delivery.sent(offset, err, now)
	t.settle()
}

// LaneAcked takes the news that another group has applied a lane's messages.
func (t *Tenure) LaneAcked(a core.LaneAck) {
	if t.Lanes.acked(a) {
		t.Proposer.laneAck(a)
	}
}

// settle carries what delivery has to say over to the proposer.
func (t *Tenure) settle() {
	t.Proposer.acks = append(t.Proposer.acks, t.Delivery.takeAcks()...)
	if t.Delivery.needsEntry() {
		t.Proposer.barrier = true
	}
}

// WakeAt is when the machines want to be asked again, if nothing happens
// before; 0 for never.
func (t *Tenure) WakeAt(now state.Time) state.Time {
	if t.deposed {
		return 0
	}
	at := t.Proposer.wakeAt(now)
	for _, due := range []state.Time{t.Delivery.wakeAt(), t.Lanes.wakeAt()} {
		if due != 0 && (at == 0 || due < at) {
			at = due
		}
	}
	return at
}
