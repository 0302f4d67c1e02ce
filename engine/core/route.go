package core

import (
	"errors"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// queued is a local message waiting for its turn. Its cause and times are those
// of the message at hand.
type queued struct {
	to      *inlet
	shard   state.Shard
	key     string
	depth   uint64
	payload state.Visitable
}

// outlet is what the plan says of an output port.
type outlet struct {
	sink    *topology.SinkLink
	targets []inlet
	cause   bool // what goes out is one cause more: no request, no answer
}

// inlet is an input port and its stage.
type inlet struct {
	port  *operators.InPort
	stage *topology.Stage
}

// outletOf looks an output port up.
func (c *Core) outletOf(out *operators.OutPort) *outlet {
	o := &outlet{sink: c.plan.SinkOf(out), cause: !c.answers[out]}
	for _, in := range c.plan.Targets(out) {
		o.targets = append(o.targets, inlet{in, c.plan.Stage(in.Stage)})
		o.cause = o.cause && in.Refuse == nil
	}
	return o
}

// local says whether a message goes straight to its target: the target is in
// this group and nothing on the lane to it is waiting, which must not be
// overtaken.
func (c *Core) local(from, to state.Shard) bool {
	return c.serves(to) && (len(c.laneDepth) == 0 || c.laneDepth[lanePair{from, to}] == 0)
}

// send takes what a message has caused to its target: the local queue or a lane.
func (c *Core) send(from state.Shard, cause *Message, to *inlet, key string, depth uint64, payload state.Visitable) {
	shard := c.shardOf(key)
	if c.local(from, shard) {
		c.queue = append(c.queue, queued{to: to, shard: shard, key: key, depth: depth, payload: payload})
		return
	}
	c.toLane(from, shard, &Message{Port: uint64(to.port.ID), Key: key, Time: cause.Time, Depth: depth, Cause: cause.Cause,
		TopicID: cause.TopicID, Payload: state.Nested{Value: payload}})
}

// run runs what a message has caused here, first in first out, until nothing is
// left.
func (c *Core) run(cause *Message) {
	if len(c.queue) == 0 {
		return
	}
	m := &c.derivedMessage
	*m = Message{Time: cause.Time, Cause: cause.Cause, TopicID: cause.TopicID}
	for i := 0; i < len(c.queue); i++ {
		c.calls++
		if c.calls > maxCalls {
			c.haltWith("too_many_calls")
		}
		// The queue may grow and move while the call runs.
		q := c.queue[i]
		c.queue[i] = queued{}
		m.Port, m.Key, m.Depth, m.Payload = uint64(q.to.port.ID), q.key, q.depth, state.Nested{Value: q.payload}
		c.derived(q.to, q.shard, m)
	}
	c.queue = c.queue[:0]
	*m = Message{}
}

// derived delivers a message of an operator to another.
func (c *Core) derived(to *inlet, shard state.Shard, m *Message) {
	in := to.port
	if !c.decode(&m.Payload, in.New) {
		c.failedDerived(in, shard, m, "payload_undecodable")
		return
	}
	err := c.invoke(to.stage, shard, m.Key, m, func() error { return in.Handle(&c.call, m.Payload.Value) })
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
	outlet := c.outlets[out]
	for i := range outlet.targets {
		c.send(shard, m, &outlet.targets[i], key, m.Depth, answer)
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
			c.derived(&inlet{in, c.plan.Stage(in.Stage)}, shard, m)
			c.run(m)
			return
		}
		c.deadLetter(shard, &operators.DeadLetter{Code: operators.CodeUnknownType, Stage: "lane", Key: m.Key,
			Cause: m.Cause, TopicID: m.TopicID, Port: m.Port, Payload: m.Payload})
	case KindWatermark:
		c.marks.receive(c, m)
	case KindPlaced:
		c.placed(m)
	default:
		c.haltWith("message_kind_unknown")
	}
}
