package core

import (
	"encoding/binary"
	"sort"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// portExpiry is the port of the core's own timer, which looks at a cell's
// expired rows; ids of operators' timers are hashes.
const portExpiry = 0

// timerAt names a timer.
type timerAt struct {
	shard state.Shard
	stage state.StageID
	port  uint32
	key   string
	id    string
}

func (t *timerAt) ownKey() string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], t.port)
	return string(b[:]) + t.id
}

// dueKey is the timer's row in its shard's index: by due time first.
func (t *timerAt) dueKey(due state.Time) string {
	b := make([]byte, 0, 16+len(t.key)+1+len(t.id))
	b = binary.BigEndian.AppendUint64(b, uint64(due))
	b = binary.BigEndian.AppendUint32(b, uint32(t.stage))
	b = binary.BigEndian.AppendUint32(b, t.port)
	b = append(append(append(b, t.key...), 0), t.id...)
	return string(b)
}

// dueIndex holds, per index cell, a lower bound of the earliest timer, so that
// the common question "is any due?" touches no row. The rows are the truth; a
// bound may be too low after a rollback or a cleared timer, never too high.
type dueIndex struct {
	bounds  []state.Time          // per shard, log clock; 0 for none
	first   state.Time            // lower bound over all shards; 0 for none
	byEvent map[string]state.Time // per stage, event clock
	stages  []*topology.Stage     // with event timers
}

func (d *dueIndex) init(c *Core) {
	*d = dueIndex{bounds: make([]state.Time, c.cfg.Shards+c.cfg.Groups), byEvent: map[string]state.Time{}}
	for _, s := range c.plan.Stages {
		for _, t := range s.Decl.Timers {
			if t.Clock == operators.EventClock {
				d.stages = append(d.stages, s)
				break
			}
		}
	}
}

func (d *dueIndex) load(c *Core, shard state.Shard) {
	c.dueCell(shard, "").Scan(tabDue, "", "", func(row string, _ state.Visitable) bool {
		d.lower(shard, "", dueOf(row))
		return false
	})
	for _, s := range d.stages {
		c.dueCell(shard, s.Name).Scan(tabDue, "", "", func(row string, _ state.Visitable) bool {
			d.lower(shard, s.Name, dueOf(row))
			return false
		})
	}
}

// lower takes a new timer into the bounds.
func (d *dueIndex) lower(shard state.Shard, index string, due state.Time) {
	if index != "" {
		if b := d.byEvent[index]; b == 0 || due < b {
			d.byEvent[index] = due
		}
		return
	}
	if b := d.bounds[shard]; b == 0 || due < b {
		d.bounds[shard] = due
	}
	if d.first == 0 || due < d.first {
		d.first = due
	}
}

// NextTimer is when the earliest log-clock timer is due, 0 for none. It may be
// too early, never too late.
func (c *Core) NextTimer() state.Time {
	if c.dues.first == 0 || c.group.Conflate != 0 && c.group.Conflate < c.dues.first {
		return c.group.Conflate
	}
	return c.dues.first
}

func dueOf(row string) state.Time { return state.Time(binary.BigEndian.Uint64([]byte(row[:8]))) }

func (c *Core) dueCell(shard state.Shard, index string) state.Cell {
	return c.store.Cell(state.CellID{Shard: shard, Stage: idTimer, Key: index})
}

// indexName is the key of the index cell for a timer's clock.
func (c *Core) indexName(stage state.StageID, clock operators.Clock) string {
	if clock == operators.EventClock {
		return c.stages[stage].Name
	}
	return ""
}

func (c *Core) setTimer(cell state.Cell, at timerAt, clock operators.Clock, due state.Time, m *Message) {
	c.clearTimer(cell, at, clock)
	due = max(due, 1)
	index := c.indexName(at.stage, clock)
	cell.Set(tabTimer, at.ownKey(), &timerRow{Due: due}, 0)
	c.dueCell(at.shard, index).Set(tabDue, at.dueKey(due),
		&dueRow{Stage: uint64(at.stage), Port: uint64(at.port), Key: at.key, ID: at.id, Cause: m.Cause, TopicID: m.TopicID}, 0)
	c.dues.lower(at.shard, index, due)
}

func (c *Core) clearTimer(cell state.Cell, at timerAt, clock operators.Clock) {
	row, ok := cell.Get(tabTimer, at.ownKey()).(*timerRow)
	if !ok {
		return
	}
	cell.Delete(tabTimer, at.ownKey())
	c.dueCell(at.shard, c.indexName(at.stage, clock)).Delete(tabDue, at.dueKey(row.Due))
}

// dueTimer is one timer of a pass.
type dueTimer struct {
	due   state.Time
	index string
	row   string // in the index
	at    timerAt
	set   *dueRow
}

// timersDue reports whether a pass would do anything now.
func (c *Core) timersDue() bool {
	return c.anyDue() || c.group.Conflate != 0 && c.group.Conflate <= c.group.LogTime
}

