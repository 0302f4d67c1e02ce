//go:build plantedbugs

package sim_test

import (
	"strings"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
	"anabranch.dev/internal/planted"
)

// TestPlantedBugs checks the checkers: each bug that can be planted is found by
// a few seeds.
func TestPlantedBugs(t *testing.T) {
	for _, bug := range planted.Bugs {
		t.Run(bug, func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			for seed := uint64(1); seed <= 100; seed++ {
				if err := find(bug, seed); err != nil {
					first, _, _ := strings.Cut(err.Error(), "\n")
					t.Logf("seed %d: %s", seed, first)
					return
				}
			}
			t.Errorf("not found by 100 seeds")
		})
	}
}

// find runs a seed where the bug can show.
func find(bug string, seed uint64) error {
	if strings.Contains(bug, "merge") {
		return replayTwice(seed)
	}
	for _, groups := range []int{1, 2} {
		cfg := sim.Config{Seed: seed, Groups: groups, Clock: core.ClockWall}
		if _, err := sim.Run(cfg, newBank(150), checkBank); err != nil {
			return err
		}
	}
	return nil
}
