//go:build plantedbugs

package simload_test

import (
	"strings"
	"testing"

	"anabranch.dev/engine/sim"
	"anabranch.dev/internal/planted"
	"anabranch.dev/topology/retail/simload"
)

// TestPlantedBugs checks the shop's own checks: each bug that can be planted in
// its operators is found by a few seeds. Two groups have what one never has: a
// policy that reaches an order while other groups keep it waiting, which is rare.
func TestPlantedBugs(t *testing.T) {
	const seeds = 200
	for _, bug := range planted.RetailBugs {
		t.Run(bug, func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			for seed := uint64(1); seed <= seeds; seed++ {
				if _, err := simload.Run(sim.Config{Seed: seed, Groups: 2}, simload.Things); err != nil {
					first, _, _ := strings.Cut(err.Error(), "\n")
					t.Logf("seed %d: %s", seed, first)
					return
				}
			}
			t.Errorf("not found by %d seeds", seeds)
		})
	}
}

// TestShrink makes a seed small in which a planted bug shows: what is left runs
// by the command printed, and is less.
func TestShrink(t *testing.T) {
	const bug = "core: lane number not checked"
	planted.Plant(bug)
	defer planted.Plant("")
	for seed := uint64(1); seed <= 50; seed++ {
		cfg := sim.Config{Seed: seed, Groups: 2}
		failure, err := simload.Shrink(t.Context(), cfg, simload.Things, nil)
		if err != nil {
			t.Fatal(err)
		}
		if failure == nil {
			continue
		}
		t.Logf("seed %d: %v", seed, failure)
		if !strings.Contains(failure.Again, "--things") && !strings.Contains(failure.Again, "--without") {
			t.Errorf("seed %d is not smaller: %s", seed, failure.Again)
		}
		planted.Plant("")
		if failure, err := simload.Shrink(t.Context(), cfg, simload.Things, nil); failure != nil || err != nil {
			t.Errorf("without the bug: %v, %v", failure, err)
		}
		return
	}
	t.Error("the bug never shows")
}
