package core

import (
	"errors"
	"fmt"
	"math"

	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// A feature level says in which formats rows, entries and messages are written. A
// build knows all levels up to its own: it reads every one of them, and writes
// the one that it is told to. Which one is in force is state of the group, raised
// by an entry of the log and never lowered, so that all replicas change over at
// the same place, whichever builds they are of.
//
// An entry carries the level that was in force where it was proposed; what it
// writes is of that level, also if a raise has come between. So its bytes in the
// log, and what replicas make of them, are the same whether a replica has read
// them or proposed them itself.

// FirstLevel is in force in a group that was never raised.
const FirstLevel = 1

// ErrLevelUnknown: the group is at a feature level that this build does not know.
var ErrLevelUnknown = errors.New("feature level is not known")

// UnknownLevel is the [ErrLevelUnknown] of a group. It is what [New] returns for
// a state of such a level, and what [Core.Apply] raises, in a [state.Fault], at
// the entry that raises the group to one: nothing of that entry has been applied,
// and nothing more may be. Nothing is wrong with the files.
type UnknownLevel struct{ Knows, Needs uint64 }

func (e *UnknownLevel) Error() string {
	return fmt.Sprintf("this build knows feature level %d, the group is at %d: upgrade this node", e.Knows, e.Needs)
}

func (e *UnknownLevel) Unwrap() error { return ErrLevelUnknown }

// levelRow is the level in force. Older builds must be able to read it, to say
// that they can't read the rest: its fields never change.
type levelRow struct {
	Level uint64 `v:"level"`
}

var tabLevel = table[levelRow](stageGroup, "level")

// Level is the feature level in force, as of the last applied entry.
func (c *Core) Level() uint64 { return c.inForce }

// Knows is the highest feature level that this replica can be at.
func (c *Core) Knows() uint64 { return c.cfg.Knows }

// loadLevel reads the level in force, from a row that every build can read.
func (c *Core) loadLevel() {
	c.inForce = FirstLevel
	if row, ok := c.groupCell.Get(tabLevel, "").(*levelRow); ok {
		c.inForce = row.Level
	}
	c.setLevel(c.inForce)
}

// setLevel says in which level's format the entry at hand writes.
func (c *Core) setLevel(level uint64) {
	c.level = uint8(level)
	if planted.Is("core: row format changed before its level is in force") {
		level = c.cfg.Knows
	}
	c.store.SetLevel(uint8(level))
}

// raise puts a higher level in force, from the next entry on.
func (c *Core) raise(k *Control) (code string) {
	switch {
	case k.Level < c.inForce, k.Level > math.MaxUint8:
		return "level_refused"
	case k.Level > c.cfg.Knows:
		panic(&UnknownLevel{Knows: c.cfg.Knows, Needs: k.Level})
	case k.Level > c.inForce:
		c.inForce = k.Level
		c.groupCell.Set(tabLevel, "", &levelRow{Level: k.Level}, 0)
	}
	return ""
}

// ReadLevel reads the feature level in force from a group's rows.
func ReadLevel(r state.Reader, shards, group int) (uint64, error) {
	v, err := r.Get(state.CellID{Shard: GroupShard(shards, group), Stage: idGroup}, tabLevel, "")
	if v == nil || err != nil {
		return FirstLevel, err
	}
	return v.(*levelRow).Level, nil
}
