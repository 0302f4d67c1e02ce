package core

import (
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// haltSignal unwinds to applyEntry when a broken invariant stops the group.
type haltSignal struct{ code string }

// haltWith stops the group at the message at hand.
func (c *Core) haltWith(code string) { panic(&haltSignal{code: code}) }

// breach halts the group at something that is no message, unless that was
// skipped.
func (c *Core) breach(code string) {
	if !c.begin() {
		c.haltWith(code)
	}
}

// Apply takes the next entry of the log. It is deterministic. Entries at or
// below the store's applied index are ignored, so that a log may be replayed
// over a store that is ahead of it.
func (c *Core) Apply(index uint64, e *Entry) *Output {
	c.out = &Output{Index: index, Time: c.group.LogTime}
	switch {
	case index <= c.store.Applied() && !planted.Is("core: applied again after a restore"):
	case c.halt != nil:
		c.waiting = append(c.waiting, waitingEntry{index, e})
		if c.takeSkip(e) {
			c.resume()
		}
	case !c.applyEntry(index, e):
		c.waiting = append(c.waiting, waitingEntry{index, e})
	}
	c.out.Halt = c.halt
	c.out.Time, c.out.Level = c.group.LogTime, c.inForce
	return c.out
}

// takeSkip looks for a skip of exactly the message that halts the group.
func (c *Core) takeSkip(e *Entry) bool {
	for i := range e.Items {
		k := e.Items[i].Control
		if k == nil || k.Kind != ControlSkip {
			continue
		}
		if k.Index == c.halt.Index && k.Message == c.halt.Message {
			if c.skips[k.Index] == nil {
				c.skips[k.Index] = map[uint64]bool{}
			}
			c.skips[k.Index][k.Message] = true
			return true
		}
	}
	return false
}

// resume applies the entries that were held back, until the next halt.
func (c *Core) resume() {
	waiting := c.waiting
	c.halt, c.waiting = nil, nil
	for i, w := range waiting {
		if !c.applyEntry(w.index, w.entry) {
			c.waiting = waiting[i:]
			return
		}
	}
}

// applyEntry applies one entry whole, or, when it halts the group, not at all.
// Nor is one applied that raises the group to a level unknown here: that unwinds.
func (c *Core) applyEntry(index uint64, e *Entry) (ok bool) {
	c.index, c.ordinal = index, 0
	c.epoch++
	undo := c.store.Savepoint()
	before := *c.out
	defer func() {
		c.epoch++
		r := recover()
		if r == nil {
			return
		}
		switch r := r.(type) {
		case *haltSignal:
			c.halt = &Halt{Index: index, Message: c.ordinal - 1, Code: r.code}
			c.store.Rollback(undo)
			*c.out = before
			c.reload()
		case *UnknownLevel:
			c.store.Rollback(undo)
			state.Faultf("%w", r)
		default:
			panic(r)
		}
	}()
	c.openGroupCell()
	if e.Level < FirstLevel || e.Level > c.inForce {
		c.setLevel(c.inForce) // of what is written if it is skipped
		c.breach("level_not_in_force")
	} else {
		c.setLevel(e.Level)
		c.advance(e.Time)
		for i := range e.Items {
			c.item(&e.Items[i])
		}
		// Timers fire before every message. An entry without one is a tick; a
		// pass more or less would make the state depend on how the log is cut
		// into entries.
		if c.ordinal == 0 && (c.cfg.Clock == ClockWall || e.Time != 0) {
			c.fireTimers()
		}
	}
	c.flush()
	c.store.Commit(index)
	delete(c.skips, index)
	return true
}

// reload drops every cache and reads it back from rows, after an entry was
// undone.
func (c *Core) reload() {
	c.group = groupRow{}
	c.openGroupCell()
	c.loadLevel()
	c.partitions, c.byName = nil, map[string]*partition{}
	c.counters, c.touched = map[string]*counter{}, nil
	c.originCount, c.lastPartition = nil, nil
	c.queue, c.conflated, c.wakes, c.outboxesDirty = c.queue[:0], nil, c.wakes[:0], c.outboxesDirty[:0]
	c.outboxRecords, c.outboxBytes, c.deadLetters = 0, 0, 0
	c.laneDepth, c.laneFrom = map[lanePair]uint64{}, map[state.Shard]uint64{}
	c.load()
}

// item applies one item of an entry.
func (c *Core) item(it *Item) {
	switch {
	case it.Range != nil:
		c.applyRange(it.Range)
	case it.Command != nil:
		c.applyCommand(it.Command)
	case it.Lane != nil:
		c.applyLane(it.Lane)
	case it.Ack != nil:
		c.applyAck(it.Ack)
	case it.LaneAck != nil:
		c.applyLaneAck(it.LaneAck)
	case it.Inputs != nil:
		c.applyInputs(it.Inputs)
	case it.Control != nil:
		c.applyControl(it.Control)
	case it.Import != nil:
		c.applyImport(it.Import)
	case it.Sweep != nil:
		c.applySweep(it.Sweep)
	}
}

// begin starts a message: the unit that can halt the group and be skipped.
// It reports whether the message is to be skipped.
func (c *Core) begin() (skip bool) {
	c.ordinal++
	c.calls = 0
	return c.skips[c.index][c.ordinal-1]
}

// advance moves log time on; it never goes back.
func (c *Core) advance(t state.Time) {
	if t > c.group.LogTime || planted.Is("log time goes back") && t != 0 {
		c.group.LogTime = t
	}
}

// flush writes what was kept in caches while the entry ran.
func (c *Core) flush() {
	for _, p := range c.partitions {
		if p.dirty {
			p.dirty = false
			c.partitionCell(p).Set(tabPosition, "", p.copyRow(), 0)
		}
	}
	for _, k := range c.touched {
		row := k.row
		k.touched = false
		c.groupCell.Set(tabCounter, k.name, &row, 0)
	}
	c.touched = c.touched[:0]
	c.settleWakes()
	c.flushOutboxes()
	c.marks.update(c)
	row := c.group
	c.groupCell.Set(tabGroup, "", &row, 0)
}
