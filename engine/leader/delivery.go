package leader

import (
	"errors"
	"fmt"
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Progress is what a sink read back when it was opened.
type Progress = connectors.Progress

// DeliveryState says where delivery stands.
type DeliveryState string

const (
	Closed  DeliveryState = "closed"  // the sink is to be opened, soon
	Waiting DeliveryState = "waiting" // for an entry of our own term, which proves that we still lead
	Opening DeliveryState = "opening"
	Ready   DeliveryState = "ready"
	Sending DeliveryState = "sending"
	Stopped DeliveryState = "stopped" // for good; see [Delivery.Why]
	Deposed DeliveryState = "deposed" // a newer leader delivers
)

// OpKind says what a driver must do with the sink.
type OpKind uint8

const (
	OpNone OpKind = iota
	OpOpen        // Sink.Open(From), then [Tenure.Opened]
	OpSend        // Sink.Send(Slot, Records, Through), then [Tenure.Sent]
)

// Op is one operation on the sink; there is never more than one at a time.
type Op struct {
	Kind    OpKind
	From    int64
	Slot    int
	Records []*operators.Record
	Through map[uint16]uint64
}

// Delivery takes the outbox to Kafka, in order of emission, one transaction at a
// time, over rotating slots.
//
// Exactly once rests on three things. The sink's Open initialises the first slot,
// then all others, so that no earlier leader can write any more, and only then
// reads how far the topics are. The first transaction after it goes to the first slot:
// whoever has lost that slot to a later Open has lost before it wrote anything.
// And every Open but a tenure's first waits for a new entry of our own term to
// be applied, so that a deposed leader doesn't fence its successor.
type Delivery struct {
	limits Limits
	codec  state.Codec
	slots  int

	state   DeliveryState
	why     string
	asked   bool  // for an entry of our own term
	last    error // of the last failed operation, until one succeeds
	retryAt state.Time
	backoff state.Time

	queue    []*operators.Record // not known to be in Kafka, in order of emission
	batch    int                 // queue[:batch] is being sent
	through  map[uint16]uint64   // of the batch
	position uint64              // of the last record queued
	slot     int

	shards   map[uint64]*Outbox // acknowledged by the broker or the log; and the end
	moved    map[uint64]bool    // shards that have changed groups: old numbers of theirs may be found
	progress int64              // read back up to here
	before   int64              // and before the last transaction
	acks     []core.Ack

	opens, sends, records int64
}

func newDelivery(cfg Config, limits Limits, s Start) *Delivery {
	d := &Delivery{limits: limits, codec: cfg.Codec, slots: max(cfg.Slots, 1), state: Closed, backoff: limits.RetryAfter,
		shards: map[uint64]*Outbox{}, moved: map[uint64]bool{}, progress: s.Progress, before: s.Progress}
	for _, o := range s.Outboxes {
		d.shards[o.Shard] = &o
	}
	for _, shard := range s.Moved {
		d.moved[uint64(shard)] = true
	}
	d.add(s.Pending)
	return d
}

// State is where delivery stands, and Why says why it stopped, or what went
// wrong last while it tries again.
func (d *Delivery) State() DeliveryState { return d.state }
func (d *Delivery) Why() string {
	if d.why == "" && d.last != nil {
		return d.last.Error()
	}
	return d.why
}

// Depth is the number of records not known to be in Kafka.
func (d *Delivery) Depth() int { return len(d.queue) }

// Counts are the operations that succeeded, and the records sent.
func (d *Delivery) Counts() (opens, sends, records int64) { return d.opens, d.sends, d.records }

// add queues new records.
func (d *Delivery) add(records []*operators.Record) {
	for _, r := range records {
		if r.Position <= d.position {
			continue
		}
		d.position = r.Position
		d.queue = append(d.queue, r)
		o := d.outbox(r.Shard)
		o.End = max(o.End, r.Outbox)
	}
}

func (d *Delivery) outbox(shard uint64) *Outbox {
	o := d.shards[shard]
	if o == nil {
		o = &Outbox{Shard: shard}
		d.shards[shard] = o
	}
	return o
}

// Next is what to do now. It is asked again after each outcome.
func (d *Delivery) Next(now state.Time) Op {
	switch {
	case d.state == Closed && now >= d.retryAt:
		d.state = Opening
		return Op{Kind: OpOpen, From: d.before}
	case d.state == Ready && len(d.queue) > 0:
		d.state = Sending
		return d.cut()
	}
	return Op{}
}

// cut takes a batch from the head of the queue.
func (d *Delivery) cut() Op {
	bytes := 0
	d.through = map[uint16]uint64{}
	for d.batch = 0; d.batch < min(len(d.queue), d.limits.BatchRecords); d.batch++ {
		r := d.queue[d.batch]
		bytes += d.codec.Size(core.Level, r)
		if d.batch > 0 && bytes > d.limits.BatchBytes {
			break
		}
		d.through[uint16(r.Shard)] = r.Outbox
	}
	return Op{Kind: OpSend, Slot: d.slot, Records: slices.Clone(d.queue[:d.batch]), Through: d.through}
}

// opened takes the outcome of OpOpen.
func (d *Delivery) opened(p Progress, err error, now state.Time) {
	if d.state != Opening {
		return
	}
	if err != nil {
		d.failed(err, now)
		return
	}
	through := map[uint16]uint64{}
	if planted.Is("leader: progress not read back") {
		p.Through = nil
	}
	for shard, number := range p.Through {
		o := d.shards[uint64(shard)]
		switch {
		case d.moved[uint64(shard)] && (o == nil || number <= o.Acked):
			// It left with all that acknowledged, and may have come back since.
		case o == nil:
			if number > 0 {
				d.stop("progress topic: shard %d is at %d, but its outbox is empty", shard, number)
				return
			}
		case number > o.End:
			d.stop("progress topic: shard %d is at %d, but its outbox ends at %d", shard, number, o.End)
			return
		case number < o.Acked:
			d.stop("progress topic: shard %d is at %d, but %d was acknowledged", shard, number, o.Acked)
			return
		case number > o.Acked:
			through[shard] = number
		}
	}
	d.opens++
	d.acknowledge(through, p.Offset)
	d.queue = slices.DeleteFunc(d.queue, func(r *operators.Record) bool { return r.Outbox <= d.outbox(r.Shard).Acked })
	d.state, d.slot, d.last, d.backoff = Ready, 0, nil, d.limits.RetryAfter
}

// sent takes the outcome of OpSend.
func (d *Delivery) sent(offset int64, err error, now state.Time) {
	if d.state != Sending {
		return
	}
	if err != nil {
		d.failed(err, now)
		return
	}
	d.sends++
	d.records += int64(d.batch)
	d.acknowledge(d.through, offset)
	clear(d.queue[:d.batch])
	d.queue, d.batch = d.queue[d.batch:], 0
	d.slot = (d.slot + 1) % d.slots
	d.state = Ready
}

// acknowledge queues acks in order of shard. Only the last carries the new
// offset: should a crash keep only some of them, the next leader still reads
// the progress of the others.
func (d *Delivery) acknowledge(through map[uint16]uint64, offset int64) {
	shards := make([]uint16, 0, len(through))
	for s := range through {
		shards = append(shards, s)
	}
	slices.Sort(shards)
	for i, s := range shards {
		d.outbox(uint64(s)).Acked = through[s]
		a := core.Ack{Shard: uint64(s), Through: through[s], Progress: d.progress}
		if i == len(shards)-1 {
			a.Progress = offset
		}
		d.acks = append(d.acks, a)
	}
	d.before, d.progress = d.progress, offset
}

// failed decides what an error means.
func (d *Delivery) failed(err error, now state.Time) {
	if planted.Is("leader: unknown outcome taken for success") && d.state == Sending && errors.Is(err, connectors.ErrMaybe) {
		d.sent(d.progress, nil, now)
		return
	}
	d.last, d.batch = err, 0
	switch {
	case planted.Is("leader: unknown outcome sent again at once") && errors.Is(err, connectors.ErrMaybe) && d.opens > 0:
		d.state = Ready
	case errors.Is(err, connectors.ErrPermanent):
		d.stop("%v", err)
	case errors.Is(err, connectors.ErrMaybe), errors.Is(err, connectors.ErrFenced):
		d.state = Waiting // without a pause: the entry is pause enough
	default:
		d.state = Waiting
		d.retryAt = now + d.backoff
		d.backoff = min(2*d.backoff, d.limits.RetryMax)
	}
}

// needsEntry reports, once, that a new entry of our own term is wanted.
func (d *Delivery) needsEntry() bool {
	wanted := d.state == Waiting && !d.asked
	d.asked = d.asked || wanted
	return wanted
}

// depose ends delivery: a newer leader does it.
func (d *Delivery) depose() {
	if d.state != Stopped {
		d.state = Deposed
	}
}

// confirmed says that an entry proposed since was applied: we still lead.
func (d *Delivery) confirmed() {
	if d.state == Waiting {
		d.state, d.asked = Closed, false
	}
}

// takeAcks hands over what the log is to be told.
func (d *Delivery) takeAcks() []core.Ack {
	acks := d.acks
	d.acks = nil
	return acks
}

// wakeAt is when Next may have something though nothing new came.
func (d *Delivery) wakeAt() state.Time {
	if d.state == Closed {
		return d.retryAt
	}
	return 0
}

func (d *Delivery) stop(format string, args ...any) {
	d.state, d.why = Stopped, fmt.Sprintf(format, args...)
}
