package bench

import (
	"bytes"
	"sync"
	"time"

	"anabranch.dev/connectors"
)

// tally counts how often each order's decision has reached the output.
type tally struct {
	mu     sync.Mutex // guards what follows
	times  []uint8
	at     []time.Time // of the first
	some   int         // orders with one
	tamper func(order int) int

	outcomes Outcomes
	lastHold time.Time
}

func newTally(orders int, tamper func(order int) int) *tally {
	return &tally{times: make([]uint8, orders), at: make([]time.Time, orders), tamper: tamper}
}

// add takes a delivered decision; what is not of this run is left out.
func (t *tally) add(r *connectors.OutRecord) {
	n, ok := orderNumber(string(r.Key))
	if !ok || n >= len(t.times) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome(r.Value)
	for range t.tamper(n) {
		if t.times[n] == 0 {
			t.some++
			t.at[n] = time.Now()
		}
		t.times[n] = uint8(min(int(t.times[n])+1, 255))
	}
}

// distinct counts the orders that have a decision.
func (t *tally) distinct() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.some
}

// count adds up what is lost and doubled.
func (t *tally) count(c *Checks) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.times {
		switch {
		case n == 0:
			c.Lost++
		case n > 1:
			c.Doubled += int64(n - 1)
		}
	}
}

// Outcomes of an order of one line, as the record's JSON has them.
var (
	allocated   = []byte(`"outcome":"allocated"`)
	backordered = []byte(`"outcome":"backordered"`)
)

func (t *tally) outcome(value []byte) {
	switch {
	case bytes.Contains(value, allocated):
		t.outcomes.Allocated++
		t.lastHold = time.Now()
	case bytes.Contains(value, backordered):
		t.outcomes.Backordered++
	default:
		t.outcomes.Failed++
	}
}

// report says what was decided since a time.
func (t *tally) report(r *Report, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.outcomes
	if took := t.lastHold.Sub(began); took > 0 {
		o.HoldsPerSecond = round(float64(o.Allocated) / took.Seconds())
	}
	r.Outcomes = &o
}
