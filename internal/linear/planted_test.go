//go:build plantedbugs

package linear

import (
	"strings"
	"testing"

	"anabranch.dev/internal/planted"
)

// TestPlantedBugs checks the histories: each bug that can be planted is found by
// one of the first few.
func TestPlantedBugs(t *testing.T) {
	const most = 30
	for _, bug := range planted.ClusterBugs {
		t.Run(strings.ReplaceAll(bug, " ", "_"), func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			for seed := uint64(1); seed <= most; seed++ {
				found := runHistory(t, seed, map[string]int{})
				if len(found) == 0 {
					found = lateAnswers(t, seed)
				}
				if len(found) > 0 {
					t.Logf("found by history %d: %v", seed, found[0])
					return
				}
			}
			t.Errorf("not found by %d histories", most)
		})
	}
}
