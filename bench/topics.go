package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology"
)

// topics are those of one run, under names of their own, on a Kafka. They are
// made for the run and deleted afterwards.
type topics struct {
	run      string // names the run, and its cluster
	names    map[string]string
	broker   string
	embedded *embedded.Broker // nil: a real Kafka, or another process
	admin    *kafka.Admin
}

// adminTimeout is how long making or deleting topics may take.
const adminTimeout = 30 * time.Second

// openTopics makes the topics on a Kafka, or on an embedded broker with its data
// in a directory.
func openTopics(ctx context.Context, dir, broker string, partitions int32) (*topics, error) {
	t := &topics{run: fmt.Sprintf("bench-%d", time.Now().UnixMilli()), broker: broker, names: map[string]string{}}
	if err := t.open(ctx, dir, partitions); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *topics) open(ctx context.Context, dir string, partitions int32) (err error) {
	if t.broker == "" {
		if t.embedded, err = embedded.Start(embedded.Config{DataDir: filepath.Join(dir, "kafka")}); err != nil {
			return err
		}
		t.broker = t.embedded.Addr()
	}
	plan, err := assembly.Plan()
	if err != nil {
		return err
	}
	if t.admin, err = kafka.NewAdmin(t.connection()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if err := t.admin.Ensure(ctx, t.named(plan, partitions)); err != nil {
		return fmt.Errorf("broker %s: %w", t.broker, err)
	}
	return nil
}

// named are the plan's topics under the run's names.
func (t *topics) named(plan *topology.Plan, partitions int32) []kafka.Topic {
	list := assembly.KafkaTopics(plan)
	for i := range list {
		name := t.run + "." + plan.Topics[i].Alias
		t.names[plan.Topics[i].Alias] = name
		list[i].Name, list[i].Partitions = name, partitions
	}
	return list
}

// connection says how to reach the Kafka.
func (t *topics) connection() kafka.Config {
	return kafka.Config{Brokers: []string{t.broker}, Group: t.run}
}

// close deletes the topics and stops an embedded broker.
func (t *topics) close() error {
	var faults []error
	if t.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		defer cancel()
		names := append(slices.Sorted(maps.Values(t.names)), kafka.ProgressTopic(t.run))
		if t.embedded == nil { // the embedded broker's data goes with its directory
			faults = append(faults, t.admin.Delete(ctx, names, t.run))
		}
		t.admin.Close()
	}
	if t.embedded != nil {
		faults = append(faults, t.embedded.Close())
	}
	return errors.Join(faults...)
}
