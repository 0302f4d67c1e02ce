//go:build plantedbugs

package linear

import (
	"fmt"
	"strings"
	"testing"

	"anabranch.dev/internal/planted"
)

// TestPlantedBugs checks the checks: each bug that can be planted is found by a
// scene or by one of the first histories.
func TestPlantedBugs(t *testing.T) {
	for _, bug := range planted.ClusterBugs {
		t.Run(strings.ReplaceAll(bug, " ", "_"), func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			if by, err := find(t); err != nil {
				t.Logf("found by %s: %v", by, err)
			} else {
				t.Error("not found")
			}
		})
	}
}

// find looks for what is wrong, and says where it was found.
func find(t *testing.T) (by string, err error) {
	const scenesEach, histories = 5, 10
	for seed := uint64(1); seed <= scenesEach; seed++ {
		for _, scene := range scenes {
			if found := stage(t, seed, scene.play); len(found) > 0 {
				return fmt.Sprintf("scene %q %d", scene.name, seed), found[0]
			}
		}
	}
	for seed := uint64(1); seed <= histories; seed++ {
		if found := runHistory(t, seed, map[string]int{}); len(found) > 0 {
			return fmt.Sprintf("history %d", seed), found[0]
		}
	}
	return "", nil
}
