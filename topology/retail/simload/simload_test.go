package simload_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
	"anabranch.dev/topology/retail/simload"
)

var (
	seeds = flag.Uint64("seeds", 25, "number of seeds per number of groups")
	only  = flag.Uint64("seed", 0, "run only this seed and print its trace")
)

// runSeeds runs the first n seeds, or the one of the flag, and sums them up.
func runSeeds(t *testing.T, n uint64, run func(seed uint64) (*sim.Report, error)) *sim.Report {
	t.Helper()
	first := uint64(1)
	if *only != 0 {
		first, n = *only, 1
	}
	total, err := sim.Seeds(t.Context(), first, n, run, nil)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// TestShop runs seeds as `anabranch sim` does. Over 500 and more, every fault and
// rare path must have happened at least once.
func TestShop(t *testing.T) {
	for _, groups := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			total := runSeeds(t, *seeds, func(seed uint64) (*sim.Report, error) {
				cfg := sim.Config{Seed: seed, Groups: groups}
				if *only != 0 {
					cfg.Trace = os.Stdout
				}
				return simload.Run(cfg, simload.Things)
			})
			t.Log(total.String())
			if missing := total.Missing(groups, simload.Rare(core.ClockWall)...); len(missing) > 0 && *seeds >= 500 && *only == 0 {
				t.Errorf("never happened: %q", missing)
			}
		})
	}
}

// TestReplay: under the replay clock the operators' rows are a function of what
// the topics contain, whatever goes wrong while they are read (V12).
func TestReplay(t *testing.T) {
	for seed := uint64(1); seed <= *seeds/4+1; seed++ {
		var tables string
		for run := range uint64(2) {
			report, err := simload.Run(sim.Config{Seed: seed + run<<32, Content: seed, Clock: core.ClockReplay}, simload.Things)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if report.Counts["allocation.decided"] == 0 {
				t.Fatalf("seed %d: nothing was decided", seed)
			}
			if run > 0 && report.Tables != tables {
				t.Fatalf("seed %d: tables are %s under one run of trouble, %s under another", seed, tables, report.Tables)
			}
			tables = report.Tables
		}
	}
}

// TestRace: of two orders for the last two units one gets both, whatever the
// order of arrival and wherever the keys live.
func TestRace(t *testing.T) {
	for _, groups := range []int{1, 2} {
		total := runSeeds(t, *seeds*5, func(seed uint64) (*sim.Report, error) {
			race, err := simload.NewRace()
			if err != nil {
				return nil, err
			}
			return sim.Run(sim.Config{Seed: seed, Groups: groups, Calm: true}, race, race.Check)
		})
		if got, want := total.Counts["race"], int64(*seeds*5*9/10); got < want && *only == 0 {
			t.Errorf("%d groups: only %d of %d seeds came to a race", groups, got, *seeds*5)
		}
	}
}
