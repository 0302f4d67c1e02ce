package core

import (
	"cmp"
	"encoding/binary"
	"slices"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// dueTimer is one timer of a pass.
type dueTimer struct {
	due     state.Time
	at      timerAt
	index   string
	cause   *operators.Cause
	topicID string
}

// timersDue reports whether a pass would do anything now.
func (c *Core) timersDue() bool {
	c.settleWakes()
	return c.anyDue() || c.group.Conflate != 0 && c.group.Conflate <= c.group.LogTime
}

// fireTimers fires all due timers in (due, shard, key) order. Timers set while
// it runs fire before the next message.
func (c *Core) fireTimers() {
	c.settleWakes()
	if c.anyDue() {
		for _, t := range c.collectDue() {
			c.fire(&t)
		}
	}
	if c.group.Conflate != 0 && c.group.Conflate <= c.group.LogTime {
		c.flushConflated()
	}
}

func (c *Core) anyDue() bool {
	if c.dues.first != 0 && c.dues.first <= c.group.LogTime {
		return true
	}
	for _, s := range c.dues.stages {
		if b := c.dues.byEvent[s.Name]; b != 0 && b <= c.marks.of(c, s) {
			return true
		}
	}
	return false
}

// collectDue lists what is due now and tightens the bounds.
func (c *Core) collectDue() []dueTimer {
	var due []dueTimer
	d, now := &c.dues, c.group.LogTime
	if d.first != 0 && d.first <= now {
		d.first = 0
		c.eachShard(func(shard state.Shard) {
			if !c.serves(shard) {
				return
			}
			if b := d.bounds[shard]; b != 0 && b <= now {
				d.bounds[shard] = 0
				due = c.scanDue(due, shard, "", b, now)
			}
			if b := d.bounds[shard]; b != 0 && (d.first == 0 || b < d.first) {
				d.first = b
			}
		})
	}
	for _, s := range d.stages {
		mark := c.marks.of(c, s)
		b := d.byEvent[s.Name]
		if b == 0 || b > mark {
			continue
		}
		delete(d.byEvent, s.Name)
		c.eachShard(func(shard state.Shard) {
			if c.serves(shard) {
				due = c.scanDue(due, shard, s.Name, b, mark)
			}
		})
	}
	if planted.MapOrder("core: timers fire in map order", due) {
		return due
	}
	slices.SortStableFunc(due, func(a, b dueTimer) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.at.shard, b.at.shard), cmp.Compare(a.at.stage, b.at.stage),
			cmp.Compare(a.at.port, b.at.port), cmp.Compare(a.at.key, b.at.key), cmp.Compare(a.at.id, b.at.id))
	})
	return due
}

// scanDue appends what an index cell says is due and bounds the rest. It begins
// at the lower bound: what fired before may still leave a trace on disk.
func (c *Core) scanDue(due []dueTimer, shard state.Shard, index string, bound, now state.Time) []dueTimer {
	var cells []dueTimer
	from := string(binary.BigEndian.AppendUint64(nil, uint64(bound)))
	c.dueCell(shard, index).Scan(tabDue, "", from, func(row string, v state.Visitable) bool {
		at, when := parseDue(shard, row)
		switch r := v.(*dueRow); {
		case when > now:
			c.dues.lower(shard, index, when)
			return false
		case at.port == portExpiry:
			cells = append(cells, dueTimer{due: when, at: at})
		default:
			due = append(due, dueTimer{due: when, at: at, index: index, cause: r.Cause, topicID: r.TopicID})
		}
		return true
	})
	for i := range cells {
		due = c.scanRegister(due, &cells[i], now)
	}
	return due
}

