package leader

import (
	"cmp"
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// Lanes sends a group's lane messages to the leaders of other groups, in order
// per lane, and again until they are acknowledged. The network may lose, double
// and reorder what it sends: the other core takes each number once and in turn.
type Lanes struct {
	limits      Limits
	codec       state.Codec
	incarnation uint64
	merge       *merge  // says which log time is reached here
	lanes       []*lane // ordered by (from, to)
}

type lane struct {
	from, to state.Shard
	messages []laneMessage // not acknowledged, first is number first
	first    uint64
	next     uint64     // first number that was not sent yet
	retryAt  state.Time // when all is sent again, if nothing is acknowledged before
}

type laneMessage struct {
	message *core.Message
	bytes   int
}

func newLanes(cfg Config, limits Limits, m *merge, s Start) *Lanes {
	l := &Lanes{limits: limits, codec: cfg.Codec, incarnation: cfg.Incarnation, merge: m}
	l.add(s.Lanes)
	return l
}

func (l *Lanes) find(from, to state.Shard) (at int, found bool) {
	return slices.BinarySearchFunc(l.lanes, lane{from: from, to: to}, func(a *lane, b lane) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
}

// add queues new messages.
func (l *Lanes) add(out []core.LaneOut) {
	for i := range out {
		o := &out[i]
		at, found := l.find(o.From, o.To)
		if !found {
			l.lanes = slices.Insert(l.lanes, at, &lane{from: o.From, to: o.To, first: o.Number, next: o.Number})
		}
		n := l.lanes[at]
		if o.Number != n.first+uint64(len(n.messages)) {
			continue // queued before
		}
		n.messages = append(n.messages, laneMessage{o.Message, recordOverhead + l.codec.Size(core.Level, o.Message)})
	}
}

// Depth is the number of messages not acknowledged, word of watermarks apart:
// that comes for as long as time passes.
func (l *Lanes) Depth() (n int) {
	for _, x := range l.lanes {
		for i := range x.messages {
			if x.messages[i].message.Kind != core.KindWatermark {
				n++
			}
		}
	}
	return n
}

// Next is what to send now, in bounded batches: what was not sent yet, and
// everything again whose acknowledgement is overdue. A lane's To says whose
// group's leader gets it.
func (l *Lanes) Next(now state.Time) []*core.Lane {
	var send []*core.Lane
	for _, n := range l.lanes {
		if len(n.messages) == 0 {
			continue
		}
		if n.next > n.first && now >= n.retryAt {
			n.next = n.first
		}
		for batch := l.batch(n); batch != nil; batch = l.batch(n) {
			send = append(send, batch)
			if n.retryAt <= now {
				n.retryAt = now + l.limits.LaneRetryAfter
			}
		}
	}
	return send
}

// batch takes what is next on a lane.
func (l *Lanes) batch(n *lane) *core.Lane {
	var batch *core.Lane
	for bytes := 0; n.next < n.first+uint64(len(n.messages)); n.next++ {
		m := n.messages[n.next-n.first]
		if bytes += m.bytes; batch != nil && bytes > l.limits.EntryBytes {
			break
		}
		if batch == nil {
			batch = &core.Lane{Incarnation: l.incarnation, From: uint64(n.from), To: uint64(n.to), First: n.next, Reached: l.merge.told()}
		}
		batch.Messages = append(batch.Messages, *m.message)
	}
	return batch
}

// acked drops what the other group has applied. It reports whether that is
// news, which the log is to be told.
func (l *Lanes) acked(a core.LaneAck) bool {
	at, found := l.find(state.Shard(a.From), state.Shard(a.To))
	if !found {
		return false
	}
	n := l.lanes[at]
	if a.Through < n.first {
		return false
	}
	k := min(a.Through-n.first+1, uint64(len(n.messages)))
	if planted.Is("leader: lane acknowledged too far") && k < uint64(len(n.messages)) {
		k++
	}
	clear(n.messages[:k])
	n.messages = n.messages[k:]
	n.first += k
	n.next = max(n.next, n.first)
	return k > 0
}

// laneMark is how far a lane went at some time.
type laneMark struct {
	from, to state.Shard
	next     uint64 // number behind its last message
}

// mark is how far the lanes go now.
func (l *Lanes) mark() []laneMark {
	marks := make([]laneMark, len(l.lanes))
	for i, n := range l.lanes {
		marks[i] = laneMark{n.from, n.to, n.first + uint64(len(n.messages))}
	}
	return marks
}

// past reports whether all messages up to a mark are acknowledged.
func (l *Lanes) past(marks []laneMark) bool {
	for _, m := range marks {
		if at, found := l.find(m.from, m.to); found && l.lanes[at].first < m.next {
			return false
		}
	}
	return true
}

// wakeAt is when something is to be sent again.
func (l *Lanes) wakeAt() state.Time {
	at := state.Time(0)
	for _, n := range l.lanes {
		if n.next > n.first && (at == 0 || n.retryAt < at) {
			at = n.retryAt
		}
	}
	return at
}
