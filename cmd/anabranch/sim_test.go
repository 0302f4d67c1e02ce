package main

import (
	"errors"
	"strings"
	"testing"
)

// TestEnough: over many seeds a fault that was never tried is a finding, and
// named; over a few it is none.
func TestEnough(t *testing.T) {
	never := simResult{Groups: 2, Seeds: fewSeeds, Missing: []string{"move done"}}
	var found *foundError
	if err := enough([]simResult{{Groups: 1, Seeds: fewSeeds}, never}); !errors.As(err, &found) || !strings.Contains(err.Error(), "2 groups never had: [move done]") {
		t.Errorf("enough = %v; want a finding that names 2 groups and the move", err)
	}
	never.Seeds--
	if err := enough([]simResult{never}); err != nil {
		t.Errorf("enough = %v over %d seeds; want nothing", err, never.Seeds)
	}
}
