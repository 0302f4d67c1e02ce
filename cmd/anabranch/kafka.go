package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/internal/assembly"
)

func newKafka() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kafka",
		Short: "Run the embedded Kafka broker alone",
		Long: `One broker for development, on 127.0.0.1, with the shipped topology's topics. It
takes the next free port if the wanted one is taken, and says so. It has no
replication and its speed says nothing about Apache Kafka's.`,
		Example: "  anabranch kafka --data ./kafka-data --port 9092",
		Args:    cobra.NoArgs,
	}
	cfg := embedded.Config{}
	cmd.Flags().StringVar(&cfg.DataDir, "data", "", "directory to keep everything in; without it all is in memory")
	cmd.Flags().IntVar(&cfg.Port, "port", embedded.DefaultPort, "port to listen on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plan, err := assembly.Plan()
		if err != nil {
			return err
		}
		cfg.Topics = assembly.BrokerTopics(plan)
		broker, err := embedded.Start(cfg)
		if err != nil {
			return err
		}
		taken := ""
		if broker.PortTaken() {
			taken = fmt.Sprintf(" (port %d is taken)", cfg.Port)
		}
		where := "in memory"
		if cfg.DataDir != "" {
			where = "data in " + cfg.DataDir
		}
		cmd.Printf("Kafka on %s%s, %s; Ctrl-C ends it\n", broker.Addr(), taken, where)
		select {
		case <-cmd.Context().Done():
		case <-broker.Failed():
		}
		return broker.Close()
	}
	return cmd
}
