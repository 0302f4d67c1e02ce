package assembly

import (
	"fmt"
	"log/slog"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/metrics"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
	"anabranch.dev/topology"
)

// Config of a node. Dir, Brokers and Key are required.
type Config struct {
	ID, Cluster string   // default n1, dev
	Dir         string   // the node's own directory
	Brokers     []string // Kafka
	Key         wire.Key // of pseudonyms
	Peer        string   // host:port, default a free port on loopback
	Durability  string
	Clock       string
	Delivery    string
	OnGap       string
	HotMemory   int64 // default 64 MiB
	Version     string
	// NewFetcher and NewSink replace Kafka at both ends, for a measurement
	// without a broker. Brokers are then not needed.
	NewFetcher func() (connectors.Fetcher, error)
	NewSink    func(o node.SinkOptions) (connectors.Sink, error)
	Log        *slog.Logger
	Metrics    *metrics.Registry
}

// Node is a node with the parts that others need to talk to it.
type Node struct {
	*node.Node
	Plan    *topology.Plan
	Topics  map[string]string // alias → Kafka's name
	Decoder connectors.Decoder
	Encoder connectors.Encoder
	Metrics *metrics.Registry
}

// Open puts a node together. It does not run yet.
func Open(cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	plan, err := Plan()
	if err != nil {
		return nil, err
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: cfg.Key})
	if err != nil {
		return nil, err
	}
	topics := TopicNames()
	encoder, err := wire.NewEncoder(wire.EncoderConfig{Cluster: cfg.Cluster, Topics: topics, Program: cfg.Version})
	if err != nil {
		return nil, err
	}
	n := &Node{Plan: plan, Topics: topics, Decoder: wire.NewDecoder(pseudonyms), Encoder: encoder, Metrics: cfg.Metrics}
	n.Node, err = node.Open(node.Config{
		ID: cfg.ID, Dir: cfg.Dir, Cluster: cfg.Cluster, Version: cfg.Version, Peer: cfg.Peer,
		Durability: cfg.Durability, Clock: cfg.Clock, Delivery: cfg.Delivery, OnGap: cfg.OnGap, HotMemory: cfg.HotMemory,
		Fingerprint: pseudonyms.Fingerprint(), Plan: plan, Topics: topics, Codec: codec.New(), Fields: wire.Fields,
		OpenStore: func(o node.StoreOptions) (group.Store, error) {
			s, err := pebblestate.Open(pebblestate.Options{Dir: o.Dir, Tables: o.Tables, Codec: codec.New(), Log: cfg.Log, HotBytes: o.HotMemory})
			if err != nil {
				return nil, err
			}
			return watchStore(cfg.Metrics, o.Group, s), nil
		},
		NewFetcher: cfg.NewFetcher, NewSink: cfg.NewSink,
		Decoder: n.Decoder, Encoder: n.Encoder, Log: cfg.Log, Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", cfg.ID, err)
	}
	return n, nil
}

func (c Config) withDefaults() Config {
	for field, value := range map[*string]string{&c.ID: "n1", &c.Cluster: "dev", &c.Peer: "127.0.0.1:0", &c.Delivery: node.ExactlyOnce} {
		if *field == "" {
			*field = value
		}
	}
	if c.HotMemory == 0 {
		c.HotMemory = 64 << 20
	}
	brokers, delivery := c.Brokers, kafka.Delivery(c.Delivery)
	if c.NewFetcher == nil {
		c.NewFetcher = func() (connectors.Fetcher, error) { return kafka.NewFetcher(kafka.Config{Brokers: brokers}) }
	}
	if c.NewSink == nil {
		c.NewSink = func(o node.SinkOptions) (connectors.Sink, error) {
			return kafka.NewSink(kafka.Config{Brokers: brokers, Cluster: o.Cluster, Incarnation: o.Incarnation, Delivery: delivery}, o.Group, o.Groups)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	return c
}
