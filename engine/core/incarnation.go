package core

import "anabranch.dev/state"

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
// before, and, where lanes restart, the rows of lanes. It is called once, on a
// core that has applied everything that is to be kept, and before the first entry
// of the new life; the core itself is then of no further use. Entries that a
// halted core holds back are not part of what goes on.
func (c *Core) BeginIncarnation(index uint64, lanes Lanes) {
	c.index = index
	c.epoch++
	c.openGroupCell()
	if lanes == LanesRestart {
		c.eachShard(func(shard state.Shard) {
			for _, to := range c.cellKeys(shard, idLane) {
				renumber(c.store.Cell(state.CellID{Shard: shard, Stage: idLane, Key: to}))
			}
			for _, from := range c.cellKeys(shard, idLaneIn) {
				c.store.Cell(state.CellID{Shard: shard, Stage: idLaneIn, Key: from}).Delete(tabLaneIn, "")
			}
		})
	}
	c.group.Progress = 0
	row := c.group
	c.groupCell.Set(tabGroup, "", &row, 0)
	c.store.Commit(index)
	c.epoch++
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
