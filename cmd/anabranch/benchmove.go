package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/bench"
	"anabranch.dev/engine/node"
)

func newBenchMove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move",
		Short: "Measure what moving shards between groups costs",
		Long: `'anabranch serve' processes with several groups decide orders that come through
Kafka at a steady rate; one order in ten is cancelled once it is decided. Shards are
moved from group to group one after the other, any of them, each third time one that
holds an input partition or an item. Measured is from an order's time by the schedule
to its decision as a read_committed consumer sees it, before the moves and during
them.

Exit code 1 if a move is called off or a check fails: at the end the whole decision
topic is read for what is lost, doubled or, of one key, not in its order.`,
		Example: "  anabranch bench move --moves 50 --rate 500 --groups 2 -o json",
		Args:    cobra.NoArgs,
	}
	f := addBench(cmd, 3, node.DurabilityDisk)
	var cfg bench.MoveConfig
	cmd.Flags().Float64Var(&f.Rate, "rate", 500, "orders per second")
	cmd.Flags().DurationVar(&f.Warmup, "warmup", 5*time.Second, "load before the clock counts")
	cmd.Flags().DurationVar(&f.Duration, "duration", 5*time.Second, "load after the warm-up and before the first move, to compare with")
	cmd.Flags().IntVar(&cfg.Groups, "groups", 2, "Raft groups, at least 2")
	cmd.Flags().IntVar(&cfg.Moves, "moves", 50, "how many shards are moved")
	addBroker(cmd, &cfg.Broker, &cfg.Delivery)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.Config = f.Config
		if err := checked(cfg.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.Move(ctx, cfg, progress)
		})
	}
	return cmd
}
