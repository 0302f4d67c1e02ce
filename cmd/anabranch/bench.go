package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/bench"
	"anabranch.dev/engine/node"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure, open loop and with checks on",
		Example: "  anabranch bench decide --durability disk --rate 5000 --duration 30s -o json",
	}
	cmd.AddCommand(newBenchDecide(), newBenchHotSKU(), newBenchKafka(), newBenchFailover(), newBenchRestart(), newBenchMove(), newBenchSummary())
	return cmd
}

// benchFlags are what all measurements share.
type benchFlags struct {
	bench.Config
	cpuProfile, memProfile string
	out                    *format
}

// addBench gives a measurement its flags. A measurement without a rate of its
// own leaves those of the load out.
func addBench(cmd *cobra.Command, nodes int, durability string) *benchFlags {
	f := &benchFlags{}
	cmd.Flags().IntVar(&f.Nodes, "nodes", nodes, "nodes of the cluster: 1 or 3")
	cmd.Flags().StringVar(&f.Durability, "durability", durability, "disk: every append is on disk before it counts; memory: within 10 ms")
	cmd.Flags().StringVar(&f.Dir, "data", "", "empty directory for the nodes' data, on the disk to measure; without it a temporary one")
	cmd.Flags().StringVar(&f.SharedWith, "shared-with", "", "what else runs on the machine, for the report")
	cmd.Flags().StringVar(&f.cpuProfile, "cpu-profile", "", "write a profile of this process's processor time to a file, for 'go tool pprof'")
	cmd.Flags().StringVar(&f.memProfile, "mem-profile", "", "write a profile of this process's allocations to a file")
	f.out = addOutput(cmd)
	return f
}

// addLoad gives a measurement the flags of an open-loop load.
func (f *benchFlags) addLoad(cmd *cobra.Command, rate float64) {
	cmd.Flags().Float64Var(&f.Rate, "rate", rate, "orders per second")
	cmd.Flags().DurationVar(&f.Duration, "duration", 30*time.Second, "how long, after the warm-up")
	cmd.Flags().DurationVar(&f.Warmup, "warmup", 2*time.Second, "load before the clock counts")
}

// run measures and prints the report. Exit code 1 if a check fails.
func (f *benchFlags) run(cmd *cobra.Command, measure func(ctx context.Context, progress io.Writer) (*bench.Report, error)) error {
	stop, err := f.profile()
	if err != nil {
		return err
	}
	report, err := measure(cmd.Context(), cmd.ErrOrStderr())
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if err := f.out.showValue(cmd.OutOrStdout(), report, func(w io.Writer) error { return benchTable(w, report) }); err != nil {
		return err
	}
	if report.Checks.Failed() {
		return errors.New("a check failed: see checks")
	}
	if m := report.Move; m != nil && m.CalledOff > 0 {
		return fmt.Errorf("%d of the moves were called off", m.CalledOff)
	}
	return nil
}

// profile starts the profiles that are asked for, until stop.
func (f *benchFlags) profile() (stop func() error, err error) {
	var cpu *os.File
	if f.cpuProfile != "" {
		if cpu, err = os.Create(f.cpuProfile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpu); err != nil {
			return nil, errors.Join(err, cpu.Close())
		}
	}
	return func() error {
		var faults []error
		if cpu != nil {
			pprof.StopCPUProfile()
			faults = append(faults, cpu.Close())
		}
		if f.memProfile != "" {
			faults = append(faults, writeMemProfile(f.memProfile))
		}
		return errors.Join(faults...)
	}, nil
}

func writeMemProfile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC() // the profile is as of the last collection
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

// checked runs RunE only with a configuration that is good.
func checked(faults error) error {
	if faults != nil {
		return &usageError{faults}
	}
	return nil
}

func newBenchDecide() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decide",
		Short: "Measure from an event in memory to its replicated decision",
		Long: `One-line orders arrive by a schedule that does not wait for answers, as encoded
record bytes; the decision counts when the leader's node has applied it after a
majority has it. All nodes are in this process, with real Raft between them over
loopback ports; there is no broker. Exit code 1 if a check fails: oversold, lost
or doubled.`,
		Example: "  anabranch bench decide --nodes 3 --durability memory --rate 5000 --duration 30s -o json",
		Args:    cobra.NoArgs,
	}
	f := addBench(cmd, 1, node.DurabilityDisk)
	f.addLoad(cmd, 5000)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checked(f.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.Decide(ctx, f.Config, progress)
		})
	}
	return cmd
}

func newBenchHotSKU() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hot-sku",
		Short: "Measure as decide does, with all orders on one item",
		Long: `Every order wants the same item, of which there is enough for half of them: the
later ones are backordered or refused, and counted apart. Exit code 1 if more was
promised than there was, or a decision was lost or doubled.`,
		Example: "  anabranch bench hot-sku --nodes 1 --durability memory --rate 20000 --duration 20s -o json",
		Args:    cobra.NoArgs,
	}
	f := addBench(cmd, 1, node.DurabilityDisk)
	f.addLoad(cmd, 5000)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checked(f.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.HotSKU(ctx, f.Config, progress)
		})
	}
	return cmd
}