// scanRegister appends what is due of a cell that the index names, and has its
// place in the index looked at afterwards.
func (c *Core) scanRegister(due []dueTimer, found *dueTimer, now state.Time) []dueTimer {
	at := found.at
	cell := c.store.Cell(state.CellID{Shard: at.shard, Stage: at.stage, Key: at.key})
	c.wakeLater(cell, at, found.due)
	row, ok := cell.Get(tabRegister, "").(*registerRow)
	if !ok {
		return due
	}
	if row.Expiry != 0 && row.Expiry <= now {
		due = append(due, dueTimer{due: row.Expiry, at: at})
	}
	for i := range row.Timers {
		if t := &row.Timers[i]; t.Due <= now {
			at.port, at.id = uint32(t.Port), t.ID
			due = append(due, dueTimer{due: t.Due, at: at, cause: &t.Cause, topicID: t.TopicID})
		}
	}
	return due
}

// fire consumes one timer and makes its call, unless it was cleared or moved
// since the pass began.
func (c *Core) fire(t *dueTimer) {
	cell := c.store.Cell(state.CellID{Shard: t.at.shard, Stage: t.at.stage, Key: t.at.key})
	r := c.registerOf(cell, t.at.shard, t.at.stage, t.at.key)
	if !c.stillDue(r, t) {
		return
	}
	skip := c.begin()
	if t.at.port == portExpiry {
		c.expire(r)
		return
	}
	if !planted.Is("core: timer fires twice") || c.ordinal%8 != 0 {
		if !r.take(t.at.port, t.at.id) {
			c.deleteTimerRow(r, &t.at, t.index, t.due)
		}
		r.close(c)
	}
	port := c.plan.Timer(t.at.port)
	code := operators.CodeUnknownType
	switch {
	case skip:
		code = operators.CodeSkipped
	case port != nil:
		c.calls++
		m, err := c.callTimer(t, port)
		if err == nil {
			c.run(m)
			return
		}
		code = operators.CodeOf(err)
	}
	c.failedTimer(t, port, code)
}

// stillDue says whether a timer is still set for the time it was found at.
func (c *Core) stillDue(r *register, t *dueTimer) bool {
	if r.load(); t.at.port == portExpiry {
		return r.row.Expiry == t.due
	}
	if i := r.find(t.at.port, t.at.id); i >= 0 {
		return r.row.Timers[i].Due == t.due
	}
	if r.row.Others == 0 {
		return false
	}
	row, ok := r.cell.Get(tabTimer, t.at.ownKey()).(*timerRow)
	return ok && row.Due == t.due
}

// callTimer makes a timer's call.
func (c *Core) callTimer(t *dueTimer, port *operators.TimerPort) (*Message, error) {
	m := &Message{Port: uint64(t.at.port), Key: t.at.key, Time: t.due, TopicID: t.topicID}
	if t.cause != nil {
		m.Cause = *t.cause
	}
	return m, c.invoke(c.plan.Stage(port.Stage), t.at.shard, t.at.key, m, func() error { return port.Fire(&c.call, t.at.id) })
}

// failedTimer dead-letters a timer whose call failed; the timer is consumed.
func (c *Core) failedTimer(t *dueTimer, port *operators.TimerPort, code string) {
	d := &operators.DeadLetter{Code: code, Stage: "timer", Key: t.at.key, Port: uint64(t.at.port), TopicID: t.topicID,
		Fields: []operators.Field{{Name: timerField, Value: t.at.id}}}
	if t.cause != nil {
		d.Cause = *t.cause
	}
	if port != nil {
		d.Stage, d.Type = port.Stage, timerType+port.Name
	}
	c.deadLetter(t.at.shard, d)
}

// expireMax is how many expired rows of a table go in one call.
const expireMax = 1000

// expire deletes a cell's expired rows and looks again when the next expire.
func (c *Core) expire(r *register) {
	r.load()
	r.row.Expiry, r.changed = 0, true
	for _, t := range c.lifetimes[r.stage] {
		if left := r.cell.Expire(t, c.group.LogTime, expireMax); left != 0 {
			r.expireAt(left, t.Lifetime)
		}
	}
	r.expireNumbers(c.group.LogTime)
	r.close(c)
}
