//go:build plantedbugs

package core_test

import (
	"testing"

	"anabranch.dev/internal/planted"
)

// TestPlantedBugs checks the checker: what goes wrong only where builds of two
// levels are mixed is found by their digests.
func TestPlantedBugs(t *testing.T) {
	for _, bug := range planted.LevelBugs {
		t.Run(bug, func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			err := newMixed(t).atLevelOne()
			if err == nil {
				t.Fatal("not found")
			}
			t.Log(err)
		})
	}
}
