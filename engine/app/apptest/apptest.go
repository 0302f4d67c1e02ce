// Package apptest runs a topology on a real node in a test: log, state and raft
// on disk, a broker in the process, records through Kafka both ways.
//
// What it starts ends with the test; a failure of the node fails the test. Start
// at [Start].
package apptest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/app"
)

// Patience is how long a test waits for what has to happen.
const Patience = 30 * time.Second

// System is a node at work and a broker.
type System struct {
	Node     *app.Node
	t        *testing.T
	topics   func(alias string) string
	producer *kafka.Producer
	readers  map[string]*reader
	brokers  []string
}

// Start runs a node until the test ends and waits until it is ready. Dir, Kafka
// and Log are filled in.
func Start(t *testing.T, cfg app.Config) *System {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{Topics: app.BrokerTopics(cfg.Plan)})
	if err != nil {
		t.Fatal(err)
	}
	s := &System{t: t, topics: func(alias string) string { return cfg.Plan.Name + "." + alias },
		readers: map[string]*reader{}, brokers: []string{broker.Addr()}}
	t.Cleanup(func() { s.check(broker.Close()) })
	cfg.Dir, cfg.Kafka.Brokers, cfg.Log = t.TempDir(), s.brokers, slog.New(slog.DiscardHandler)
	if s.producer, err = kafka.NewProducer(kafka.Config{Brokers: s.brokers}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	if s.Node, err = app.Open(cfg); err != nil {
		t.Fatal(err)
	}
	s.run()
	return s
}

// run serves until the test ends.
func (s *System) run() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Node.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		s.check(<-done)
	})
	soon, cancel := s.soon()
	defer cancel()
	if err := s.Node.Ready(soon); err != nil {
		s.t.Fatal(err)
	}
}

func (s *System) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

func (s *System) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

// Ago is a time in the past as an event's time is written.
func Ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

// Send writes events to an input topic, one a record, in order.
func (s *System) Send(alias string, events ...string) {
	s.t.Helper()
	soon, cancel := s.soon()
	defer cancel()
	for _, e := range events {
		if err := s.producer.Produce(soon, connectors.OutRecord{Topic: s.topics(alias), Value: []byte(e)}, 0); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.producer.Flush(soon); err != nil {
		s.t.Fatal(err)
	}
}

// Next waits for the next committed record of an output topic.
func (s *System) Next(alias string) string {
	s.t.Helper()
	soon, cancel := s.soon()
	defer cancel()
	r := s.readers[alias]
	if r == nil {
		var err error
		if r, err = openReader(soon, s.brokers, s.topics(alias)); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(r.close)
		s.readers[alias] = r
	}
	value, err := r.next(soon)
	if err != nil {
		s.t.Fatalf("read %s: %v", alias, err)
	}
	return value
}
