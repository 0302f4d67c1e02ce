package core

import (
	"fmt"
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// DeadLetterTopic is the alias of the topic that dead letters go out on, and
// DeadLetterType their event type.
const (
	DeadLetterTopic = topology.DeadLetterTopic
	DeadLetterType  = "message.dead_lettered"
)

// How a timer's dead letter names it.
const (
	timerType  = "timer:"
	timerField = "timer"
)

func (c *Core) deadCell(shard state.Shard) state.Cell {
	return c.store.Cell(state.CellID{Shard: shard, Stage: idDead})
}

func (c *Core) deadHead(shard state.Shard) deadHead {
	if row, ok := c.deadCell(shard).Get(tabDeadHead, "").(*deadHead); ok {
		return *row
	}
	return deadHead{Next: 1}
}

// deadLetter keeps a message that could not be applied and sends word of it to
// the dead-letter topic. Its id says in which shard it is.
func (c *Core) deadLetter(shard state.Shard, d *operators.DeadLetter) string {
	cell, h := c.deadCell(shard), c.deadHead(shard)
	d.ID = fmt.Sprintf("dl-%04x-%012x", uint16(shard), h.Next)
	d.LogTime = c.group.LogTime
	h.Next++
	h.Count++
	c.deadLetters++
	if h.Count > maxDead {
		c.dropOldestDead(cell, &h)
	}
	cell.Set(tabDead, d.ID, d, 0)
	cell.Set(tabDeadHead, "", &h, 0)
	shown := *d
	shown.Payload = state.Nested{}
	c.put(shard, &operators.Record{Topic: DeadLetterTopic, Type: DeadLetterType, Key: d.ID, ID: d.ID, Number: 1,
		Cause: d.Cause, Payload: state.Nested{Value: &shown}})
	return d.ID
}

// dropOldestDead keeps the declared bound; the record on the topic remains.
func (c *Core) dropOldestDead(cell state.Cell, h *deadHead) {
	cell.Scan(tabDead, "", "", func(row string, _ state.Visitable) bool {
		defer cell.Delete(tabDead, row)
		return false
	})
	h.Count--
	c.deadLetters--
}

// applyControl carries out a command of a person or the node.
func (c *Core) applyControl(k *Control) {
	c.fireTimers()
	if c.begin() {
		return
	}
	r := Reply{Source: controlSource, ID: k.ID, Outcome: OutcomeApplied}
	switch k.Kind {
	case ControlOpen:
		c.openPartition(k)
	case ControlGap:
		if code := c.applyGap(k); code != "" {
			r.Outcome, r.Code = OutcomeRefused, code
		}
	case ControlRedrive:
		c.redrive(k, &r)
	case ControlSkip:
		r.Outcome, r.Code = OutcomeRefused, "not_halted" // a matching one never gets here
	default:
		r.Outcome, r.Code = OutcomeRefused, "control_unknown"
	}
	if k.ID != "" {
		c.reply(r)
	}
}

// controlSource is the source in replies to controls.
const controlSource = "!control"

// ControlReply says whether a reply answers the control with this id.
func (r *Reply) ControlReply(id string) bool { return r.Source == controlSource && r.ID == id }

// openPartition fixes where a partition is first read from.
func (c *Core) openPartition(k *Control) {
	if k.Partition == nil || c.byName[k.Partition.String()] != nil {
		return
	}
	name := k.Partition.String()
	p := &partition{name: name, shard: c.shardOf(name), dirty: true,
		row: positionRow{Partition: *k.Partition, Next: k.From, Idle: true}}
	c.partitions = append(c.partitions, p)
	c.byName[name] = p
}

// PartitionShard says whose group reads a partition.
func PartitionShard(p Partition, shards int) state.Shard { return state.ShardOf(p.String(), shards) }

// applyGap accepts that a stretch of a partition is lost.
func (c *Core) applyGap(k *Control) (code string) {
	if k.Partition == nil {
		return "partition_missing"
	}
	p := c.byName[k.Partition.String()]
	switch {
	case p == nil:
		return "partition_unknown"
	case k.From > p.row.Next || k.To <= p.row.Next:
		return "gap_elsewhere"
	}
	p.row.Gap = fmt.Sprintf("[%d, %d) %s", p.row.Next, k.To, k.Reason)
	p.row.Next, p.dirty = k.To, true
	return ""
}

// redrive tries a dead letter again, once: it is taken away and its message
// applied, which may dead-letter it anew.
func (c *Core) redrive(k *Control, r *Reply) {
	r.Outcome = OutcomeRefused
	shard, ok := DeadLetterShard(k.DeadLetter)
	if !ok || int(shard) >= c.cfg.Shards+c.cfg.Groups || c.groupOf(shard) != c.cfg.Group {
		r.Code = "dead_letter_unknown"
		return
	}
	cell := c.deadCell(shard)
	d, ok := cell.Get(tabDead, k.DeadLetter).(*operators.DeadLetter)
	switch {
	case !ok:
		r.Code = "dead_letter_unknown"
		return
	case d.External && (k.Event == nil || k.Event.Offset != d.Cause.Offset || k.Event.Index != d.Cause.Index):
		r.Code = "event_missing"
		return
	case !d.External && d.Port == 0:
		r.Code = "not_redrivable"
		return
	}
	cell.Delete(tabDead, d.ID)
	h := c.deadHead(shard)
	h.Count--
	c.deadLetters--
	cell.Set(tabDeadHead, "", &h, 0)
	r.Outcome = OutcomeApplied
	kept := len(c.out.Replies)
	before := h.Next
	c.again(shard, d, k.Event)
	c.out.Replies = c.out.Replies[:kept] // the redrive's own reply stands for them
	if h = c.deadHead(shard); h.Next != before {
		r.Outcome, r.DeadLetter = OutcomeDeadLetter, fmt.Sprintf("dl-%04x-%012x", uint16(shard), before)
		if again, ok := cell.Get(tabDead, r.DeadLetter).(*operators.DeadLetter); ok {
			r.Code = again.Code
		}
	}
}

// again applies the message of a dead letter.
func (c *Core) again(shard state.Shard, d *operators.DeadLetter, e *operators.Event) {
	m := &Message{Kind: KindEvent, Port: d.Port, Key: d.Key, Time: d.Cause.Time, Cause: d.Cause, TopicID: d.TopicID,
		Payload: d.Payload}
	switch {
	case d.External:
		m.Kind = KindPrimary
		c.count(origin(m)).DeadLetters--
		input, key, code := c.resolve(e)
		if code != "" {
			c.refuse(shard, m, e, code)
			return
		}
		m.Time, m.Port, m.Key, m.Payload = e.Time, uint64(input.Port.ID), key, e.Payload
		m.Cause.Source, m.Cause.ID, m.Cause.Time = e.Source, e.ID, e.Time
		if to := c.shardOf(key); c.local(shard, to) {
			c.primary(input, to, m)
		} else {
			c.toLane(shard, to, m)
		}
	case c.plan.Timer(uint32(d.Port)) != nil:
		t := &dueTimer{due: c.group.LogTime, at: timerAt{shard: shard, port: uint32(d.Port), key: d.Key}}
		port := c.plan.Timer(uint32(d.Port))
		if len(d.Fields) > 0 {
			t.at.id = d.Fields[0].Value
		}
		t.at.stage = state.StageID(state.IDOf(port.Stage))
		err := c.invoke(c.stages[t.at.stage], shard, d.Key, &Message{Port: d.Port, Key: d.Key, Time: t.due},
			func() error { return port.Fire(&c.call, t.at.id) })
		if err != nil {
			c.failedTimer(t, port, operators.CodeOf(err))
		}
		c.run()
	case c.inputOf(uint32(d.Port)) != nil && d.Cause.Topic == "" && d.Cause.ID != "":
		m.Kind = KindPrimary
		c.count(apiOrigin).DeadLetters--
		c.message(shard, m)
	default:
		c.message(shard, m)
	}
}

// DeadLetterShard reads from a dead letter's id in which shard it is.
func DeadLetterShard(id string) (state.Shard, bool) {
	if len(id) != 20 || id[:3] != "dl-" || id[7] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(id[3:7], 16, 16)
	return state.Shard(n), err == nil
}

// ListDeadLetters visits the dead letters of some shards, in order of their ids.
func ListDeadLetters(r state.Reader, shards []state.Shard, fn func(d *operators.DeadLetter) bool) error {
	more := true
	for _, shard := range shards {
		err := r.Scan(state.CellID{Shard: shard, Stage: idDead}, tabDead, "", "", func(_ string, v state.Visitable) bool {
			more = fn(v.(*operators.DeadLetter))
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// FindDeadLetter reads one dead letter, or nil.
func FindDeadLetter(r state.Reader, id string) (*operators.DeadLetter, error) {
	shard, ok := DeadLetterShard(id)
	if !ok {
		return nil, nil
	}
	v, err := r.Get(state.CellID{Shard: shard, Stage: idDead}, tabDead, id)
	if v == nil || err != nil {
		return nil, err
	}
	return v.(*operators.DeadLetter), nil
}
