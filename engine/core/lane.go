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
				c.setDepth(lanePair{shard, state.Shard(to)}, h.Next-h.Acked-1)
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
	pair := lanePair{from, to}
	c.setDepth(pair, c.laneDepth[pair]+1)
}

// setDepth notes how many messages of a lane are not acknowledged.
func (c *Core) setDepth(pair lanePair, depth uint64) {
	c.laneFrom[pair.from] += depth - c.laneDepth[pair]
	if depth > 0 {
		c.laneDepth[pair] = depth
	} else {
		delete(c.laneDepth, pair)
	}
	if c.laneFrom[pair.from] == 0 {
		delete(c.laneFrom, pair.from)
	}
}

// laneUpTo counts the messages of a lane that entries up to an index put there
// and that are not acknowledged.
func (c *Core) laneUpTo(pair lanePair, index uint64) (count uint64) {
	cell := c.laneCell(pair.from, pair.to)
	h := laneHeadOf(cell)
	for n := h.Acked + 1; n < h.Next; n++ {
		if row, ok := cell.Get(tabLane, number8(n)).(*laneRow); !ok || row.Index > index {
			break
		}
		count++
	}
	return count
}

// LaneMessages is how many messages to other shards are not known to be applied.
func (c *Core) LaneMessages() (count uint64) {
	for _, n := range c.laneDepth { // a sum: the order of the map does not matter
		count += n
	}
	return count
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
	if int(to) >= len(c.places) || !c.serves(to) && !planted.Is("core: lane message taken for a shard that has left") {
		return // it is sent again, to the group that the shard belongs to then
	}
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
		c.laneMessage(from, to, &l.Messages[i])
	}
	if in.Last != before {
		cell.Set(tabLaneIn, "", &in, 0)
	}
	c.out.LaneAcks = append(c.out.LaneAcks, LaneAck{From: l.From, To: l.To, Through: in.Last})
}

func (c *Core) laneMessage(from, to state.Shard, m *Message) {
	c.fireTimers()
	skip := c.begin()
	if m.Kind == KindBroadcast {
		c.hear(from, m.Depth)
	}
	switch {
	case skip:
	case m.Kind == KindBroadcast:
		c.applyBroadcast(m)
		return
	default:
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
	if !c.owns(from) {
		return // it has left, with everything acknowledged
	}
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
	c.setDepth(lanePair{from, to}, h.Next-h.Acked-1)
}

// publish writes a row of a broadcast table in every group.
func (c *Core) publish(from state.Shard, e *effect) {
	number := c.published(from)
	for g := range c.cfg.Groups {
		m := Message{Kind: KindBroadcast, Port: uint64(e.publish.Table.ID), Key: e.key, Depth: number, Deleted: e.payload == nil,
			Payload: state.Nested{Value: e.payload}}
		if g == c.cfg.Group {
			c.hear(from, number)
			c.applyBroadcast(&m)
		} else {
			c.toLane(from, GroupShard(c.cfg.Shards, g), &m)
		}
	}
}

// published counts the rows that a shard has published: a shard moves only to a
// group that has heard of as many, of each, as the old one.
func (c *Core) published(from state.Shard) uint64 {
	if c.cfg.Groups == 1 {
		return 0
	}
	cell := c.store.Cell(state.CellID{Shard: from, Stage: idPublish})
	row := &numberRow{Last: 1}
	if before, ok := cell.Get(tabPublish, "").(*numberRow); ok {
		row.Last += before.Last
	}
	cell.Set(tabPublish, "", row, 0)
	return row.Last
}

func (c *Core) hear(from state.Shard, number uint64) {
	if c.cfg.Groups > 1 {
		c.heard[from] = number
		c.groupCell.Set(tabHeard, shardRow(from), &numberRow{Last: number}, 0)
	}
}

func (c *Core) loadHeard() {
	c.heard = map[state.Shard]uint64{}
	c.groupCell.Scan(tabHeard, "", "", func(row string, v state.Visitable) bool {
		if s, err := strconv.ParseUint(row, 16, 16); err == nil {
			c.heard[state.Shard(s)] = v.(*numberRow).Last
		}
		return true
	})
}

func (c *Core) heardAll() (list []heardFrom) {
	for _, s := range slices.Sorted(maps.Keys(c.heard)) {
		list = append(list, heardFrom{Shard: uint64(s), Number: c.heard[s]})
	}
	return list
}

func (c *Core) hasHeard(list []heardFrom) bool {
	for _, h := range list {
		if c.heard[state.Shard(h.Shard)] < h.Number {
			return false
		}
	}
	return true
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
