package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
)

var (
	seeds  = flag.Uint64("seeds", 60, "number of seeds per number of groups")
	oneRun = flag.Uint64("seed", 0, "run only this seed and print its trace")
)

func config(seed uint64, groups int) sim.Config {
	return sim.Config{Seed: seed, Groups: groups,
		Again: fmt.Sprintf("go test ./engine/sim -run 'TestSeeds/%d' -seed %d", groups, seed)}
}

// runSeeds runs n seeds from first on, or the one of the flag, and sums them up.
func runSeeds(t *testing.T, first, n uint64, run func(seed uint64) (*sim.Report, error)) *sim.Report {
	t.Helper()
	if *oneRun != 0 {
		first, n = *oneRun, 1
	}
	total, err := sim.Seeds(t.Context(), first, n, run, nil)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// TestSeeds runs the bank over seeds; every fault and rare path must have
// happened at least once.
func TestSeeds(t *testing.T) {
	for _, groups := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			total := runSeeds(t, 1, *seeds, func(seed uint64) (*sim.Report, error) {
				cfg := config(seed, groups)
				if *oneRun != 0 {
					cfg.Trace = os.Stdout
				}
				return sim.Run(cfg, newBank(150), checkBank)
			})
			t.Log(total.String())
			if missing := total.Missing(groups); len(missing) > 0 && *seeds >= 60 && *oneRun == 0 {
				t.Errorf("never happened: %q", missing)
			}
		})
	}
}

// TestSameTrace: a seed's run is the same to the last step, however many
// processors there are.
func TestSameTrace(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for seed := uint64(1); seed <= 3; seed++ {
		var first *sim.Report
		for _, procs := range []int{1, 2, 2} {
			runtime.GOMAXPROCS(procs)
			report, err := sim.Run(config(seed, 2), newBank(100), checkBank)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = report
			}
			if report.Trace != first.Trace || report.Tables != first.Tables {
				t.Errorf("seed %d on %d processors: trace %x tables %s; want trace %x tables %s", seed, procs,
					report.Trace, report.Tables, first.Trace, first.Tables)
			}
		}
	}
}

// TestReplayClock: under the replay clock the state is a function of what the
// topics contain, whatever goes wrong while they are read (V12).
func TestReplayClock(t *testing.T) {
	for seed := uint64(1); seed <= *seeds/4+1; seed++ {
		if err := replayTwice(seed); err != nil {
			t.Fatal(err)
		}
	}
}

// replayTwice runs one content under two seeds of trouble.
func replayTwice(seed uint64) error {
	var tables string
	for run := range uint64(2) {
		cfg := sim.Config{Seed: seed + run<<32, Content: seed, Clock: core.ClockReplay}
		report, err := sim.Run(cfg, newReplay(120), checkBank)
		if err != nil {
			return err
		}
		if run > 0 && report.Tables != tables {
			return fmt.Errorf("content %d: tables are %s under one seed, %s under another", seed, tables, report.Tables)
		}
		tables = report.Tables
	}
	return nil
}
