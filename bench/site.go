package bench

import (
	"context"
	"errors"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/internal/assembly"
)

// site is what a run over Kafka stands on.
type site struct {
	dir      string // for data
	topics   *topics
	producer *kafka.Producer
	report   *Report
}

// inside is the program of an embedded broker that runs in this process.
const inside = "-"

// onKafka builds a site, has fn run on it, and takes it down. An embedded
// broker is a process of the given program (empty: of this one's own), or
// [inside] this process.
func (c *KafkaConfig) onKafka(ctx context.Context, name, program string, fn func(s *site) error) (report *Report, err error) {
	dir, remove, err := c.directory()
	if err != nil {
		return nil, err
	}
	defer remove()
	assembly.Tune(memoryLimit)
	s := &site{dir: dir, report: newReport(name, &c.Config)}
	s.report.Kafka, s.report.Delivery = kafkaName(c.Broker), c.Delivery
	if s.report.Fdatasync, err = measureDisk(dir); err != nil {
		return nil, err
	}
	broker := c.Broker
	if broker == "" && program != inside {
		var stop func() error
		if broker, stop, err = startBroker(ctx, program, dir); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if s.topics, err = openTopics(ctx, dir, broker, c.Partitions); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.topics.close()) }()
	if s.producer, err = kafka.NewProducer(s.topics.connection()); err != nil {
		return nil, err
	}
	defer s.producer.Close()
	return s.report, fn(s)
}

// kafkaName says in a report which Kafka it was.
func kafkaName(broker string) string {
	if broker == "" {
		return "embedded"
	}
	return broker
}
