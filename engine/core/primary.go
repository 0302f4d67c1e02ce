package core

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/zeebo/xxh3"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// requestID names a command: the source and id of its event.
func requestID(source, id string) string { return source + "\x00" + id }

// seenKey is the row key under which (source, id) is remembered.
func seenKey(source, id string) string {
	key := requestID(source, id)
	if len(key) > 256 {
		sum := xxh3.HashString128(key).Bytes()
		return "#" + hex.EncodeToString(sum[:])
	}
	return key
}

// applyCommand brings an event of the API in.
func (c *Core) applyCommand(k *Command) {
	c.fireTimers()
	e := &k.Event
	m := &Message{Kind: KindPrimary, Time: e.Time,
		Cause: operators.Cause{Source: e.Source, ID: e.ID, Time: e.Time, Trace: e.Trace}}
	if k.Answer {
		m.Request = requestID(e.Source, e.ID)
	}
	skip := c.begin()
	input, key, code := c.resolve(e, false)
	shard := GroupShard(c.cfg.Shards, c.cfg.Group)
	if code == "" {
		shard = c.shardOf(key)
	}
	switch {
	case !c.serves(shard):
		c.reply(Reply{Source: e.Source, ID: e.ID, Outcome: OutcomeRefused, Code: c.elsewhere(shard)})
	case code == "" && !skip:
		m.Port, m.Key, m.Payload = uint64(input.Port.ID), key, e.Payload
		c.primary(input, shard, m)
	default:
		if skip {
			code = operators.CodeSkipped
		}
		id := c.refuse(shard, m, e, code)
		c.reply(Reply{Source: e.Source, ID: e.ID, Outcome: OutcomeDeadLetter, Code: code, DeadLetter: id})
	}
}

func (c *Core) reply(r Reply) { c.out.Replies = append(c.out.Replies, r) }

// primary applies an outside event at its primary key: it is checked by
// (source, id) and its outcome counted, once.
func (c *Core) primary(input *topology.Input, shard state.Shard, m *Message) {
	stage := c.plan.Stage(input.Port.Stage)
	// The answer to a command is kept by its id, whatever the operator knows.
	checked, seen := !input.Idempotent || m.Cause.Topic == "", ""
	var cell state.Cell
	if checked {
		cell = c.store.Cell(state.CellID{Shard: shard, Stage: stage.ID, Key: m.Key})
		seen = seenKey(m.Cause.Source, m.Cause.ID)
		if row, ok := cell.Get(tabSeen, seen).(*seenRow); ok && !planted.Is("core: duplicate not recognised") {
			c.duplicate(m, row.Answer)
			return
		}
	}
	code := c.checkClock(input, m)
	var err error
	if code == "" {
		c.calls++
		err = c.invoke(stage, shard, m.Key, m, func() error { return input.Port.Handle(&c.call, m.Payload.Value) })
		switch {
		case errors.Is(err, operators.ErrDuplicate):
			c.duplicate(m, "")
			return
		case err != nil:
			code = operators.CodeOf(err)
		}
	}
	if code != "" {
		id := c.failedPrimary(stage, shard, m, code)
		if m.Cause.Topic == "" {
			c.reply(Reply{Source: m.Cause.Source, ID: m.Cause.ID, Outcome: OutcomeDeadLetter, Code: code, DeadLetter: id})
		}
		return
	}
	if checked {
		c.remember(cell, stage, shard, m.Key, seen)
	}
	c.outcomes(m.TopicID, &m.Cause).Applied++
	if m.Cause.Topic == "" {
		c.reply(Reply{Source: m.Cause.Source, ID: m.Cause.ID, Outcome: OutcomeApplied})
	}
	c.run(m)
}

// remember keeps (source, id); an answer that the call itself gave is kept.
func (c *Core) remember(cell state.Cell, stage *topology.Stage, shard state.Shard, key, seen string) {
	row := &seenRow{}
	if old, ok := cell.Get(tabSeen, seen).(*seenRow); ok {
		row.Answer = old.Answer
	}
	expires := c.group.LogTime + seenLifetime
	cell.Set(tabSeen, seen, row, expires)
	r := c.registerOf(cell, shard, stage.ID, key)
	r.expireAt(expires, seenLifetime)
	r.close(c)
}

// duplicate counts an event that was applied before, and answers a command
// again.
func (c *Core) duplicate(m *Message, answer string) {
	c.outcomes(m.TopicID, &m.Cause).Duplicates++
	if m.Cause.Topic == "" {
		c.reply(Reply{Source: m.Cause.Source, ID: m.Cause.ID, Outcome: OutcomeDuplicate, Answer: answer})
	}
}

// checkClock refuses event times that can't be right. Under the replay clock
// log time follows the events, so only lateness is checked. Facts are never too
// old: a compacted topic holds them as long as they are true.
func (c *Core) checkClock(input *topology.Input, m *Message) string {
	now, wall := c.group.LogTime, c.cfg.Clock == ClockWall
	switch {
	case wall && m.Time > now+clockAhead:
		return operators.CodeClockAhead
	case input.Facts:
		return ""
	case wall && m.Time < now-clockBehind:
		return operators.CodeClockBehind
	case m.Time < now-lateAfter:
		return operators.CodeLate
	}
	return ""
}

// failedPrimary dead-letters an outside event at its primary key.
func (c *Core) failedPrimary(stage *topology.Stage, shard state.Shard, m *Message, code string) string {
	c.outcomes(m.TopicID, &m.Cause).DeadLetters++
	in := c.plan.In(uint32(m.Port))
	d := &operators.DeadLetter{Code: code, Stage: stage.Name, Type: in.Name, Key: m.Key, Cause: m.Cause,
		TopicID: m.TopicID, Fields: c.cfg.Fields(m.Payload.Value), External: m.Cause.Topic != "", Port: m.Port}
	if !d.External {
		d.Payload = m.Payload
	}
	return c.deadLetter(shard, d)
}

// splitRequest undoes requestID.
func splitRequest(request string) (source, id string) {
	source, id, _ = strings.Cut(request, "\x00")
	return source, id
}
