package core

import (
	"errors"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// queued is a local message waiting for its turn.
type queued struct {
	in    *operators.InPort
	shard state.Shard
	m     Message
}

// local says whether a message goes straight to its target: the target is in
// this group and nothing on the lane to it is waiting, which must not be
// overtaken.
func (c *Core) local(from, to state.Shard) bool {
	return c.groupOf(to) == c.cfg.Group && (len(c.laneDepth) == 0 || c.laneDepth[lanePair{from, to}] == 0)
}

// send takes a message to its target: the local queue or a lane.
func (c *Core) send(from state.Shard, in *operators.InPort, m Message) {
	to := c.shardOf(m.Key)
	if c.local(from, to) {
		c.queue = append(c.queue, queued{in: in, shard: to, m: m})
		return
	}
	c.toLane(from, to, &m)
}

// run runs queued messages, first in first out, until none is left.
func (c *Core) run() {
	for i := 0; i < len(c.queue); i++ {
		q := &c.queue[i]
		c.calls++
		if c.calls > maxCalls {
			c.haltWith("too_many_calls")
		}
		// The queue may grow and move while the call runs: q must not be
		// used after it.
		in, shard, m := q.in, q.shard, q.m
		q.m = Message{}
		c.derived(in, shard, &m)
	}
	c.queue = c.queue[:0]
}

// derived delivers a message of an operator to another.
func (c *Core) derived(in *operators.InPort, shard state.Shard, m *Message) {
	stage := c.plan.Stage(in.Stage)
	if !c.decode(&m.Payload, in.New) {
		c.failedDerived(in, shard, m, "payload_undecodable")
		return
	}
	err := c.invoke(stage, shard, m.Key, m, func() error { return in.Handle(&c.call, m.Payload.Value) })
	if err != nil && !errors.Is(err, operators.ErrDuplicate) {
		c.failedDerived(in, shard, m, operators.CodeOf(err))
	}
}

// failedDerived dead-letters a derived message. A request is answered in its
// stead, so that its asker does not wait for ever; it is then not re-driven.
func (c *Core) failedDerived(in *operators.InPort, shard state.Shard, m *Message, code string) {
	d := &operators.DeadLetter{Code: code, Stage: in.Stage, Type: in.Name, Key: m.Key, Cause: m.Cause, TopicID: m.TopicID,
		Payload: m.Payload}
	if m.Payload.Value != nil {
		d.Fields = c.cfg.Fields(m.Payload.Value)
	}
	if in.Refuse == nil {
		d.Port = m.Port
	}
	c.deadLetter(shard, d)
	if in.Refuse == nil || m.Payload.Value == nil {
		return
	}
	out, key, answer := in.Refuse(m.Payload.Value, code)
	for _, to := range c.plan.Targets(out) {
		c.send(shard, to, Message{Port: uint64(to.ID), Key: key, Time: m.Time, Depth: m.Depth, Cause: m.Cause,
			TopicID: m.TopicID, Payload: state.Nested{Value: answer}})
	}
}

// message applies a message that came on a lane, or is tried again.
func (c *Core) message(shard state.Shard, m *Message) {
	switch m.Kind {
	case KindPrimary:
		if input := c.inputOf(uint32(m.Port)); input != nil && c.decode(&m.Payload, input.Port.New) {
			c.primary(input, shard, m)
			return
		}
		c.outcomes(m.TopicID, &m.Cause).DeadLetters++
		c.deadLetter(shard, &operators.DeadLetter{Code: operators.CodeUnknownType, Stage: "lane", Key: m.Key,
			Cause: m.Cause, TopicID: m.TopicID, External: m.Cause.Topic != ""})
	case KindEvent:
		if in := c.plan.In(uint32(m.Port)); in != nil {
			c.derived(in, shard, m)
			c.run()
			return
		}
		c.deadLetter(shard, &operators.DeadLetter{Code: operators.CodeUnknownType, Stage: "lane", Key: m.Key,
			Cause: m.Cause, TopicID: m.TopicID, Port: m.Port, Payload: m.Payload})
	case KindBroadcast:
		c.applyBroadcast(m)
	case KindWatermark:
		c.marks.receive(c, m)
	default:
		c.haltWith("message_kind_unknown")
	}
}
