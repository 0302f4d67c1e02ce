package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"anabranch.dev/bench"
	"anabranch.dev/engine/node"
)

func newBenchKafka() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kafka",
		Short: "Measure from an event produced to its decision visible to a read_committed consumer",
		Long: `Orders are produced one by one (linger 0) by a schedule that does not wait for
answers; a decision counts when a read_committed consumer has it. The run makes its
own topics and deletes them afterwards. Without --kafka it has an embedded broker,
whose speed says nothing about Apache Kafka's. Exit code 1 if a check fails: the
whole decision topic is read once more for what is lost or doubled.`,
		Example: `  anabranch bench kafka --nodes 3 --rate 2000 --duration 30s -o json
  anabranch bench kafka --nodes 1 --kafka localhost:9092 --rate 5000 --duration 30s -o json`,
		Args: cobra.NoArgs,
	}
	f := addBench(cmd, 1, node.DurabilityDisk)
	f.addLoad(cmd, 2000)
	var cfg bench.KafkaConfig
	addBroker(cmd, &cfg.Broker, &cfg.Delivery)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg.Config = f.Config
		if err := checked(cfg.Validate()); err != nil {
			return err
		}
		return f.run(cmd, func(ctx context.Context, progress io.Writer) (*bench.Report, error) {
			return bench.Kafka(ctx, cfg, progress)
		})
	}
	return cmd
}

// addBroker gives a measurement the flags of its Kafka.
func addBroker(cmd *cobra.Command, broker, delivery *string) {
	cmd.Flags().StringVar(broker, "kafka", "", "HOST:PORT of a Kafka; without it an embedded broker")
	cmd.Flags().StringVar(delivery, "delivery", node.ExactlyOnce, "exactly_once: in transactions; at_least_once: without")
}
