package core

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// call is the one operator call in progress: what a handler sees as its
// context. Effects wait in it until the handler has returned without an error.
type call struct {
	core    *Core
	stage   *topology.Stage
	shard   state.Shard
	key     string
	cell    state.Cell
	m       *Message
	effects []effect
	count   int // effects so far
}

// effect is one thing a call asked for beyond its own rows and timers.
type effect struct {
	out     *operators.OutPort
	publish *operators.PublicationPort
	key     string // target key, record key or row
	id      string // decision id
	number  uint64
	bytes   uint64 // of the payload as stored
	payload state.Visitable
	answer  string // request that payload-less effect answers, id is the decision
}

// callAbort unwinds from a context method to invoke: the call has failed.
type callAbort struct{ err *operators.Rejection }

// invoke makes one atomic call: fn's effects and writes happen whole or, when it
// fails, not at all.
func (c *Core) invoke(stage *topology.Stage, shard state.Shard, key string, m *Message, fn func() error) error {
	undo := c.store.Savepoint()
	k := &c.call
	k.stage, k.shard, k.key, k.m = stage, shard, key, m
	k.cell = c.store.Cell(state.CellID{Shard: shard, Stage: stage.ID, Key: key})
	k.count = 0
	k.effects = k.effects[:0] // what a halt may have left
	err := k.protect(fn)
	if err != nil {
		if !planted.Is("core: failed call keeps its rows") {
			c.store.Rollback(undo)
		}
	} else {
		for i := range k.effects {
			c.dispatch(&k.effects[i])
		}
	}
	clear(k.effects)
	k.effects = k.effects[:0]
	return err
}

// protect turns a panic of operator code into an error. Faults of the store and
// halts unwind further.
func (k *call) protect(fn func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *state.Fault, *haltSignal:
			panic(r)
		case *callAbort:
			err = r.err
		default:
			err = operators.Rejectf(operators.CodeOperatorPanic, "%s: panic", k.stage.Name)
		}
	}()
	return fn()
}

func (k *call) abort(code string) {
	panic(&callAbort{err: &operators.Rejection{Code: code, Text: k.stage.Name}})
}

func (k *call) effect(e effect) {
	if k.count++; k.count > maxEffects {
		k.abort(operators.CodeTooManyEmits)
	}
	k.effects = append(k.effects, e)
}

// Key, LogTime, EventTime, Watermark, Cause and Request implement
// operators.Context.
func (k *call) Key() string             { return k.key }
func (k *call) LogTime() state.Time     { return k.core.group.LogTime }
func (k *call) EventTime() state.Time   { return k.m.Time }
func (k *call) Watermark() state.Time   { return k.core.marks.of(k.core, k.stage) }
func (k *call) Cause() operators.Cause  { return k.m.Cause }
func (k *call) Request() string         { return k.m.Request }
func (k *call) own(t *state.Table) bool { return t.Stage == k.stage.Name }

// Row implements operators.Reader.
func (k *call) Row(t *state.Table, row string) state.Visitable { return k.cell.Get(t, row) }

// ScanRows implements operators.Reader.
func (k *call) ScanRows(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	k.cell.Scan(t, prefix, from, fn)
}

// CountRows implements operators.Reader.
func (k *call) CountRows(t *state.Table) int { return k.cell.Count(t) }

// SetRow implements operators.Context.
func (k *call) SetRow(t *state.Table, row string, value state.Visitable) {
	c := k.core
	switch {
	case !k.own(t):
		panic("table of another stage")
	case len(row) > state.MaxRowKeyBytes || c.cfg.Codec.Size(Level, value) > t.MaxBytes:
		k.abort(operators.CodeRowTooLarge)
	case t.MaxRows > 0 && k.cell.Count(t) >= t.MaxRows && k.cell.Get(t, row) == nil:
		k.abort(operators.CodeTooManyRows)
	}
	var expires state.Time
	if t.Lifetime > 0 {
		expires = c.group.LogTime + t.Lifetime
		c.expireLater(k.cell, k.stage.ID, k.shard, k.key, expires, t.Lifetime)
	}
	k.cell.Set(t, row, value, expires)
}

// DeleteRow implements operators.Context.
func (k *call) DeleteRow(t *state.Table, row string) {
	if !k.own(t) {
		panic("table of another stage")
	}
	k.cell.Delete(t, row)
}

// Emit implements operators.Context.
func (k *call) Emit(out *operators.OutPort, key string, e state.Visitable) string {
	if !validKey(key) {
		k.abort(operators.CodeKeyInvalid)
	}
	if k.core.depthOf(k.m, out) > maxDepth {
		k.abort(operators.CodeTooDeep)
	}
	ef := effect{out: out, key: key, payload: e}
	if sink := k.core.plan.SinkOf(out); sink != nil {
		ef.bytes = uint64(k.core.cfg.Codec.Size(Level, e))
		if ef.bytes > state.MaxOutboxBytes-4096 {
			k.abort(operators.CodeRecordTooLarge)
		}
		if !sink.Conflated {
			ef.number, ef.id = k.core.nextNumber(k.cell, k.stage, k.shard, k.key, sink.Topic, key)
		}
	}
	k.effect(ef)
	return ef.id
}

