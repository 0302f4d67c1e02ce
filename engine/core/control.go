package core

import (
	"fmt"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// applyControl carries out a command of a person or the node.
func (c *Core) applyControl(k *Control) {
	c.fireTimers()
	if c.begin() {
		return
	}
	r := Reply{Source: controlSource, ID: k.ID, Outcome: OutcomeApplied}
	switch k.Kind {
	case ControlOpen:
		r.Code = c.openPartition(k)
	case ControlGap:
		r.Code = c.applyGap(k)
	case ControlMove:
		r.Code = c.freeze(k)
	case ControlThaw:
		r.Code = c.thaw(k)
	case ControlPlaced:
		r.Code = c.letGo(k)
	case ControlRedrive:
		c.redrive(k, &r)
	case ControlMembers:
		if code := c.applyMembers(k); code != "" {
			r.Outcome, r.Code = OutcomeRefused, code
		}
	case ControlRaise:
		r.Code = c.raise(k)
	case ControlSkip:
		r.Outcome, r.Code = OutcomeRefused, "not_halted" // a matching one never gets here
	default:
		r.Outcome, r.Code = OutcomeRefused, "control_unknown"
	}
	if r.Code != "" && r.Outcome == OutcomeApplied {
		r.Outcome = OutcomeRefused
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
func (c *Core) openPartition(k *Control) (code string) {
	if k.Partition == nil {
		return "partition_missing"
	}
	name := k.Partition.String()
	shard := c.shardOf(name)
	if code := c.elsewhere(shard); code != "" || c.byName[name] != nil {
		return code
	}
	p := &partition{name: name, shard: shard, dirty: true,
		row: positionRow{Partition: *k.Partition, Next: k.From, Idle: true}}
	for _, old := range c.partitions {
		if planted.Is("core: topic made anew taken for the old one") && old.row.Partition.Topic == k.Partition.Topic {
			p.row.Next = max(p.row.Next, old.row.Next)
		}
	}
	c.partitions = append(c.partitions, p)
	c.byName[name] = p
	return ""
}

// elsewhere says why nothing can be applied to a shard here now, "" if it can.
func (c *Core) elsewhere(shard state.Shard) (code string) {
	switch {
	case !c.owns(shard):
		return CodeOtherGroup
	case !c.serves(shard):
		return CodeShardMoving
	}
	return ""
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
	case !c.serves(p.shard):
		return CodeShardMoving
	case k.From > p.row.Next || k.To <= p.row.Next && !planted.Is("core: gap applied twice"):
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
	if !ok || int(shard) >= c.cfg.Shards+c.cfg.Groups {
		r.Code = "dead_letter_unknown"
		return
	}
	if r.Code = c.elsewhere(shard); r.Code != "" {
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
	replies, records := len(c.out.Replies), len(c.out.Records)
	duplicates := c.outcomes(d.TopicID, &d.Cause).Duplicates
	c.again(shard, d, k.Event)
	c.out.Replies = c.out.Replies[:replies] // the redrive's own reply stands for them
	if c.outcomes(d.TopicID, &d.Cause).Duplicates > duplicates {
		r.Outcome = OutcomeDuplicate
	}
	for _, out := range c.out.Records[records:] {
		if again, ok := out.Payload.Value.(*operators.DeadLetter); ok {
			r.Outcome, r.DeadLetter, r.Code = OutcomeDeadLetter, again.ID, again.Code
			return
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
		c.outcomes(m.TopicID, &m.Cause).DeadLetters--
		input, key, code := c.resolve(e, true)
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
		c.timerAgain(shard, d)
	case c.inputOf(uint32(d.Port)) != nil && d.Cause.Topic == "" && d.Cause.ID != "":
		m.Kind = KindPrimary
		c.touch(c.counter(apiOrigin)).DeadLetters--
		c.message(shard, m)
	default:
		c.message(shard, m)
	}
}

// timerAgain makes the call of a timer that failed.
func (c *Core) timerAgain(shard state.Shard, d *operators.DeadLetter) {
	port := c.plan.Timer(uint32(d.Port))
	t := &dueTimer{due: c.group.LogTime, cause: &d.Cause, topicID: d.TopicID,
		at: timerAt{shard: shard, stage: state.StageID(state.IDOf(port.Stage)), port: port.ID, key: d.Key}}
	if len(d.Fields) > 0 {
		t.at.id = d.Fields[0].Value
	}
	m, err := c.callTimer(t, port)
	if err != nil {
		c.failedTimer(t, port, operators.CodeOf(err))
	}
	c.run(m)
}
