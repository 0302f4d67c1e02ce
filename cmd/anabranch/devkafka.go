package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/internal/assembly"
)

// openKafka starts the broker, or looks whether the named one is there.
func (d *dev) openKafka(ctx context.Context) error {
	plan, err := assembly.Plan()
	if err != nil {
		return err
	}
	if d.flags.kafka == "" {
		d.broker, err = embedded.Start(embedded.Config{DataDir: d.dir.Broker(), Port: embedded.DefaultPort, Topics: assembly.BrokerTopics(plan)})
		if err != nil {
			return err
		}
		d.onClose(d.broker.Close)
		d.brokers = []string{d.broker.Addr()}
	} else {
		d.brokers = []string{d.flags.kafka}
		if err := ensureTopics(ctx, d.brokers, assembly.KafkaTopics(plan)); err != nil {
			return err
		}
	}
	d.decisions, err = newDecisionReader(d.brokers, assembly.TopicNames()["allocations"])
	if err != nil {
		return err
	}
	d.onClose(d.decisions.close)
	return d.decisions.seekEnd(ctx)
}

func ensureTopics(ctx context.Context, brokers []string, topics []kafka.Topic) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers})
	if err != nil {
		return usagef("--kafka: %w", err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := admin.Ping(ctx); err != nil {
		return fmt.Errorf("broker %s: not reachable: %w; check --kafka, or leave it out for the embedded broker", brokers[0], err)
	}
	if err := keepPartitions(ctx, admin, topics); err != nil {
		return fmt.Errorf("broker %s: %w", brokers[0], err)
	}
	if err := admin.Ensure(ctx, topics); err != nil {
		return fmt.Errorf("broker %s: %w", brokers[0], err)
	}
	return nil
}

// keepPartitions wants of a topic that is there as many partitions as it has.
func keepPartitions(ctx context.Context, admin *kafka.Admin, topics []kafka.Topic) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	present, err := admin.Describe(ctx, names)
	if err != nil {
		return err
	}
	for _, info := range present {
		topics[slices.Index(names, info.Name)].Partitions = info.Partitions
	}
	return nil
}
