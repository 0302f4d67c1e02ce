package leader

import (
	"math"

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
//
// With several groups nobody passes a log time before all have reached it: then
// the merge is limited, and [Tenure.Advance] moves the limit.
type merge struct {
	floor   state.Time // log time of what was passed last
	limited bool
	limit   state.Time // log time of what may be passed
}

// never is the log time of what does not come.
const never = state.Time(math.MaxInt64)

// reached is the log time that all groups have reached: whatever is applied now,
// also what comes from other groups, belongs to it. 0 if there is none.
func (m *merge) reached() state.Time {
	if !m.limited || m.limit == never {
		return 0
	}
	return m.limit
}

// told is the log time that other groups must have reached before they take what
// this group says.
func (m *merge) told() state.Time {
	if !m.limited {
		return 0
	}
	return max(m.limit, m.floor)
}

// hear lets everything pass that another group has been let pass. It can hear so
// from that group before the limit is moved here.
func (m *merge) hear(at state.Time) {
	if m.limited {
		m.limit = max(m.limit, at)
	}
}

// head is the log time of what comes next, if that can be known.
func (m *merge) head(sources []*Source) (at state.Time, known bool) {
	if len(sources) == 0 {
		return never, true
	}
	s := m.min(sources)
	if s == nil {
		return 0, false
	}
	return m.at(&s.pieces[s.offered]), true
}

// at is the log time that a piece gets.
func (m *merge) at(p *piece) state.Time { return max(m.floor, p.time, p.mark) }

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
		at := m.at(p)
		if m.limited && at > m.limit || bytes+p.bytes > budget && !(alone && bytes == 0) {
			break
		}
		bytes += p.bytes
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