// Publish implements operators.Context.
func (k *call) Publish(p *operators.PublicationPort, row string, value state.Visitable) {
	if value != nil && k.core.cfg.Codec.Size(Level, value) > state.MaxRowBytes || len(row) > state.MaxRowKeyBytes {
		k.abort(operators.CodeRowTooLarge)
	}
	k.effect(effect{publish: p, key: row, payload: value})
}

// Answer implements operators.Context.
func (k *call) Answer(request, decisionID string) {
	if request != "" {
		k.effect(effect{answer: request, id: decisionID})
	}
}

// SetTimer implements operators.Context.
func (k *call) SetTimer(t *operators.TimerPort, id string, due state.Time) {
	if k.count++; k.count > maxEffects {
		k.abort(operators.CodeTooManyEmits)
	}
	if len(id) > 256 {
		k.abort(operators.CodeKeyInvalid)
	}
	k.core.setTimer(k.cell, timerAt{shard: k.shard, stage: k.stage.ID, port: t.ID, key: k.key, id: id}, t.Clock, due, k.m)
}

// ClearTimer implements operators.Context.
func (k *call) ClearTimer(t *operators.TimerPort, id string) {
	k.core.clearTimer(k.cell, timerAt{shard: k.shard, stage: k.stage.ID, port: t.ID, key: k.key, id: id}, t.Clock)
}

// depthOf is the depth of what a call emits on a port: requests and answers do
// not count.
func (c *Core) depthOf(m *Message, out *operators.OutPort) uint64 {
	if c.answers[out] {
		return m.Depth
	}
	for _, in := range c.plan.Targets(out) {
		if in.Refuse != nil {
			return m.Depth
		}
	}
	return m.Depth + 1
}

// dispatch carries an effect of a successful call out.
func (c *Core) dispatch(e *effect) {
	k := &c.call
	switch {
	case e.publish != nil:
		c.publish(k.shard, e)
		return
	case e.out == nil:
		c.answer(e)
		return
	}
	if sink := c.plan.SinkOf(e.out); sink != nil {
		if sink.Conflated {
			c.conflate(sink, e)
		} else {
			c.record(k.shard, k.stage.Name, k.key, sink, e, k.m.Cause)
		}
	}
	for _, in := range c.plan.Targets(e.out) {
		c.send(k.shard, in, Message{Port: uint64(in.ID), Key: e.key, Time: k.m.Time, Depth: c.depthOf(k.m, e.out),
			Cause: k.m.Cause, TopicID: k.m.TopicID, Payload: state.Nested{Value: e.payload}})
	}
}

// answer keeps a command's answer beside its (source, id) and replies.
func (c *Core) answer(e *effect) {
	k := &c.call
	source, id := splitRequest(e.answer)
	expires := c.group.LogTime + seenLifetime
	k.cell.Set(tabSeen, seenKey(source, id), &seenRow{Answer: e.id}, expires)
	c.expireLater(k.cell, k.stage.ID, k.shard, k.key, expires, seenLifetime)
	c.reply(Reply{Source: source, ID: id, Outcome: OutcomeAnswer, Answer: e.id})
}

// nextNumber gives the next number of a record key, gapless on its topic, and
// its decision id. The last number is kept in the cell of the owner that emits.
func (c *Core) nextNumber(cell state.Cell, stage *topology.Stage, shard state.Shard, owner, topic, key string) (uint64, string) {
	var n numberRow
	row := topic + "\x00" + key
	if last, ok := cell.Get(tabNumber, row).(*numberRow); ok {
		n = *last
	}
	n.Last++
	expires := c.group.LogTime + numberLifetime
	cell.Set(tabNumber, row, &n, expires)
	c.expireLater(cell, stage.ID, shard, owner, expires, numberLifetime)
	return n.Last, c.decisionID(shard, stage.Name, row, n.Last)
}

// decisionID is deterministic and says where to look: "d-", the shard and the
// hour of log time in hex, then 80 bits of a hash over incarnation, stage, topic
// and key, and number.
func (c *Core) decisionID(shard state.Shard, stage, key string, number uint64) string {
	buf := make([]byte, 0, 96)
	buf = binary.BigEndian.AppendUint64(buf, c.cfg.Incarnation)
	buf = append(append(append(append(buf, stage...), 0), key...), 0)
	buf = binary.BigEndian.AppendUint64(buf, number)
	sum := xxh3.Hash128(buf).Bytes()
	var raw [15]byte
	binary.BigEndian.PutUint16(raw[0:], uint16(shard))
	hour := uint32(c.group.LogTime / state.Hour)
	raw[2], raw[3], raw[4] = byte(hour>>16), byte(hour>>8), byte(hour)
	copy(raw[5:], sum[:10])
	return "d-" + hex.EncodeToString(raw[:])
}
