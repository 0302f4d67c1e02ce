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
// its operators is found by a few seeds.
func TestPlantedBugs(t *testing.T) {
	for _, bug := range planted.RetailBugs {
		t.Run(bug, func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			for seed := uint64(1); seed <= 100; seed++ {
				groups := 1 << (seed % 3) // what goes wrong between groups is seldom seen in one
				if _, err := simload.Run(sim.Config{Seed: seed, Groups: groups}, simload.Things); err != nil {
					first, _, _ := strings.Cut(err.Error(), "\n")
					t.Logf("seed %d, %d groups: %s", seed, groups, first)
					return
				}
			}
			t.Errorf("not found by 100 seeds")
		})
	}
}
