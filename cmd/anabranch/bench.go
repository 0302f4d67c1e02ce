package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
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
	cmd.AddCommand(newBenchDecide())
	return cmd
}

func newBenchDecide() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decide",
		Short: "Measure from an event in memory to its replicated decision",
		Long: `One-line orders arrive by a schedule that does not wait for answers, as encoded
record bytes; the decision counts when it is replicated. Exit code 1 if a check
fails: oversold, lost or doubled.`,
		Example: "  anabranch bench decide --nodes 1 --durability memory --rate 5000 --duration 30s -o json",
		Args:    cobra.NoArgs,
	}
	var cfg bench.DecideConfig
	var nodes int
	cmd.Flags().IntVar(&nodes, "nodes", 1, "nodes; this build runs 1")
	cmd.Flags().StringVar(&cfg.Durability, "durability", node.DurabilityDisk, "disk or memory")
	cmd.Flags().Float64Var(&cfg.Rate, "rate", 5000, "orders per second")
	cmd.Flags().DurationVar(&cfg.Duration, "duration", 30*time.Second, "how long, after the warm-up")
	cmd.Flags().StringVar(&cfg.Dir, "data", "", "directory for the node's data, on the disk to measure; without it a temporary one")
	cmd.Flags().StringVar(&cfg.SharedWith, "shared-with", "", "what else runs on the machine, for the report")
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if nodes != 1 {
			return usagef("--nodes %d: this build measures 1 node", nodes)
		}
		if cfg.Durability != node.DurabilityDisk && cfg.Durability != node.DurabilityMemory {
			return usagef("--durability %q is neither disk nor memory", cfg.Durability)
		}
		if err := cfg.Validate(); err != nil {
			return &usageError{err}
		}
		report, err := bench.Decide(cmd.Context(), cfg, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if err := out.showValue(cmd.OutOrStdout(), report, func(w io.Writer) error { return benchTable(w, report) }); err != nil {
			return err
		}
		if report.Checks.Failed() {
			return errors.New("a check failed: see checks")
		}
		return nil
	}
	return cmd
}

func benchTable(w io.Writer, r *bench.Report) error {
	t := newTable("", "")
	us := func(v float64) string { return fmt.Sprintf("%.1f µs", v) }
	t.AppendRows([]table.Row{
		{"what", r.What}, {"commit", r.Commit}, {"machine", fmt.Sprintf("%s, %d cores, Linux %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel)},
		{"shared with", r.SharedWith}, {"durability", r.Durability},
		{"fdatasync", fmt.Sprintf("p50 %s, p99 %s", us(r.Fdatasync.P50), us(r.Fdatasync.P99))}, {"GOGC", r.GOGC}, {"command", r.Command},
		{"offered", fmt.Sprintf("%.0f/s", r.OfferedPerSecond)}, {"achieved", fmt.Sprintf("%.0f/s", r.AchievedPerSecond)}, {"events", r.Events},
		{"latency", fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", us(r.Latency.P50), us(r.Latency.P90), us(r.Latency.P99), us(r.Latency.P999), us(r.Latency.Max))},
		{"CPU", fmt.Sprintf("%.1f s", r.CPUSeconds)}, {"RSS", fmt.Sprintf("%.0f MiB", r.RSSMiB)},
		{"checks", fmt.Sprintf("oversold %d, lost %d, doubled %d", r.Checks.Oversold, r.Checks.Lost, r.Checks.Doubled)},
	})
	return render(w, t)
}
