package leader

import (
	"cmp"
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// Limits bound a tenure's buffers and batches. Zero values mean the defaults.
type Limits struct {
	EntryBytes     int        // an entry gathers up to this much: 256 KiB
	InFlight       int        // entries proposed and not applied: 4, under the replay clock always 1
	BufferBytes    int        // fetched and not applied, per partition: 2 MiB; above it fetching pauses
	QueueBytes     int        // commands and lane messages waiting, each: 8 MiB
	OutboxRecords  int        // above it external input stops: 100,000
	OutboxBytes    int64      // the same in bytes: 64 MiB
	BatchRecords   int        // records per transaction: 2,000
	BatchBytes     int        // the same in bytes, as stored: 512 KiB, which is below what a broker takes at once when it is JSON and compressed
	AckWithin      state.Time // an acknowledgement waits so long for an entry to go along with: 10 ms
	IdleAfter      state.Time // answered at its end for this long: 5 s
	HeartbeatEvery state.Time // 1 s
	RetryAfter     state.Time // pause before delivery opens the sink again: 100 ms, doubled up to RetryMax
	RetryMax       state.Time // 5 s
	LaneRetryAfter state.Time // lane messages without an acknowledgement go out again: 500 ms
}

func (l Limits) withDefaults() Limits {
	l.EntryBytes = cmp.Or(l.EntryBytes, 256<<10)
	l.InFlight = cmp.Or(l.InFlight, 4)
	l.BufferBytes = cmp.Or(l.BufferBytes, 2<<20)
	l.QueueBytes = cmp.Or(l.QueueBytes, 8<<20)
	l.OutboxRecords = cmp.Or(l.OutboxRecords, 100_000)
	l.OutboxBytes = cmp.Or(l.OutboxBytes, 64<<20)
	l.BatchRecords = cmp.Or(l.BatchRecords, 2_000)
	l.BatchBytes = cmp.Or(l.BatchBytes, 512<<10)
	l.AckWithin = cmp.Or(l.AckWithin, 10*state.Millisecond)
	l.IdleAfter = cmp.Or(l.IdleAfter, 5*state.Second)
	l.HeartbeatEvery = cmp.Or(l.HeartbeatEvery, state.Second)
	l.RetryAfter = cmp.Or(l.RetryAfter, 100*state.Millisecond)
	l.RetryMax = cmp.Or(l.RetryMax, 5*state.Second)
	l.LaneRetryAfter = cmp.Or(l.LaneRetryAfter, 500*state.Millisecond)
	return l
}

// ActionKind says what to tell the fetcher.
type ActionKind uint8

const (
	Assign ActionKind = iota // start, or start again, at Offset
	Pause
	Resume
	Remove
)

// Action is one thing to tell the fetcher.
type Action struct {
	Kind      ActionKind
	Partition connectors.PartitionID
	Offset    int64
}

// Intake is all sources of a group. Under the wall clock it offers their ranges
// in turn; under the replay clock it merges them strictly by event time.
type Intake struct {
	limits  Limits
	shards  int // of the cluster
	clock   core.Clock
	policy  GapPolicy
	first   func(topic string) bool
	open    bool // first topics have been read to their end
	sources []*Source
	turn    int
	removed []Action
	merge   merge
}

// Add begins to read a partition that is open in the core: id is its name in
// Kafka, next and idle are what the core says about it.
func (in *Intake) Add(p core.Partition, id connectors.PartitionID, next int64, idle bool) *Source {
	if s := in.Source(p); s != nil {
		return s
	}
	s := &Source{partition: p, id: id, limits: &in.limits, policy: in.policy,
		next: next, read: next, tail: next, stable: -1, assign: true, reported: idle}
	at, _ := slices.BinarySearchFunc(in.sources, p, func(s *Source, p core.Partition) int { return compare(s.partition, p) })
	in.sources = slices.Insert(in.sources, at, s)
	return s
}

// Remove stops reading a partition.
func (in *Intake) Remove(p core.Partition) {
	in.sources = slices.DeleteFunc(in.sources, func(s *Source) bool {
		if s.partition != p {
			return false
		}
		in.removed = append(in.removed, Action{Kind: Remove, Partition: s.id})
		return true
	})
}

// Source finds the source of a partition, or nil.
func (in *Intake) Source(p core.Partition) *Source {
	at, ok := slices.BinarySearchFunc(in.sources, p, func(s *Source, p core.Partition) int { return compare(s.partition, p) })
	if !ok {
		return nil
	}
	return in.sources[at]
}

// Sources lists all, ordered by topic, id and partition.
func (in *Intake) Sources() []*Source { return in.sources }

// Fetched takes what one fetch brought. Fetches of partitions that are not read
// any more are dropped.
func (in *Intake) Fetched(b *Batch, now state.Time) {
	for _, s := range in.sources {
		if s.id == b.Partition || planted.Is("leader: topic made anew read for the old one") && s.id.Topic == b.Partition.Topic && s.id.Partition == b.Partition.Partition {
			s.fetched(b, now)
			return
		}
	}
}

// Actions lists what the fetcher must be told, each once, in order.
func (in *Intake) Actions(now state.Time) []Action {
	do := in.removed
	in.removed = nil
	for _, s := range in.sources {
		if s.assign && s.stopped == "" {
			if s.paused {
				do = append(do, Action{Kind: Resume, Partition: s.id})
			}
			do = append(do, Action{Kind: Assign, Partition: s.id, Offset: s.read})
			s.assign, s.paused = false, false
		}
		switch {
		case !s.paused && s.bytes > in.limits.BufferBytes:
			s.paused = true
			do = append(do, Action{Kind: Pause, Partition: s.id})
		case s.paused && s.bytes <= in.limits.BufferBytes/2:
			s.paused = false
			do = append(do, Action{Kind: Resume, Partition: s.id})
		}
	}
	return do
}

// firstRead reports whether this group has applied every first topic it reads
// up to the end.
func (in *Intake) firstRead() bool {
	for _, s := range in.sources {
		if in.first(s.partition.Topic) && !s.AtEnd() && s.stopped == "" {
			return false
		}
	}
	return true
}

// OpenAll lets the other topics in, which wait for the first topics to be read
// at the beginning of every tenure. The merge of the replay clock needs no such
// gate: there event time says what comes first.
func (in *Intake) OpenAll() { in.open = true }

func (in *Intake) gated(s *Source) bool { return !in.open && !in.first(s.partition.Topic) }

// waiting is how many bytes could be taken now.
func (in *Intake) waiting() (bytes int) {
	for _, s := range in.sources {
		if in.clock == core.ClockReplay || !in.gated(s) {
			bytes += s.waiting()
		}
	}
	return bytes
}

// take fills the budget with ranges: in turn, so that no partition starves
// another, or merged. A record above the budget comes only when alone.
func (in *Intake) take(budget int, alone bool, emit func(*core.Range)) (bytes int) {
	if in.clock == core.ClockReplay {
		return in.merge.take(in.sources, budget, alone, emit)
	}
	n := len(in.sources)
	for _, share := range []int{max(budget/max(n, 1), 4<<10), budget} {
		for i := range n {
			s := in.sources[(in.turn+i)%n]
			if in.gated(s) {
				continue
			}
			r, size := s.take(min(share, budget-bytes), alone && bytes == 0)
			if r != nil {
				emit(r)
				bytes += size
			}
		}
	}
	if n > 0 && bytes > 0 {
		in.turn = (in.turn + 1) % n
	}
	return bytes
}

// compare orders partitions as the merge does.
func compare(a, b core.Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.TopicID, b.TopicID), cmp.Compare(a.Partition, b.Partition))
}
