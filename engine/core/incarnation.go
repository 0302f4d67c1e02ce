package core

import (
	"maps"
	"slices"

	"anabranch.dev/state"
)

// Lanes says what becomes of the lanes in a new incarnation.
type Lanes bool

// What lanes may do.
const (
	// LanesGoOn: the groups are one consistent cut, so that what a sender has
	// numbered and what the receiver has counted fit together.
	LanesGoOn Lanes = true
	// LanesRestart: the groups are of different moments. Lanes count from 1 again
	// on both sides, and what a sender still has is sent anew: the receiver may
	// have applied it in the life before.
	LanesRestart Lanes = false
)

// BeginIncarnation makes what a new incarnation of the cluster begins with: the
// state of the one before, as if an entry at index had changed what must change.
// That is the group's own row, whose offset in the progress topic is of the life
// before, and, where lanes restart, the rows of lanes and of moves. It is called once, on a
// core that has applied everything that is to be kept, and before the first entry
// of the new life; the core itself, which is one of the old life, is then of no
// further use. Entries that a
// halted core holds back are not part of what goes on.
func (c *Core) BeginIncarnation(index uint64, lanes Lanes) {
	c.index = index
	c.epoch++
	c.openGroupCell()
	c.setLevel(c.inForce)
	if lanes == LanesRestart {
		c.eachShard(func(shard state.Shard) {
			for _, to := range c.cellKeys(shard, idLane) {
				renumber(c.store.Cell(state.CellID{Shard: shard, Stage: idLane, Key: to}))
			}
			for _, from := range c.cellKeys(shard, idLaneIn) {
				c.store.Cell(state.CellID{Shard: shard, Stage: idLaneIn, Key: from}).Delete(tabLaneIn, "")
			}
		})
		c.placeAnew(index)
		for g := range c.cfg.Groups { // it may have lost what it was told
			c.marks.forget(c, g)
		}
	}
	c.group.Progress = 0
	row := c.group
	c.groupCell.Set(tabGroup, "", &row, 0)
	c.store.Commit(index)
	c.epoch++
}

// placeAnew has the groups find out again where shards are. What was noted in
// terms of another group's log, or of what it has published, may be of entries
// that are lost there: it would bar moves of the new life, or have them wait for
// ever. A shard that was on its way here is sent again from its first row, if it
// is still on its way. And all groups are told of each shard that has moved here:
// the one it came from may have lost that it let it go.
func (c *Core) placeAnew(index uint64) {
	for s := range c.cfg.Shards {
		s := state.Shard(s)
		row := c.places[s].placeRow
		if row.BarredVersion > 0 {
			row.BarredVersion, row.BarredMove = 0, 0
			c.groupCell.Set(tabPlace, shardRow(s), &row, 0)
		}
		if m := c.moves[s]; m != nil && m.Phase == PhaseComing {
			c.setMove(s, moveRow{Phase: PhaseLeaving, From: m.From, To: m.To, Move: m.Move, Version: m.Version})
		}
		if !c.owns(s) || row.Version == 0 {
			continue
		}
		for g := range c.cfg.Groups {
			if g != c.cfg.Group {
				c.sayAgain(GroupShard(c.cfg.Shards, g), index, placedMessage(s, c.cfg.Group, row.Version))
			}
		}
	}
	for _, s := range slices.Sorted(maps.Keys(c.heard)) {
		c.groupCell.Delete(tabHeard, shardRow(s))
	}
}

// sayAgain puts a message of the group's own shard last on a lane.
func (c *Core) sayAgain(to state.Shard, index uint64, m *Message) {
	lane := c.laneCell(GroupShard(c.cfg.Shards, c.cfg.Group), to)
	h := laneHeadOf(lane)
	lane.Set(tabLane, number8(h.Next), &laneRow{Index: index, Message: *m}, 0)
	h.Next++
	lane.Set(tabLaneHead, "", &h, 0)
}

// cellKeys lists the keys of a stage's cells: they can't be changed while they
// are visited.
func (c *Core) cellKeys(shard state.Shard, stage state.StageID) (keys []string) {
	c.store.Cells(shard, stage, func(key string, _ state.Cell) bool {
		keys = append(keys, key)
		return true
	})
	return keys
}

// renumber gives the messages that are left on a lane the numbers from 1 on.
func renumber(lane state.Cell) {
	h := laneHeadOf(lane)
	var left []*laneRow
	for n := h.Acked + 1; n < h.Next; n++ {
		if row, ok := lane.Get(tabLane, number8(n)).(*laneRow); ok {
			left = append(left, row)
			lane.Delete(tabLane, number8(n))
		}
	}
	if len(left) == 0 {
		lane.Delete(tabLaneHead, "")
		return
	}
	for i, row := range left {
		lane.Set(tabLane, number8(uint64(i+1)), row, 0)
	}
	lane.Set(tabLaneHead, "", &laneHead{Next: uint64(len(left) + 1)}, 0)
}
