package simload_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"anabranch.dev/engine/sim"
	"anabranch.dev/topology/retail/simload"
)

var (
	seeds = flag.Uint64("seeds", 40, "number of seeds per number of groups")
	only  = flag.Uint64("seed", 0, "run only this seed and print its trace")
)

func TestShop(t *testing.T) {
	for _, groups := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			var total sim.Report
			for seed := uint64(1); seed <= *seeds; seed++ {
				cfg := sim.Config{Seed: seed, Groups: groups}
				if *only != 0 {
					if seed != *only {
						continue
					}
					cfg.Trace = os.Stdout
				}
				load, err := simload.New(80)
				if err != nil {
					t.Fatal(err)
				}
				report, err := sim.Run(cfg, load, load.Check)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				total.Add(report)
			}
			t.Log(total.String())
			if missing := total.Missing(groups, simload.Rare()...); len(missing) > 0 && *only == 0 {
				t.Errorf("never happened: %q", missing)
			}
		})
	}
}

// TestRace: of two orders for the last two units one gets both, whatever the
// order of arrival and wherever the keys live.
func TestRace(t *testing.T) {
	for _, groups := range []int{1, 2} {
		for seed := uint64(1); seed <= *seeds*5; seed++ {
			race, err := simload.NewRace()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sim.Run(sim.Config{Seed: seed, Groups: groups}, race, race.Check); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}
