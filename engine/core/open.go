package core

import "anabranch.dev/state"

// openCells are cells of the core that entries use again and again. A handle is
// good for one entry, or for what is asked between two.
type openCells struct {
	due, outbox, conflate, decision handles
	broadcast                       []openBroadcast // few
}

type openBroadcast struct {
	table *state.Table
	epoch uint64
	cell  state.Cell
}

// handles are open cells of one kind, by shard.
type handles struct {
	epochs []uint64 // when each was opened
	keys   []string
	cells  []state.Cell
	notes  []bool // whether noted was asked of the cell
}

// at opens a shard's cell, or finds it open.
func (h *handles) at(c *Core, shard state.Shard, stage state.StageID, key string) state.Cell {
	if h.cells == nil {
		n := c.cfg.Shards + c.cfg.Groups
		h.epochs, h.keys, h.cells, h.notes = make([]uint64, n), make([]string, n), make([]state.Cell, n), make([]bool, n)
	}
	if h.epochs[shard] != c.epoch || h.keys[shard] != key {
		h.epochs[shard], h.keys[shard], h.notes[shard] = c.epoch, key, false
		h.cells[shard] = c.store.Cell(state.CellID{Shard: shard, Stage: stage, Key: key})
	}
	return h.cells[shard]
}

// noted says whether it was asked before of the shard's cell while it is open.
func (h *handles) noted(shard state.Shard) bool {
	before := h.notes[shard]
	h.notes[shard] = true
	return before
}

func (c *Core) broadcastCell(t *state.Table) state.Cell {
	for i := range c.open.broadcast {
		b := &c.open.broadcast[i]
		if b.table != t {
			continue
		}
		if b.epoch != c.epoch {
			b.epoch, b.cell = c.epoch, c.openBroadcast(t)
		}
		return b.cell
	}
	cell := c.openBroadcast(t)
	c.open.broadcast = append(c.open.broadcast, openBroadcast{t, c.epoch, cell})
	return cell
}

func (c *Core) openBroadcast(t *state.Table) state.Cell {
	return c.store.Cell(state.CellID{Shard: GroupShard(c.cfg.Shards, c.cfg.Group),
		Stage: state.StageID(state.IDOf(t.Stage)), Key: broadcastKey})
}
