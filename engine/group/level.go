package group

import (
	"context"
	"fmt"

	"anabranch.dev/engine/core"
)

// Level is the feature level in force, as of the last applied entry.
func (g *Group) Level() uint64 { return g.level.Load() }

// Raise puts a higher feature level in force. It works on the leader only, whose
// caller has made sure that all who follow the group know the level: who does not
// stops.
func (g *Group) Raise(ctx context.Context, level uint64) error {
	if g.Level() >= level {
		return nil
	}
	r, err := g.Control(ctx, core.Control{Kind: core.ControlRaise, Level: level})
	if err == nil && r.Outcome != core.OutcomeApplied {
		err = fmt.Errorf("raise to feature level %d refused: %s", level, r.Code)
	}
	return err
}

// atLevel takes note of the level in force.
func (g *Group) atLevel(level uint64) {
	if before := g.level.Swap(level); before != level {
		g.cfg.Log.Info("feature level in force", "group", g.cfg.Core.Group, "level", level, "before", before)
		g.cfg.Changed()
	}
}
