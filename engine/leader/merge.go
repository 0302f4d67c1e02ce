package leader

import (
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// merge orders the pieces of all sources by (time, mark before event, topic,
// partition, offset). What comes next depends on what the topics contain and
// never on how it was fetched: while one partition has no head, nothing passes
// that the missing record could have to come before.
//
// A head may be older than what was passed already, if its partition is not in
// order of time; it then goes next, and log time stands still. All other heads
// are at least as late as the floor, also those that are not fetched yet: they
// would have gone first. So a new leader needs to know the floor only.
type merge struct {
	floor state.Time // log time of what was passed last
}

// take emits ranges in merge order up to a budget. Neighbours of one partition
// with one log time share a range.
func (m *merge) take(sources []*Source, budget int, alone bool, emit func(*core.Range)) (bytes int) {
	var (
		r    *core.Range
		from *Source
	)
	for {
		s := m.min(sources)
		if s == nil {
			break
		}
		p := &s.pieces[s.offered]
		if bytes+p.bytes > budget && !(alone && bytes == 0) {
			break
		}
		bytes += p.bytes
		at := max(m.floor, p.time, p.mark)
		if r != nil && (from != s || r.Time != at) {
			emit(r)
			r = nil
		}
		m.floor, from = at, s
		r = s.extend(r, p)
		r.Time = at
	}
	if r != nil {
		emit(r)
	}
	return bytes
}

// min is the source whose head comes next, or nil if that can't be known yet.
func (m *merge) min(sources []*Source) *Source {
	var first *Source
	missing := false
	for _, s := range sources {
		switch {
		case !s.ready():
			missing = true
		case first == nil || before(&s.pieces[s.offered], &first.pieces[first.offered]):
			first = s
		}
	}
	if first == nil || !missing || planted.Is("leader: merge does not wait for a missing head") {
		return first
	}
	head := &first.pieces[first.offered]
	if head.mark != 0 && head.mark <= m.floor || head.mark == 0 && head.time < m.floor {
		return first // no missing head can be earlier than the floor
	}
	return nil
}

// before orders heads; equal ones keep the order of their partitions. A mark
// carries no event, so that it comes before all events of its time.
func before(a, b *piece) bool {
	at, bt := max(a.time, a.mark), max(b.time, b.mark)
	if at != bt {
		return at < bt
	}
	return a.mark != 0 && b.mark == 0
}
