package core

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// registerRow is what the core keeps of one cell beside its operator's rows:
// all that a call usually needs of it is in this one row.
type registerRow struct {
	Expiry  state.Time      `v:"expiry"` // when the cell's expired rows are looked at, 0 for never
	Timers  []registerTimer `v:"timers"` // by log time, at most maxRegistered
	Others  uint64          `v:"others"` // timers that have rows of their own
	Numbers []ownNumber     `v:"numbers"`
}

// registerTimer is a timer that an operator has set.
type registerTimer struct {
	Port uint64     `v:"port"`
	ID   string     `v:"id"`
	Due  state.Time `v:"due"`
	// Cause of the call that set it: what the timer does has that cause too.
	Cause   operators.Cause `v:"cause"`
	TopicID string          `v:"topic_id"`
}

// ownNumber is the last number on a topic of the records whose key is the
// cell's own.
type ownNumber struct {
	Topic   string     `v:"topic"`
	Last    uint64     `v:"last"`
	Expires state.Time `v:"expires"`
}

// maxRegistered bounds the timers in a register.
const maxRegistered = 8

// next is when the cell must be looked at, 0 for never.
func (r *registerRow) next() state.Time {
	if r == nil {
		return 0
	}
	first := r.Expiry
	for i := range r.Timers {
		if due := r.Timers[i].Due; first == 0 || due < first {
			first = due
		}
	}
	return first
}

// register is the working copy of a cell's [registerRow]. It is read when it is
// first needed, and written when it is closed; a failed call drops it.
type register struct {
	cell  state.Cell
	shard state.Shard
	stage state.StageID
	key   string

	loaded, changed bool
	stored          *registerRow // nil: there is none
	row             registerRow  // its lists are stored's until they are changed
	own             bool         // Timers is this copy's
}

// open turns to another cell.
func (r *register) open(cell state.Cell, shard state.Shard, stage state.StageID, key string) {
	*r = register{cell: cell, shard: shard, stage: stage, key: key}
}

// registerOf opens a cell's register outside of a call.
func (c *Core) registerOf(cell state.Cell, shard state.Shard, stage state.StageID, key string) *register {
	c.reg.open(cell, shard, stage, key)
	return &c.reg
}

func (r *register) load() {
	if r.loaded {
		return
	}
	r.loaded = true
	if r.stored, _ = r.cell.Get(tabRegister, "").(*registerRow); r.stored != nil {
		r.row = *r.stored
	}
}

// close writes what has changed and notes when the cell must be looked at.
func (r *register) close(c *Core) {
	if !r.changed {
		return
	}
	was := r.stored.next()
	if r.row.Expiry == 0 && r.row.Others == 0 && len(r.row.Timers) == 0 && len(r.row.Numbers) == 0 {
		r.cell.Delete(tabRegister, "")
		r.stored = nil
	} else {
		row := r.row
		r.cell.Set(tabRegister, "", &row, 0)
		r.stored = &row
	}
	r.changed, r.own = false, false
	if r.stored.next() != was {
		c.wakeLater(r.cell, timerAt{shard: r.shard, stage: r.stage, key: r.key}, was)
	}
}

// expireAt makes sure that the cell is looked at once a row of it has expired,
// late by at most an [state.ExpiryGrain] or a 32nd of the row's lifetime.
func (r *register) expireAt(expires, lifetime state.Time) {
	r.load()
	grain := max(state.ExpiryGrain, lifetime/32)
	if due := (expires/grain + 1) * grain; r.row.Expiry == 0 || due < r.row.Expiry {
		r.row.Expiry, r.changed = due, true
	}
}

// number gives the next number on a topic of records with the cell's key.
func (r *register) number(topic string, now state.Time) uint64 {
	r.load()
	numbers := make([]ownNumber, len(r.row.Numbers), len(r.row.Numbers)+1)
	copy(numbers, r.row.Numbers)
	r.row.Numbers, r.changed = numbers, true
	expires := now + numberLifetime
	r.expireAt(expires, numberLifetime)
	for i := range numbers {
		if n := &numbers[i]; n.Topic == topic {
			n.Last, n.Expires = n.Last+1, expires
			return n.Last
		}
	}
	r.row.Numbers = append(numbers, ownNumber{Topic: topic, Last: 1, Expires: expires})
	return 1
}

// expireNumbers drops numbers of keys that have been silent for long.
func (r *register) expireNumbers(now state.Time) {
	r.load()
	kept := make([]ownNumber, 0, len(r.row.Numbers))
	for _, n := range r.row.Numbers {
		if n.Expires > now {
			kept = append(kept, n)
			r.expireAt(n.Expires, numberLifetime)
		}
	}
	r.row.Numbers, r.changed = kept, true
}

// find is the position of a timer in the register, or -1.
func (r *register) find(port uint32, id string) int {
	r.load()
	for i := range r.row.Timers {
		if t := &r.row.Timers[i]; t.Port == uint64(port) && t.ID == id {
			return i
		}
	}
	return -1
}

// ownTimers makes the list of timers one that may be written to, with room for
// one more.
func (r *register) ownTimers() {
	r.changed = true
	if r.own {
		return
	}
	r.own = true
	timers := make([]registerTimer, len(r.row.Timers), len(r.row.Timers)+1)
	copy(timers, r.row.Timers)
	r.row.Timers = timers
}

// put sets a timer, if it is there already or there is room.
func (r *register) put(t registerTimer) bool {
	i := r.find(uint32(t.Port), t.ID)
	if i < 0 && len(r.row.Timers) >= maxRegistered {
		return false
	}
	r.ownTimers()
	if i < 0 {
		r.row.Timers = append(r.row.Timers, t)
	} else {
		r.row.Timers[i] = t
	}
	return true
}

// take removes a timer and says whether it was there.
func (r *register) take(port uint32, id string) bool {
	i := r.find(port, id)
	if i < 0 {
		return false
	}
	r.ownTimers()
	last := len(r.row.Timers) - 1
	copy(r.row.Timers[i:], r.row.Timers[i+1:])
	r.row.Timers[last] = registerTimer{}
	r.row.Timers = r.row.Timers[:last]
	return true
}
