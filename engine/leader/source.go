package leader

import (
	"errors"
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// GapPolicy says what happens when records of an input are gone.
type GapPolicy string

const (
	// GapStop stops the partition, visibly, until a command accepts the gap.
	GapStop GapPolicy = "stop"
	// GapSkip puts the gap into the log and reads on behind it.
	GapSkip GapPolicy = "skip"
)

// Reasons of a gap.
const (
	GapRetention = "retention"       // the records were deleted before they were read
	GapTruncated = "truncated"       // the partition ends before our position
	GapRecreated = "topic_recreated" // another topic has the name now
)

// Source reads one input partition. It keeps what was fetched until it is
// applied, so that a range that was lost or did not fit is offered again without
// another fetch where possible.
type Source struct {
	partition core.Partition
	id        connectors.PartitionID
	limits    *Limits
	policy    GapPolicy

	next    int64   // applied up to
	read    int64   // fetched up to
	stable  int64   // last stable offset seen, -1 if none
	pieces  []piece // [next, read) without trailing holes, in order
	offered int     // pieces[:offered] are in proposed entries
	tail    int64   // holes up to here are in proposed entries
	bytes   int     // of all pieces

	assign     bool // the fetcher must be told to read from s.read
	paused     bool
	endSince   state.Time // since when every answer found the end, 0 if not
	lastAnswer state.Time
	reported   bool // idle as the core knows it
	gap        *core.Control
	gapSent    bool
	stopped    string
	anew       bool // another topic has the name: nothing more comes
	rewinds    int64
}

// piece is one record with its events, and the holes before it.
type piece struct {
	from, to int64
	bytes    int
	events   []operators.Event
	time     state.Time
	mark     state.Time
}

// Partition is what the source reads, as the log knows it.
func (s *Source) Partition() core.Partition { return s.partition }

// ID is what the source reads, as Kafka knows it.
func (s *Source) ID() connectors.PartitionID { return s.id }

// Next is the offset up to which the partition is applied, and Stable the last
// stable offset seen, -1 before the first answer.
func (s *Source) Next() int64   { return s.next }
func (s *Source) Stable() int64 { return s.stable }

// Rewinds counts how often ranges had to be offered again.
func (s *Source) Rewinds() int64 { return s.rewinds }

// AtEnd reports whether everything there was at the last answer is applied.
func (s *Source) AtEnd() bool { return s.stable >= 0 && s.read >= s.stable && len(s.pieces) == 0 }

// Idle reports whether answers have found the partition at its end for a
// while. Silence is not an answer. Where gaps are skipped, a partition whose topic
// is gone is idle too: it must not hold the event clock back.
func (s *Source) Idle(now state.Time) bool {
	if s.anew && s.policy == GapSkip {
		return len(s.pieces) == 0
	}
	return s.endSince != 0 && len(s.pieces) == 0 &&
		s.lastAnswer-s.endSince >= s.limits.IdleAfter && now-s.lastAnswer < s.limits.IdleAfter
}

// State describes the source in a word, and why it stopped.
func (s *Source) State(now state.Time) string {
	switch {
	case s.stopped != "":
		return "stopped: " + s.stopped
	case s.paused:
		return "paused"
	case s.Idle(now):
		return "idle"
	}
	return "reading"
}

// fetched takes what one fetch brought.
func (s *Source) fetched(b *Batch, now state.Time) {
	if s.assign || s.stopped != "" || s.gap != nil {
		return // from before the fetcher was told to go elsewhere
	}
	if b.Err != nil {
		s.lost(b)
		return
	}
	if b.From > s.read && !planted.Is("leader: stale fetch accepted") {
		s.assign = true // something between was dropped on its way to us
		return
	}
	for i := range b.records {
		r := &b.records[i]
		if r.offset < s.read {
			continue
		}
		s.pieces = append(s.pieces, piece{from: s.end(), to: r.offset + 1, bytes: r.bytes, events: r.events, time: r.time, mark: r.mark})
		s.bytes += r.bytes
	}
	s.read = max(s.read, b.Position)
	s.stable = b.Stable
	s.answered(now)
}

// answered keeps the idle clock.
func (s *Source) answered(now state.Time) {
	s.lastAnswer = now
	switch {
	case s.read < s.stable || len(s.pieces) > 0:
		s.endSince = 0
	case s.endSince == 0:
		s.endSince = now
	}
}

// end is where the last piece ends.
func (s *Source) end() int64 {
	if n := len(s.pieces); n > 0 {
		return s.pieces[n-1].to
	}
	return s.next
}

// lost handles records that are gone.
func (s *Source) lost(b *Batch) {
	gap := &core.Control{Kind: core.ControlGap, Partition: &s.partition, From: s.read, To: b.Start}
	switch {
	case errors.Is(b.Err, connectors.ErrTopicChanged):
		gap.Reason, gap.To, s.anew = GapRecreated, s.read, true
	case !errors.Is(b.Err, connectors.ErrOutOfRange):
		return // not ours to judge; the fetcher goes on trying
	case b.Start > s.read:
		gap.Reason = GapRetention
	case b.From != s.read:
		s.assign = true // an answer to an earlier question
		return
	default:
		gap.Reason, gap.To = GapTruncated, s.read
	}
	if s.policy == GapSkip && gap.Reason == GapRetention {
		s.gap = gap
		return
	}
	s.stopped = fmt.Sprintf("%s: offsets from %d are gone", gap.Reason, s.read)
	if gap.Reason == GapRetention {
		s.stopped = fmt.Sprintf("%s: offsets %d-%d are gone", gap.Reason, s.read, b.Start-1)
	}
}

// applied says that the log has the partition up to next.
func (s *Source) applied(next int64) {
	if next <= s.next {
		return
	}
	s.next = next
	n := 0
	for n < len(s.pieces) && s.pieces[n].to <= next {
		s.bytes -= s.pieces[n].bytes
		s.pieces[n] = piece{}
		n++
	}
	s.pieces = s.pieces[n:]
	s.offered = max(0, s.offered-n)
	s.tail = max(s.tail, next)
	if next > s.read { // a gap was accepted: go on behind it
		s.read, s.assign, s.stopped = next, true, ""
		s.gap, s.gapSent = nil, false
	}
}

// rewind offers everything from next on again: what is still here at once, what
// is not after fetching it.
func (s *Source) rewind(next int64) {
	if next < 0 {
		s.stopped = "the log doesn't know this partition"
		return
	}
	s.applied(next)
	s.rewinds++
	s.offered, s.tail = 0, next
	if next < s.next {
		s.next, s.read, s.assign = next, next, true
		s.pieces, s.bytes = nil, 0
	}
	s.gapSent = false
}

// ready reports whether there is a piece to offer.
func (s *Source) ready() bool { return s.offered < len(s.pieces) }

// waiting is the size of what is fetched and not offered.
func (s *Source) waiting() (bytes int) {
	for i := s.offered; i < len(s.pieces); i++ {
		bytes += s.pieces[i].bytes
	}
	return bytes
}

// take makes a range of pieces up to a budget; the first is taken whatever its
// size if alone.
func (s *Source) take(budget int, alone bool) (r *core.Range, bytes int) {
	for s.ready() {
		p := &s.pieces[s.offered]
		if bytes+p.bytes > budget && !(alone && bytes == 0) {
			break
		}
		r = s.extend(r, p)
		bytes += p.bytes
	}
	return r, bytes
}

// extend offers one piece as part of a range.
func (s *Source) extend(r *core.Range, p *piece) *core.Range {
	if r == nil {
		r = &core.Range{Partition: s.partition, From: p.from}
	}
	r.To = p.to
	if len(p.events) > 0 {
		r.Events = append(r.Events, p.events...)
		s.reported = false // the core ends idleness by itself
	}
	s.tail = max(s.tail, p.to)
	s.offered++
	return r
}

// holes makes a range of what was read without an event behind the last piece,
// so that the position reaches the end; it can wait for a heartbeat.
func (s *Source) holes() *core.Range {
	from := max(s.tail, s.end())
	if s.ready() || s.gap != nil || s.read <= from {
		return nil
	}
	s.tail = s.read
	return &core.Range{Partition: s.partition, From: from, To: s.read}
}

// control is a gap to put into the log, once everything before it is applied.
func (s *Source) control() *core.Control {
	if s.gap == nil || s.gapSent || len(s.pieces) > 0 {
		return nil
	}
	s.gapSent = true
	gap := *s.gap
	gap.From = s.next
	if planted.Is("leader: gap reaches too far") {
		gap.To++
	}
	return &gap
}
