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
	reg     register
	m       *Message
	effects []effect
	count   int        // effects so far
	expires state.Time // of the row set in this call that expires first, with
	lives   state.Time // its lifetime
}

// effect is one thing a call asked for beyond its own rows and timers.
type effect struct {
	out     *operators.OutPort
	outlet  *outlet
	publish *operators.PublicationPort
	depth   uint64
	key     string // target key, record key or row
	id      string // decision id
	number  uint64
	bytes   uint64 // of the payload as stored, at most
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
	k.reg.open(k.cell, shard, stage.ID, key)
	k.count, k.expires = 0, 0
	k.effects = k.effects[:0] // what a halt may have left
	err := k.protect(fn)
	if err != nil {
		if !planted.Is("core: failed call keeps its rows") {
			c.store.Rollback(undo)
		}
	} else {
		if k.expires != 0 {
			k.reg.expireAt(k.expires, k.lives)
		}
		for i := range k.effects {
			c.dispatch(&k.effects[i])
		}
		k.reg.close(c)
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

// Key, Level, LogTime, EventTime, Watermark, Cause and Request implement
// operators.Context.
func (k *call) Key() string             { return k.key }
func (k *call) Level() uint8            { return k.core.level }
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
	case len(row) > state.MaxRowKeyBytes:
		k.abort(operators.CodeRowTooLarge)
	case t.MaxRows > 0 && k.cell.Count(t) >= t.MaxRows && k.cell.Get(t, row) == nil:
		k.abort(operators.CodeTooManyRows)
	}
	if _, ok := c.fits(value, t.MaxBytes); !ok {
		k.abort(operators.CodeRowTooLarge)
	}
	var expires state.Time
	if t.Lifetime > 0 {
		expires = c.group.LogTime + t.Lifetime
		if k.expires == 0 || expires < k.expires {
			k.expires, k.lives = expires, t.Lifetime
		}
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
	ef := effect{out: out, outlet: k.core.outlets[out], key: key, payload: e, depth: k.m.Depth}
	if ef.outlet.cause {
		ef.depth++
	}
	if ef.depth > maxDepth {
		k.abort(operators.CodeTooDeep)
	}
	if sink := ef.outlet.sink; sink != nil {
		most, ok := k.core.fits(e, state.MaxOutboxBytes-4096)
		if !ok {
			k.abort(operators.CodeRecordTooLarge)
		}
		ef.bytes = uint64(most)
		if !sink.Conflated {
			ef.number, ef.id = k.core.nextNumber(&k.reg, k.stage, sink.Topic, key)
		}
	}
	k.effect(ef)
	return ef.id
}

// Publish implements operators.Context.
func (k *call) Publish(p *operators.PublicationPort, row string, value state.Visitable) {
	ok := len(row) <= state.MaxRowKeyBytes
	if ok && value != nil {
		_, ok = k.core.fits(value, state.MaxRowBytes)
	}
	if !ok {
		k.abort(operators.CodeRowTooLarge)
	}
	k.effect(effect{publish: p, key: row, payload: value})
}

// Scratch implements operators.Context.
func (k *call) Scratch() *any {
	slot := k.core.scratch[k.stage.ID]
	if slot == nil {
		slot = new(any)
		k.core.scratch[k.stage.ID] = slot
	}
	return slot
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
	k.core.setTimer(&k.reg, t, id, due, k.m)
}

// ClearTimer implements operators.Context.
func (k *call) ClearTimer(t *operators.TimerPort, id string) {
	k.core.clearTimer(&k.reg, t, id)
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
	if sink := e.outlet.sink; sink != nil {
		if sink.Conflated {
			c.conflate(sink, e)
		} else {
			c.record(k.shard, k.stage.Name, k.key, sink, e, &k.m.Cause)
		}
	}
	for i := range e.outlet.targets {
		c.send(k.shard, k.m, &e.outlet.targets[i], e.key, e.depth, e.payload)
	}
}

// answer keeps a command's answer beside its (source, id) and replies.
func (c *Core) answer(e *effect) {
	k := &c.call
	source, id := splitRequest(e.answer)
	expires := c.group.LogTime + seenLifetime
	k.cell.Set(tabSeen, seenKey(source, id), &seenRow{Answer: e.id}, expires)
	k.reg.expireAt(expires, seenLifetime)
	c.reply(Reply{Source: source, ID: id, Outcome: OutcomeAnswer, Answer: e.id})
}

// nextNumber gives the next number of a record key, gapless on its topic, and
// its decision id. The last number is kept in the cell of the owner that emits:
// in its register if the key is the owner's, else in a row.
func (c *Core) nextNumber(r *register, stage *topology.Stage, topic, key string) (uint64, string) {
	if key == r.key {
		n := r.number(topic, c.group.LogTime)
		return n, c.decisionID(r.shard, stage.Name, topic, key, n)
	}
	var n numberRow
	row := topic + "\x00" + key
	expires := c.group.LogTime + numberLifetime
	if last, ok := r.cell.Get(tabNumber, row).(*numberRow); ok {
		n = *last // which expires earlier, so the cell is looked at soon enough
	} else {
		r.expireAt(expires, numberLifetime)
	}
	n.Last++
	r.cell.Set(tabNumber, row, &n, expires)
	return n.Last, c.decisionID(r.shard, stage.Name, topic, key, n.Last)
}

// decisionID is deterministic and says where to look: "d-", the shard and the
// hour of log time in hex, then 80 bits of a hash over incarnation, stage, topic
// and key, and number.
func (c *Core) decisionID(shard state.Shard, stage, topic, key string, number uint64) string {
	buf := make([]byte, 0, 128)
	buf = binary.BigEndian.AppendUint64(buf, c.cfg.Incarnation)
	buf = append(append(buf, stage...), 0)
	buf = append(append(buf, topic...), 0)
	buf = append(append(buf, key...), 0)
	buf = binary.BigEndian.AppendUint64(buf, number)
	sum := xxh3.Hash128(buf).Bytes()
	var raw [15]byte
	binary.BigEndian.PutUint16(raw[0:], uint16(shard))
	hour := uint32(c.group.LogTime / state.Hour)
	raw[2], raw[3], raw[4] = byte(hour>>16), byte(hour>>8), byte(hour)
	copy(raw[5:], sum[:10])
	id := [32]byte{0: 'd', 1: '-'}
	hex.Encode(id[2:], raw[:])
	return string(id[:])
}
