package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// lanePair names a lane by its ends.
type lanePair struct{ from, to state.Shard }

func (c *Core) laneCell(from, to state.Shard) state.Cell {
	return c.store.Cell(state.CellID{Shard: from, Stage: idLane, Key: fmt.Sprintf("%04x", uint16(to))})
}

func laneHeadOf(cell state.Cell) laneHead {
	if row, ok := cell.Get(tabLaneHead, "").(*laneHead); ok {
		return *row
	}
	return laneHead{Next: 1}
}

func (c *Core) loadLanes(shard state.Shard) {
	c.store.Cells(shard, idLane, func(key string, cell state.Cell) bool {
		if to, err := strconv.ParseUint(key, 16, 16); err == nil {
			if h := laneHeadOf(cell); h.Next > h.Acked+1 {
				c.laneDepth[lanePair{shard, state.Shard(to)}] = h.Next - h.Acked - 1
			}
		}
		return true
	})
}

// toLane puts a message on the lane to another shard, numbered.
func (c *Core) toLane(from, to state.Shard, m *Message) {
	cell := c.laneCell(from, to)
	h := laneHeadOf(cell)
	row := &laneRow{Index: c.index, Message: *m}
	cell.Set(tabLane, number8(h.Next), row, 0)
	c.out.Lanes = append(c.out.Lanes, LaneOut{From: from, To: to, Number: h.Next, Message: &row.Message})
	h.Next++
	cell.Set(tabLaneHead, "", &h, 0)
	c.laneDepth[lanePair{from, to}]++
}

// PendingLanes visits every lane message not known to be applied; those of one
// lane in order.
func (c *Core) PendingLanes(fn func(l LaneOut) bool) {
	pairs := slices.SortedFunc(maps.Keys(c.laneDepth), func(a, b lanePair) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	for _, p := range pairs {
		cell := c.laneCell(p.from, p.to)
		h := laneHeadOf(cell)
		for n := h.Acked + 1; n < h.Next; n++ {
			row, ok := cell.Get(tabLane, number8(n)).(*laneRow)
			if ok && !fn(LaneOut{From: p.from, To: p.to, Number: n, Message: &row.Message}) {
				return
			}
		}
	}
}

// applyLane applies the next messages of a lane: last + 1 is applied, lower
// dropped, higher refused. Either way the sender learns how far it got.
func (c *Core) applyLane(l *Lane) {
	if l.Incarnation != c.cfg.Incarnation {
		return // of the cluster's earlier life, which is over; see [Core.BeginIncarnation]
	}
	from, to := state.Shard(l.From), state.Shard(l.To)
	cell := c.store.Cell(state.CellID{Shard: to, Stage: idLaneIn, Key: fmt.Sprintf("%04x", uint16(from))})
	var in laneInRow
	if row, ok := cell.Get(tabLaneIn, "").(*laneInRow); ok {
		in = *row
	}
	in.Incarnation = l.Incarnation
	before := in.Last
	for i := range l.Messages {
		n := l.First + uint64(i)
		if n <= in.Last && !planted.Is("core: lane number not checked") {
			continue
		}
		if n > in.Last+1 {
			break
		}
		in.Last = n
		c.laneMessage(to, &l.Messages[i])
	}
	if in.Last != before {
		cell.Set(tabLaneIn, "", &in, 0)
	}
	c.out.LaneAcks = append(c.out.LaneAcks, LaneAck{From: l.From, To: l.To, Through: in.Last})
}

func (c *Core) laneMessage(to state.Shard, m *Message) {
	c.fireTimers()
	if !c.begin() {
		c.message(to, m)
		return
	}
	if m.Kind == KindPrimary {
		c.outcomes(m.TopicID, &m.Cause).DeadLetters++
	}
	c.deadLetter(to, &operators.DeadLetter{Code: operators.CodeSkipped, Stage: "lane", Key: m.Key, Cause: m.Cause,
		TopicID: m.TopicID, External: m.Kind == KindPrimary && m.Cause.Topic != "", Port: m.Port, Payload: m.Payload})
}

// applyLaneAck trims a lane up to what its other end has applied.
func (c *Core) applyLaneAck(a *LaneAck) {
	from, to := state.Shard(a.From), state.Shard(a.To)
	cell := c.laneCell(from, to)
	h := laneHeadOf(cell)
	if a.Through >= h.Next {
		c.breach("ack_beyond_lane")
		return
	}
	if a.Through <= h.Acked {
		return
	}
	for n := h.Acked + 1; n <= a.Through; n++ {
		if row, ok := cell.Get(tabLane, number8(n)).(*laneRow); ok {
			c.marks.acked(c, c.groupOf(to), row.Index)
			cell.Delete(tabLane, number8(n))
		}
	}
	h = laneHeadOf(cell) // word of a watermark may have gone onto this very lane
	h.Acked = a.Through
	cell.Set(tabLaneHead, "", &h, 0)
	pair := lanePair{from, to}
	if depth := h.Next - h.Acked - 1; depth > 0 {
		c.laneDepth[pair] = depth
	} else {
		delete(c.laneDepth, pair)
	}
}

// publish writes a row of a broadcast table in every group.
func (c *Core) publish(from state.Shard, e *effect) {
	for g := range c.cfg.Groups {
		m := Message{Kind: KindBroadcast, Port: uint64(e.publish.Table.ID), Key: e.key, Deleted: e.payload == nil,
			Payload: state.Nested{Value: e.payload}}
		if g == c.cfg.Group {
			c.applyBroadcast(&m)
		} else {
			c.toLane(from, GroupShard(c.cfg.Shards, g), &m)
		}
	}
}

func (c *Core) applyBroadcast(m *Message) {
	t := c.plan.Table(state.TableID(m.Port))
	switch {
	case t == nil:
	case m.Deleted:
		c.broadcastCell(t).Delete(t, m.Key)
	case c.decode(&m.Payload, t.New):
		c.broadcastCell(t).Set(t, m.Key, m.Payload.Value, 0)
	default:
		c.haltWith("broadcast_undecodable")
	}
}

// BroadcastRow implements operators.Reader.
func (k *call) BroadcastRow(t *state.Table, row string) state.Visitable {
	return k.core.broadcastCell(t).Get(t, row)
}

// ScanBroadcast implements operators.Reader.
func (k *call) ScanBroadcast(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	k.core.broadcastCell(t).Scan(t, prefix, from, fn)
}
