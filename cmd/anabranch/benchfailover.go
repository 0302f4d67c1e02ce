package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/bench"
	"anabranch.dev/engine/node"
)

func newBenchFailover() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Measure the longest gap without decisions when the leader goes",
		Long: `Three 'anabranch serve' processes decide orders that come through Kafka at a steady
rate. Their leader is killed (kill -9), as often as --kills says, each time at a
random moment after the victim before has caught up. A gap is the longest stretch
in which a read_committed consumer sees no new decision.

With --planned the leader hands over instead; the nodes are then in this process,
so that gaps between replicated decisions can be seen as well. Exit code 1 if a
check fails: at the end the whole decision topic is read for what is lost or
doubled.`,
		Example: `  anabranch bench failover --kills 20 --rate 5000 -o json
  anabranch bench failover --planned --kills 20 --kafka localhost:9092 -o json`,
		Args: cobra.NoArgs,
	}
	f := addBench(cmd, 3, node.DurabilityDisk)
	var cfg bench.FailoverConfig
	cmd.Flags().Float64Var(&f.Rate, "rate", 5000, "orders per second")
	cmd.Flags().DurationVar(&f.Warmup, "warmup", 5*time.Second, "load before the first kill")
	cmd.Flags().IntVar(&cfg.Times, "kills", 20, "how often the leader goes")
	cmd.Flags().BoolVar(&cfg.Planned, "planned", false, "by a transfer of leadership instead of kill -9")
	addBroker(cmd, &cfg.Broker, &cfg.Delivery)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.Config = f.Config
		if err := checked(cfg.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.Failover(ctx, cfg, progress)
		})
	}
	return cmd
}

func newBenchRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Measure how long a node with much state takes until it decides",
		Long: `One 'anabranch serve' process is filled with one-line orders until its state on disk
is as large as wanted. Then it is stopped in order and started, and killed (kill -9)
under load and started; measured is from the start of the process until /readyz
says so.`,
		Example: "  anabranch bench restart --state-gib 1 --nodes 1 -o json",
		Args:    cobra.NoArgs,
	}
	f := addBench(cmd, 1, node.DurabilityDisk)
	var cfg bench.RestartConfig
	cmd.Flags().Float64Var(&cfg.StateGiB, "state-gib", 1, "state on disk, in GiB")
	cmd.Flags().Float64Var(&f.Rate, "rate", 1000, "orders per second before the kill")
	cmd.Flags().DurationVar(&f.Duration, "duration", 5*time.Second, "how long they come before the kill")
	addBroker(cmd, &cfg.Broker, &cfg.Delivery)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.Config = f.Config
		if err := checked(cfg.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.Restart(ctx, cfg, progress)
		})
	}
	return cmd
}
