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
		Cause: d.Cause, Bytes: uint64(c.cfg.Codec.Size(c.level, &shown)), Payload: state.Nested{Value: &shown}})
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
