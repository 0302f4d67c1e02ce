package bench

import (
	"sync"
	"time"

	"anabranch.dev/state"
)

// MoveTimes say what it cost to move shards, in microseconds.
type MoveTimes struct {
	Groups    int  `json:"groups"`
	Moves     int  `json:"moves"`
	CalledOff int  `json:"called_off"`
	Took      Gaps `json:"took_us"` // as the node that was asked says
	// Visible is from an order's time by the schedule to its visible decision.
	Visible MoveVisible `json:"visible_us"`
	Longest MovePause   `json:"longest_pause_us"`
	// Cancelled are orders that were, so that their keys have a second record.
	Cancelled int64 `json:"cancelled"`
}

// MoveVisible are the latencies of orders before the moves and during them.
type MoveVisible struct {
	Before Latency `json:"before"`
	During Latency `json:"during"`
}

// MovePause is the longest that an order waited for its visible decision.
type MovePause struct {
	All float64 `json:"all"`
	// Moving is that of orders whose own shard was on the move meanwhile.
	Moving       float64 `json:"moving"`
	MovingOrders int     `json:"moving_orders"`
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// moveMeter knows when orders became visible and shards were on the move.
type moveMeter struct {
	mu       sync.Mutex // guards what follows
	at       []time.Time
	records  []uint8
	some     int
	released int64
	spans    map[state.Shard][]span
}

func newMoveMeter() *moveMeter { return &moveMeter{spans: map[state.Shard][]span{}} }

// note takes a record of an order. It says whether it is the first.
func (m *moveMeter) note(n int, at time.Time) (first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n >= len(m.at) {
		m.at = append(m.at, make([]time.Time, n+1)...)
		m.records = append(m.records, make([]uint8, len(m.at)-len(m.records))...)
	}
	m.records[n] = min(m.records[n], 254) + 1
	switch m.records[n] {
	case 1:
		m.at[n] = at
		m.some++
	case 2:
		m.released++
	}
	return m.records[n] == 1
}

// count is how many orders have a decision, and how many have more than that.
func (m *moveMeter) count() (decided int, more int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.some, m.released
}

// moved takes when a shard was on the move.
func (m *moveMeter) moved(s state.Shard, from, to time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spans[s] = append(m.spans[s], span{from, to})
}

// report sums up the orders, which were due at their times: those of a stretch
// before the moves, those of the stretch with the moves, and all.
func (m *moveMeter) report(r *MoveTimes, due func(n int) time.Time, before, during span, shards int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	calm, moving := newHistogram(), newHistogram()
	var all, own time.Duration
	for n, at := range m.at {
		if at.IsZero() {
			continue // lost, or none of ours
		}
		from := due(n)
		pause := at.Sub(from)
		switch {
		case before.holds(from):
			record(calm, pause)
		case during.holds(from):
			record(moving, pause)
		}
		all = max(all, pause)
		for _, s := range m.spans[state.ShardOf(orderID(n), shards)] {
			if from.Before(s.to) && at.After(s.from) {
				own = max(own, pause)
				r.Longest.MovingOrders++
				break
			}
		}
	}
	r.Visible = MoveVisible{Before: latencyOf(calm), During: latencyOf(moving)}
	r.Longest.All, r.Longest.Moving, r.Cancelled = micros(all), micros(own), m.released
}

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }
