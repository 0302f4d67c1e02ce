package core

import (
	"strings"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// partition is the cached position of one input partition.
type partition struct {
	name  string
	shard state.Shard
	row   positionRow
	dirty bool
}

func (p *partition) copyRow() *positionRow {
	row := p.row
	return &row
}

// counter is the cached outcome count of one origin.
type counter struct {
	name    string
	row     counterRow
	touched bool
}

// apiOrigin is the origin under which API events are counted.
const apiOrigin = "api"

// PartitionState is how far a partition has been applied, with the outcomes of
// its events in this group.
type PartitionState struct {
	Partition                                Partition
	Next                                     int64
	Events, Applied, Duplicates, DeadLetters int64
	High                                     state.Time
	Idle                                     bool
	Gap                                      string
}

// Partitions lists the input partitions whose positions this group keeps.
func (c *Core) Partitions() []PartitionState {
	all := make([]PartitionState, 0, len(c.partitions))
	for _, p := range c.partitions {
		s := PartitionState{Partition: p.row.Partition, Next: p.row.Next, Events: p.row.Events,
			High: p.row.High, Idle: p.row.Idle, Gap: p.row.Gap}
		if k := c.counters[p.name]; k != nil {
			s.Applied, s.Duplicates, s.DeadLetters = k.row.Applied, k.row.Duplicates, k.row.DeadLetters
		}
		all = append(all, s)
	}
	return all
}

// Counters reports the outcomes counted in this group by origin: a partition's
// name, or "api". Origins of other groups' partitions are among them.
func (c *Core) Counters(fn func(origin string, applied, duplicates, deadLetters int64)) {
	c.store.Cell(c.groupCellID()).Scan(tabCounter, "", "", func(name string, v state.Visitable) bool {
		r := v.(*counterRow)
		fn(name, r.Applied, r.Duplicates, r.DeadLetters)
		return true
	})
}

// Next is where a partition's source goes on, and whether it was opened.
func (c *Core) Next(p Partition) (next int64, open bool) {
	if q := c.byName[p.String()]; q != nil {
		return q.row.Next, true
	}
	return 0, false
}

func (c *Core) partitionCell(p *partition) state.Cell {
	return c.store.Cell(state.CellID{Shard: p.shard, Stage: idPosition, Key: p.name})
}

func (c *Core) loadPartitions(shard state.Shard) {
	c.store.Cells(shard, idPosition, func(key string, cell state.Cell) bool {
		if row, ok := cell.Get(tabPosition, "").(*positionRow); ok {
			p := &partition{name: key, shard: shard, row: *row}
			c.partitions = append(c.partitions, p)
			c.byName[key] = p
		}
		return true
	})
}

// outcomes counts what became of an outside event, under the partition it came
// from, or as one of the API's. Events of one partition come in runs.
func (c *Core) outcomes(topicID string, cause *operators.Cause) *counterRow {
	if cause.Topic == "" {
		return c.touch(c.counter(apiOrigin))
	}
	p := Partition{Topic: cause.Topic, TopicID: topicID, Partition: cause.Partition}
	if p != c.origin || c.originCount == nil {
		c.origin, c.originCount = p, c.counter(p.String())
	}
	return c.touch(c.originCount)
}

func (c *Core) counter(origin string) *counter {
	k := c.counters[origin]
	if k == nil {
		k = &counter{name: origin}
		c.counters[origin] = k
	}
	return k
}

// touch gives an origin's outcomes, to be added to.
func (c *Core) touch(k *counter) *counterRow {
	if !k.touched {
		k.touched = true
		c.touched = append(c.touched, k)
	}
	return &k.row
}

// markPasses bounds how often timers that set timers for at once fire at a mark.
const markPasses = 1000

// applyRange applies what of a range lies at and above the partition's next.
func (c *Core) applyRange(r *Range) {
	p := c.partitionOf(&r.Partition)
	if p == nil || !c.serves(p.shard) {
		c.out.Wants = append(c.out.Wants, Want{Partition: r.Partition, Next: -1})
		return
	}
	if r.From > p.row.Next {
		c.out.Wants = append(c.out.Wants, Want{Partition: r.Partition, Next: p.row.Next})
		return
	}
	if r.To <= p.row.Next {
		return
	}
	mark := len(r.Events) == 0 && r.Time > c.group.LogTime
	c.advance(r.Time)
	for n := 0; mark && n < markPasses && c.timersDue(); n++ {
		c.fireTimers() // whatever is due up to here, and what that sets
	}
	p.dirty = true
	for i := range r.Events {
		e := &r.Events[i]
		if e.Offset < p.row.Next {
			continue
		}
		c.seeTime(p, e)
		p.row.Events++
		c.event(p, e)
	}
	p.row.Next = r.To
	if planted.Is("core: position one short") && len(r.Events) > 0 {
		p.row.Next--
	}
}

// partitionOf finds an input partition, or nil. Ranges of one come in runs.
func (c *Core) partitionOf(name *Partition) *partition {
	if p := c.lastPartition; p != nil && p.row.Partition == *name {
		return p
	}
	c.lastPartition = c.byName[name.String()]
	return c.lastPartition
}

// seeTime moves a partition's event clock on, up to log time.
func (c *Core) seeTime(p *partition, e *operators.Event) {
	high := min(e.Time, c.group.LogTime)
	if e.Reject != nil || high <= p.row.High && !p.row.Idle {
		return
	}
	if p.row.Idle {
		c.marks.keep(c, p.row.Partition.Topic)
	}
	p.row.High = max(p.row.High, high)
	p.row.Idle = false
	c.marks.keep(c, p.row.Partition.Topic)
}

// event takes one event of a partition to its primary key.
func (c *Core) event(p *partition, e *operators.Event) {
	c.fireTimers()
	m := &c.outsideMessage
	*m = Message{Kind: KindPrimary, Time: e.Time, TopicID: p.row.Partition.TopicID, Cause: operators.Cause{
		Topic: p.row.Partition.Topic, Partition: p.row.Partition.Partition, Offset: e.Offset, Index: e.Index,
		Source: e.Source, ID: e.ID, Time: e.Time, Trace: e.Trace}}
	if c.begin() {
		c.refuse(p.shard, m, e, operators.CodeSkipped)
		return
	}
	input, key, code := c.resolve(e, true)
	if code != "" {
		c.refuse(p.shard, m, e, code)
		return
	}
	m.Port, m.Key, m.Payload = uint64(input.Port.ID), key, e.Payload
	if to := c.shardOf(key); c.local(p.shard, to) {
		c.primary(input, to, m)
	} else {
		c.toLane(p.shard, to, m)
	}
}

// resolve finds an event's input and primary key, decoding its payload. What
// only the API may submit is unknown on a topic.
func (c *Core) resolve(e *operators.Event, external bool) (input *topology.Input, key, code string) {
	if e.Reject != nil {
		return nil, "", e.Reject.Code
	}
	if input = c.plan.Input(e.Type); input == nil || external && input.Topic == "" {
		return nil, "", operators.CodeUnknownType
	}
	if !c.decode(&e.Payload, input.Port.New) {
		return nil, "", "payload_undecodable"
	}
	key = input.Key(e.Payload.Value)
	if !validKey(key) {
		return nil, "", operators.CodeKeyInvalid
	}
	return input, key, ""
}

// decode makes sure that a nested value is decoded.
func (c *Core) decode(n *state.Nested, make func() state.Visitable) bool {
	if n.Value != nil {
		return true
	}
	v := make()
	if v == nil || c.cfg.Codec.Decode(n.Raw, v) != nil {
		return false
	}
	n.Value = v
	return true
}

func validKey(key string) bool {
	return key != "" && len(key) <= state.MaxKeyBytes && strings.IndexByte(key, 0) < 0
}

// refuse dead-letters an event before it reached its primary key, in the shard
// it came from.
func (c *Core) refuse(shard state.Shard, m *Message, e *operators.Event, code string) string {
	d := &operators.DeadLetter{Code: code, Stage: "source", Type: e.Type, Cause: m.Cause, TopicID: m.TopicID,
		External: m.Cause.Topic != ""}
	switch {
	case e.Reject != nil:
		d.Hash, d.Fields = e.Reject.Hash, e.Reject.Fields
	case e.Payload.Value != nil:
		d.Fields = c.cfg.Fields(e.Payload.Value)
	}
	if !d.External && e.Reject == nil {
		d.Payload = e.Payload
	}
	c.outcomes(m.TopicID, &m.Cause).DeadLetters++
	return c.deadLetter(shard, d)
}

// applyInputs takes the sources' word on which partitions are idle.
func (c *Core) applyInputs(in *Inputs) {
	for i := range in.Status {
		s := &in.Status[i]
		if p := c.byName[s.Partition.String()]; p != nil && c.serves(p.shard) && p.row.Idle != s.Idle {
			c.marks.keep(c, p.row.Partition.Topic)
			p.row.Idle, p.dirty = s.Idle, true
			c.marks.keep(c, p.row.Partition.Topic)
		}
	}
}
