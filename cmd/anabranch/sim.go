package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/sim"
	"anabranch.dev/topology/retail/simload"
)

// simGCPercent is how much garbage may come together while seeds are run.
const simGCPercent = 400

type simFlags struct {
	seeds, seed uint64
	first       uint64
	groups      []int
	things      int
	clock       string
	without     []string
	shrink      bool
}

func newSim() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run whole simulated clusters, one per seed, and check every invariant",
		Long: `Each seed is a cluster of three replicas per group with a shop on it, in one
goroutine: crashes, deposed leaders, lost and doubled messages, fenced sinks and
unknown outcomes, input that is lost, topics made anew, policies published and
shards on the move, all drawn from the seed. A seed that breaks an invariant is
named with the command that replays it; the exit code is then 3. So it is when
500 seeds or more never had a fault or rare path that they should have.

--seed replays one run and prints its trace. With --shrink it is made smaller
as long as it breaks an invariant: fewer groups, fewer things that happen, and
kinds of what goes wrong switched off; the last command printed replays the
smallest run found.`,
		Example: `  anabranch sim --seeds 200
  anabranch sim --seed 17 --groups 2
  anabranch sim --seed 17 --groups 2 --shrink`,
		Args: cobra.NoArgs,
	}
	var f simFlags
	cmd.Flags().Uint64Var(&f.seeds, "seeds", 100, "how many seeds per number of groups")
	cmd.Flags().Uint64Var(&f.first, "first", 1, "the first of them")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "replay this one and print its trace")
	cmd.Flags().IntSliceVar(&f.groups, "groups", []int{1, 2}, "numbers of groups to simulate")
	cmd.Flags().IntVar(&f.things, "things", simload.Things, "how much happens in the shop of each seed")
	cmd.Flags().StringVar(&f.clock, "clock", string(core.ClockWall), "wall or replay, which runs with one group")
	cmd.Flags().StringSliceVar(&f.without, "without", nil, "kinds of what goes wrong to switch off: "+strings.Join(sim.Kinds(), ", "))
	cmd.Flags().BoolVar(&f.shrink, "shrink", false, "make the failing seed of --seed small")
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.clock != string(core.ClockWall) && f.clock != string(core.ClockReplay) {
			return usagef("--clock %q is neither wall nor replay", f.clock)
		}
		if f.clock == string(core.ClockReplay) && !cmd.Flags().Changed("groups") {
			f.groups = []int{1}
		}
		if f.seeds == 0 || f.things < 1 {
			return usagef("--seeds and --things must be above 0")
		}
		for _, kind := range f.without {
			if !slices.Contains(sim.Kinds(), kind) {
				return usagef("--without %q is none of %s", kind, strings.Join(sim.Kinds(), ", "))
			}
		}
		switch {
		case f.shrink && f.seed == 0:
			return usagef("--shrink needs --seed")
		case f.shrink:
			return f.shrunk(cmd)
		}
		if f.seed != 0 {
			return f.replay(cmd.OutOrStdout())
		}
		return f.run(cmd, *out)
	}
	return cmd
}

// one runs one seed.
func (f *simFlags) one(seed uint64, groups int, trace io.Writer) (*sim.Report, error) {
	return simload.Run(f.config(seed, groups, trace), f.things)
}

func (f *simFlags) config(seed uint64, groups int, trace io.Writer) sim.Config {
	return sim.Config{Seed: seed, Groups: groups, Clock: core.Clock(f.clock), Without: f.without, Trace: trace}
}

// shrunk makes a failing seed small and says what the smallest breaks.
func (f *simFlags) shrunk(cmd *cobra.Command) error {
	for _, groups := range f.groups {
		failure, err := simload.Shrink(cmd.Context(), f.config(f.seed, groups, nil), f.things, func(smallest string) {
			say(cmd.ErrOrStderr(), "breaks: %s\n", smallest)
		})
		if err != nil {
			return err
		}
		if failure != nil {
			return found(failure)
		}
	}
	say(cmd.OutOrStdout(), "seed %d breaks nothing\n", f.seed)
	return nil
}

// replay prints the traces of one seed.
func (f *simFlags) replay(w io.Writer) error {
	for _, groups := range f.groups {
		report, err := f.one(f.seed, groups, w)
		if report != nil {
			say(w, "seed %d, groups %d: trace %016x, tables %s\n%s", f.seed, groups, report.Trace, report.Tables, report)
		}
		if err := found(err); err != nil {
			return err
		}
	}
	return nil
}

// found turns a broken invariant into what a check found.
func found(err error) error {
	var failure *sim.Failure
	if errors.As(err, &failure) {
		return &foundError{failure.Error()}
	}
	return err
}

// simResult sums the seeds up per number of groups.
type simResult struct {
	Groups  int              `json:"groups"`
	Seeds   uint64           `json:"seeds"`
	Entries int64            `json:"entries"`
	Events  int64            `json:"events"`
	Records int64            `json:"records"`
	Virtual float64          `json:"virtual_seconds"`
	Counts  map[string]int64 `json:"counts"`
	Missing []string         `json:"missing"`
}

func (f *simFlags) run(cmd *cobra.Command, out format) error {
	// A seed lives for a tenth of a second and keeps little: to collect its
	// garbage as often as a server does would take a third of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(simGCPercent))
	var results []simResult
	bar := newProgress(cmd.ErrOrStderr(), "seeds", int64(f.seeds)*int64(len(f.groups)))
	for _, groups := range f.groups {
		total, err := sim.Seeds(cmd.Context(), f.first, f.seeds, func(seed uint64) (*sim.Report, error) {
			return f.one(seed, groups, nil)
		}, func() { bar.set(bar.done + 1) })
		if err != nil {
			bar.finish()
			return found(err)
		}
		results = append(results, simResult{Groups: groups, Seeds: f.seeds, Entries: total.Entries, Events: total.Events, Records: total.Records,
			Virtual: float64(total.Virtual) / 1e6, Counts: total.Counts, Missing: append([]string{}, total.Missing(groups, simload.Rare(core.Clock(f.clock))...)...)})
	}
	bar.finish()
	if err := out.showValue(cmd.OutOrStdout(), results, func(w io.Writer) error { return simTables(w, results) }); err != nil {
		return err
	}
	return enough(results)
}

// fewSeeds is up to how many seeds it is no finding that a rare path was never
// taken.
const fewSeeds = 500

// enough finds fault kinds that were never tried: then the seeds prove little.
func enough(results []simResult) error {
	for _, r := range results {
		if r.Seeds >= fewSeeds && len(r.Missing) > 0 {
			return &foundError{fmt.Sprintf("%d seeds with %s never had: %v", r.Seeds, count(r.Groups, "group"), r.Missing)}
		}
	}
	return nil
}

func simTables(w io.Writer, results []simResult) error {
	t := newTable("GROUPS", "SEEDS", "ENTRIES", "EVENTS", "RECORDS", "VIRTUAL TIME", "BROKEN INVARIANTS")
	numbers(t, "GROUPS", "SEEDS", "ENTRIES", "EVENTS", "RECORDS", "VIRTUAL TIME")
	for _, r := range results {
		t.AppendRow(table.Row{r.Groups, r.Seeds, r.Entries, r.Events, r.Records, fmt.Sprintf("%.0f s", r.Virtual), "none"})
	}
	return render(w, t)
}