// fireTimers fires all due timers in (due, shard, key) order. Timers set while
// it runs fire before the next message.
func (c *Core) fireTimers() {
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
			if b := d.bounds[shard]; b != 0 && b <= now {
				d.bounds[shard] = 0
				due = c.scanDue(due, shard, "", now)
			}
			if b := d.bounds[shard]; b != 0 && (d.first == 0 || b < d.first) {
				d.first = b
			}
		})
	}
	for _, s := range d.stages {
		mark := c.marks.of(c, s)
		if b := d.byEvent[s.Name]; b == 0 || b > mark {
			continue
		}
		delete(d.byEvent, s.Name)
		c.eachShard(func(shard state.Shard) { due = c.scanDue(due, shard, s.Name, mark) })
	}
	if planted.MapOrder("core: timers fire in map order", due) {
		return due
	}
	sort.SliceStable(due, func(i, j int) bool {
		a, b := &due[i], &due[j]
		if a.due != b.due {
			return a.due < b.due
		}
		if a.at.shard != b.at.shard {
			return a.at.shard < b.at.shard
		}
		return a.row < b.row
	})
	return due
}

// scanDue appends an index cell's due timers and bounds the rest.
func (c *Core) scanDue(due []dueTimer, shard state.Shard, index string, now state.Time) []dueTimer {
	c.dueCell(shard, index).Scan(tabDue, "", "", func(row string, v state.Visitable) bool {
		at := dueOf(row)
		if at > now {
			c.dues.lower(shard, index, at)
			return false
		}
		r := v.(*dueRow)
		due = append(due, dueTimer{due: at, index: index, row: row, set: r, at: timerAt{shard: shard,
			stage: state.StageID(r.Stage), port: uint32(r.Port), key: r.Key, id: r.ID}})
		return true
	})
	return due
}

// fire consumes one timer and makes its call, unless it was cleared or moved
// since the pass began.
func (c *Core) fire(t *dueTimer) {
	index := c.dueCell(t.at.shard, t.index)
	if index.Get(tabDue, t.row) == nil {
		return
	}
	skip := c.begin()
	if !planted.Is("core: timer fires twice") || c.ordinal%8 != 0 {
		index.Delete(tabDue, t.row)
	}
	cell := c.store.Cell(state.CellID{Shard: t.at.shard, Stage: t.at.stage, Key: t.at.key})
	if t.at.port == portExpiry {
		c.expire(cell, &t.at)
		return
	}
	cell.Delete(tabTimer, t.at.ownKey())
	port := c.plan.Timer(t.at.port)
	code := operators.CodeUnknownType
	switch {
	case skip:
		code = operators.CodeSkipped
	case port != nil:
		c.calls++
		err := c.callTimer(t, port)
		if err == nil {
			c.run()
			return
		}
		code = operators.CodeOf(err)
	}
	c.failedTimer(t, port, code)
	c.run()
}

// callTimer makes a timer's call.
func (c *Core) callTimer(t *dueTimer, port *operators.TimerPort) error {
	m := &Message{Port: uint64(t.at.port), Key: t.at.key, Time: t.due, Cause: t.set.Cause, TopicID: t.set.TopicID}
	return c.invoke(c.plan.Stage(port.Stage), t.at.shard, t.at.key, m, func() error { return port.Fire(&c.call, t.at.id) })
}

// failedTimer dead-letters a timer whose call failed; the timer is consumed.
func (c *Core) failedTimer(t *dueTimer, port *operators.TimerPort, code string) {
	d := &operators.DeadLetter{Code: code, Stage: "timer", Key: t.at.key, Port: uint64(t.at.port), Cause: t.set.Cause, TopicID: t.set.TopicID,
		Fields: []operators.Field{{Name: timerField, Value: t.at.id}}}
	if port != nil {
		d.Stage, d.Type = port.Stage, timerType+port.Name
	}
	c.deadLetter(t.at.shard, d)
}

// expireLater makes sure that a cell is looked at once a row of it has expired,
// late by at most an [state.ExpiryGrain] or a 32nd of the row's lifetime.
func (c *Core) expireLater(cell state.Cell, stage state.StageID, shard state.Shard, key string, expires, lifetime state.Time) {
	grain := max(state.ExpiryGrain, lifetime/32)
	due := (expires/grain + 1) * grain
	row, ok := cell.Get(tabExpiry, "").(*timerRow)
	if ok && row.Due <= due {
		return
	}
	at := timerAt{shard: shard, stage: stage, port: portExpiry, key: key}
	index := c.dueCell(shard, "")
	if ok {
		index.Delete(tabDue, at.dueKey(row.Due))
	}
	cell.Set(tabExpiry, "", &timerRow{Due: due}, 0)
	index.Set(tabDue, at.dueKey(due), &dueRow{Stage: uint64(stage), Port: portExpiry, Key: key}, 0)
	c.dues.lower(shard, "", due)
}

// expireMax is how many expired rows of a table go in one call.
const expireMax = 1000

// expire deletes a cell's expired rows and looks again when the next expire.
func (c *Core) expire(cell state.Cell, at *timerAt) {
	cell.Delete(tabExpiry, "")
	for _, t := range c.lifetimes[at.stage] {
		if left := cell.Expire(t, c.group.LogTime, expireMax); left != 0 {
			c.expireLater(cell, at.stage, at.shard, at.key, left, t.Lifetime)
		}
	}
}
