package core

import (
	"errors"
	"fmt"
	"strconv"

	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// ErrElsewhere: the shard belongs to another group, or is on its way to one.
var ErrElsewhere = errors.New("shard belongs to another group")

// Placement says which group a shard belongs to. The version counts its moves:
// of two that differ, the one with the higher version holds.
type Placement struct {
	Shard   state.Shard
	Group   int
	Version uint64
}

// placeRow is the placement of a shard that has moved, and the last move of it
// to this group that was called off here.
type placeRow struct {
	Group         uint64 `v:"group"`
	Version       uint64 `v:"version"`
	BarredVersion uint64 `v:"barred_version"` // that the move would have made
	BarredMove    uint64 `v:"barred_move"`
}

var tabPlace = table[placeRow](stageGroup, "place") // row: shard

// place is the cached placement of a shard.
type place struct {
	placeRow
	frozen bool // of this group, and on its way to another
}

func shardRow(s state.Shard) string { return fmt.Sprintf("%04x", uint16(s)) }

// loadPlaces reads where shards are, and what is on the move.
func (c *Core) loadPlaces() {
	c.places = make([]place, c.cfg.Shards+c.cfg.Groups)
	for s := range c.places {
		group := s - c.cfg.Shards
		if group < 0 {
			group = c.cfg.GroupOf(state.Shard(s))
		}
		c.places[s].Group = uint64(group)
	}
	c.groupCell.Scan(tabPlace, "", "", func(row string, v state.Visitable) bool {
		if s, err := strconv.ParseUint(row, 16, 16); err == nil && int(s) < c.cfg.Shards {
			c.places[s].placeRow = *v.(*placeRow)
		}
		return true
	})
	c.moves = map[state.Shard]*moveRow{}
	c.groupCell.Scan(tabMove, "", "", func(row string, v state.Visitable) bool {
		if s, err := strconv.ParseUint(row, 16, 16); err == nil {
			m := *v.(*moveRow)
			c.moves[state.Shard(s)] = &m
			c.places[s].frozen = m.Phase == PhaseFrozen
		}
		return true
	})
}

// setPlace stores a shard's placement.
func (c *Core) setPlace(s state.Shard, row placeRow) {
	c.places[s].placeRow = row
	c.groupCell.Set(tabPlace, shardRow(s), &row, 0)
	c.marks.recount(c)
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardPlaced, Group: int(row.Group), Version: row.Version})
}

// groupOf says which group a shard belongs to, as far as this one knows; group
// shards included.
func (c *Core) groupOf(s state.Shard) int { return int(c.places[s].Group) }

// owns says whether a shard belongs to this group.
func (c *Core) owns(s state.Shard) bool { return int(s) < len(c.places) && c.groupOf(s) == c.cfg.Group }

// serves says whether messages for a shard are applied here now.
func (c *Core) serves(s state.Shard) bool {
	return c.owns(s) && (!c.places[s].frozen || planted.Is("core: frozen shard goes on"))
}

// Serves says whether messages for a shard are applied here now: it belongs to
// this group and is not on its way to another.
func (c *Core) Serves(s state.Shard) bool { return c.serves(s) }

// Frozen says whether a shard of this group is on its way to another.
func (c *Core) Frozen(s state.Shard) bool { return c.owns(s) && c.places[s].frozen }

// Placements lists where this group believes all shards to be, group shards not
// included.
func (c *Core) Placements() []Placement {
	all := make([]Placement, c.cfg.Shards)
	for s := range all {
		all[s] = Placement{Shard: state.Shard(s), Group: c.groupOf(state.Shard(s)), Version: c.places[s].Version}
	}
	return all
}

// Shards lists the shards of this group in order, its own one last.
func (c *Core) Shards() (list []state.Shard) {
	c.eachShard(func(s state.Shard) { list = append(list, s) })
	return list
}

// ReadPlacements reads what a group's rows say of where shards are: only those
// that have moved.
func ReadPlacements(r state.Reader, shards, group int) (moved []Placement, err error) {
	id := state.CellID{Shard: GroupShard(shards, group), Stage: idGroup}
	err = r.Scan(id, tabPlace, "", "", func(row string, v state.Visitable) bool {
		p := v.(*placeRow)
		if s, err := strconv.ParseUint(row, 16, 16); err == nil && p.Version > 0 {
			moved = append(moved, Placement{Shard: state.Shard(s), Group: int(p.Group), Version: p.Version})
		}
		return true
	})
	return moved, err
}

// ReadServed reads which shards a group serves, its own one last: those that
// belong to it and are not on their way to another. first says where shards are
// that have never moved.
func ReadServed(r state.Reader, shards, group int, first func(s state.Shard) int) (served []state.Shard, err error) {
	here := make([]bool, shards)
	for s := range here {
		here[s] = first(state.Shard(s)) == group
	}
	each := func(t *state.Table, fn func(s int, v state.Visitable)) error {
		return r.Scan(state.CellID{Shard: GroupShard(shards, group), Stage: idGroup}, t, "", "", func(row string, v state.Visitable) bool {
			if s, err := strconv.ParseUint(row, 16, 16); err == nil && int(s) < shards {
				fn(int(s), v)
			}
			return true
		})
	}
	err = errors.Join(
		each(tabPlace, func(s int, v state.Visitable) { here[s] = v.(*placeRow).Group == uint64(group) }),
		each(tabMove, func(s int, v state.Visitable) { here[s] = here[s] && v.(*moveRow).Phase != PhaseFrozen }))
	for s, serves := range here {
		if serves {
			served = append(served, state.Shard(s))
		}
	}
	return append(served, GroupShard(shards, group)), err
}

// PartialShards reads of which shards a group has only some rows: they come from
// another group, or are to be deleted.
func PartialShards(r state.Reader, shards, group int) (partial map[state.Shard]bool, err error) {
	partial = map[state.Shard]bool{}
	id := state.CellID{Shard: GroupShard(shards, group), Stage: idGroup}
	err = r.Scan(id, tabMove, "", "", func(row string, v state.Visitable) bool {
		if s, err := strconv.ParseUint(row, 16, 16); err == nil && v.(*moveRow).Phase != PhaseFrozen {
			partial[state.Shard(s)] = true
		}
		return true
	})
	return partial, err
}
