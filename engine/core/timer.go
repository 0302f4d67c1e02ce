package core

import (
	"bytes"
	"encoding/binary"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Timers by log time stand in the register of their cell, which the shard's
// index names once, at the earliest of them and of the cell's expiry. Timers
// that a register has no room for, and timers by event time, have a row of
// their own in the cell and one in the index. The index is brought up to date
// before timers fire, so that a timer that is set and cleared by one message
// never gets there.

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
	b := make([]byte, 0, 4+len(t.id))
	return string(append(binary.BigEndian.AppendUint32(b, t.port), t.id...))
}

// dueKey is a row in a shard's index: by due time first. A cell whose register
// is to be looked at has port and id 0.
func (t *timerAt) dueKey(due state.Time) string {
	b := make([]byte, 0, 128)
	b = binary.BigEndian.AppendUint64(b, uint64(due))
	b = binary.BigEndian.AppendUint32(b, uint32(t.stage))
	b = binary.BigEndian.AppendUint32(b, t.port)
	b = append(append(append(b, t.key...), 0), t.id...)
	return string(b)
}

// parseDue undoes dueKey.
func parseDue(shard state.Shard, row string) (at timerAt, due state.Time) {
	b := []byte(row)
	cut := 16 + bytes.IndexByte(b[16:], 0)
	return timerAt{shard: shard, stage: state.StageID(binary.BigEndian.Uint32(b[8:])), port: binary.BigEndian.Uint32(b[12:]),
		key: row[16:cut], id: row[cut+1:]}, dueOf(row)
}

func dueOf(row string) state.Time { return state.Time(binary.BigEndian.Uint64([]byte(row[:8]))) }

// wake says where a cell whose register has changed stands in its shard's
// index; it may have to move.
type wake struct {
	timerAt
	cell state.Cell
	was  state.Time
}

// wakeLater remembers to bring a cell's place in the index up to date.
func (c *Core) wakeLater(cell state.Cell, at timerAt, was state.Time) {
	for i := len(c.wakes) - 1; i >= 0; i-- {
		if c.wakes[i].timerAt == at {
			return
		}
	}
	c.wakes = append(c.wakes, wake{at, cell, was})
}

// noCause is the value of an index row that names a cell.
var noCause = &dueRow{}

// settleWakes brings the index up to date.
func (c *Core) settleWakes() {
	for i := range c.wakes {
		w := &c.wakes[i]
		row, _ := w.cell.Get(tabRegister, "").(*registerRow)
		next := row.next()
		if next != 0 {
			c.dues.lower(w.shard, "", next)
		}
		if next == w.was {
			continue
		}
		index := c.dueCell(w.shard, "")
		if w.was != 0 {
			index.Delete(tabDue, w.dueKey(w.was))
		}
		if next != 0 {
			index.Set(tabDue, w.dueKey(next), noCause, 0)
		}
	}
	clear(c.wakes)
	c.wakes = c.wakes[:0]
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

func (c *Core) dueCell(shard state.Shard, index string) state.Cell {
	if index == "" {
		return c.open.due.at(c, shard, idTimer, "")
	}
	return c.store.Cell(state.CellID{Shard: shard, Stage: idTimer, Key: index})
}

// indexName is the key of the index cell for a timer's clock.
func (c *Core) indexName(stage state.StageID, clock operators.Clock) string {
	if clock == operators.EventClock {
		return c.stages[stage].Name
	}
	return ""
}

// setTimer sets a timer of the register's cell, replacing an earlier one.
func (c *Core) setTimer(r *register, port *operators.TimerPort, id string, due state.Time, m *Message) {
	due = max(due, 1)
	at := timerAt{shard: r.shard, stage: r.stage, port: port.ID, key: r.key, id: id}
	c.clearTimerRow(r, &at, port.Clock)
	if port.Clock == operators.LogClock &&
		r.put(registerTimer{Port: uint64(port.ID), ID: id, Due: due, Cause: m.Cause, TopicID: m.TopicID}) {
		return
	}
	index, cause := c.indexName(r.stage, port.Clock), m.Cause
	r.row.Others++
	r.changed = true
	r.cell.Set(tabTimer, at.ownKey(), &timerRow{Due: due}, 0)
	c.dueCell(r.shard, index).Set(tabDue, at.dueKey(due), &dueRow{Cause: &cause, TopicID: m.TopicID}, 0)
	c.dues.lower(r.shard, index, due)
}

func (c *Core) clearTimer(r *register, port *operators.TimerPort, id string) {
	if port.Clock == operators.LogClock && r.take(port.ID, id) {
		return
	}
	c.clearTimerRow(r, &timerAt{shard: r.shard, stage: r.stage, port: port.ID, key: r.key, id: id}, port.Clock)
}

// clearTimerRow clears a timer that has a row of its own.
func (c *Core) clearTimerRow(r *register, at *timerAt, clock operators.Clock) {
	if r.load(); r.row.Others == 0 {
		return
	}
	if row, ok := r.cell.Get(tabTimer, at.ownKey()).(*timerRow); ok {
		c.deleteTimerRow(r, at, c.indexName(at.stage, clock), row.Due)
	}
}

func (c *Core) deleteTimerRow(r *register, at *timerAt, index string, due state.Time) {
	r.row.Others--
	r.changed = true
	r.cell.Delete(tabTimer, at.ownKey())
	c.dueCell(at.shard, index).Delete(tabDue, at.dueKey(due))
}
