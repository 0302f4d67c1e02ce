package assembly

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/node"
	"anabranch.dev/engine/peer"
	"anabranch.dev/internal/metrics"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
	"anabranch.dev/topology"
)

// Config of a node. Dir, Kafka.Brokers and Key are required. What else is zero
// gets node.Config's default unless another one is given.
type Config struct {
	ID, Cluster string   // default n1, dev
	Dir         string   // the node's own directory
	Key         wire.Key // of pseudonyms
	Version     string
	// Plan that runs. Default: the shipped one. Its types are those of Types and
	// the shipped ones.
	Plan  *topology.Plan
	Types []wire.Type

	// Kafka says how to reach it. Cluster, Incarnation and Delivery are filled
	// in by Open.
	Kafka    kafka.Config
	Topics   map[string]string // alias → Kafka's name, where it is not the shipped one
	Delivery string
	OnGap    string

	Peer     string        // host:port, default a free port on loopback
	Listener net.Listener  // an open one in place of Peer
	Join     []string      // peer addresses of all nodes; empty: a cluster of one
	PeerTLS  *peer.TLS     // nil: plain TCP
	HTTP     string        // where the API can be reached, told to the other nodes
	Shards   int           //
	Groups   int           //
	Lateness time.Duration //

	Durability string
	Clock      string
	HotMemory  int64 // default 64 MiB
	// SnapshotBytes of log make a snapshot due.
	SnapshotBytes int64
	MaxRecord     int // bytes of an incoming record. Default wire.MaxRecordBytes
	MaxRequests   int // that wait for a reply

	// NewFetcher and NewSink replace Kafka at both ends, for a measurement
	// without a broker. Kafka is then not needed.
	NewFetcher func() (connectors.Fetcher, error)
	NewSink    func(o node.SinkOptions) (connectors.Sink, error)
	Log        *slog.Logger
	Metrics    *metrics.Registry
}

// Node is a node with the parts that others need to talk to it.
type Node struct {
	*node.Node
	ID      string
	HTTP    string // of its configuration
	Plan    *topology.Plan
	Topics  map[string]string // alias → Kafka's name
	Decoder connectors.Decoder
	Encoder connectors.Encoder
	Metrics *metrics.Registry
}

// Open puts a node together. It does not run yet.
func Open(cfg Config) (*Node, error) {
	n, parts, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	if n.Node, err = node.Open(parts); err != nil {
		return nil, fmt.Errorf("node %s: %w", n.ID, err)
	}
	return n, nil
}

// Parts is a node's configuration in its own terms, for what is done to its
// directory while no process has it open.
func Parts(cfg Config) (node.Config, error) {
	_, parts, err := prepare(cfg)
	return parts, err
}

func prepare(cfg Config) (n *Node, parts node.Config, err error) {
	if cfg.Plan == nil {
		plan, err := Plan()
		if err != nil {
			return nil, parts, err
		}
		cfg.Plan = plan
	}
	cfg = cfg.withDefaults()
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: cfg.Key})
	if err != nil {
		return nil, parts, err
	}
	encoder, err := wire.NewEncoder(wire.EncoderConfig{Cluster: cfg.Cluster, Topics: cfg.Topics, Program: cfg.Version})
	if err != nil {
		return nil, parts, err
	}
	decoder := wire.NewDecoder(pseudonyms)
	decoder.Limit(cfg.MaxRecord)
	for _, t := range cfg.Types {
		decoder.Add(t)
	}
	n = &Node{ID: cfg.ID, HTTP: cfg.HTTP, Plan: cfg.Plan, Topics: cfg.Topics, Decoder: decoder, Encoder: encoder, Metrics: cfg.Metrics}
	return n, node.Config{
		ID: cfg.ID, Dir: cfg.Dir, Cluster: cfg.Cluster, Version: cfg.Version,
		Peer: cfg.Peer, Listener: cfg.Listener, Join: cfg.Join, PeerTLS: cfg.PeerTLS, HTTP: cfg.HTTP,
		Shards: cfg.Shards, Groups: cfg.Groups, Lateness: cfg.Lateness, MaxRequests: cfg.MaxRequests,
		Durability: cfg.Durability, Clock: cfg.Clock, Delivery: cfg.Delivery, OnGap: cfg.OnGap, HotMemory: cfg.HotMemory, SnapshotBytes: cfg.SnapshotBytes,
		Fingerprint: pseudonyms.Fingerprint(), Plan: cfg.Plan, Topics: cfg.Topics, Codec: codec.New(), Fields: wire.Fields,
		OpenStore: func(o node.StoreOptions) (group.Store, error) {
			s, err := pebblestate.Open(pebblestate.Options{Dir: o.Dir, Tables: o.Tables, Codec: codec.New(), Log: cfg.Log, HotBytes: o.HotMemory})
			if err != nil {
				return nil, err
			}
			if o.Copy {
				return s, nil
			}
			return watchStore(cfg.Metrics, o.Group, s), nil
		},
		NewFetcher: cfg.NewFetcher, NewSink: cfg.NewSink,
		Decoder: n.Decoder, Encoder: n.Encoder, Log: cfg.Log, Metrics: cfg.Metrics,
	}, nil
}

func (c Config) withDefaults() Config {
	c.ID, c.Cluster = cmp.Or(c.ID, "n1"), cmp.Or(c.Cluster, "dev")
	c.Peer, c.Delivery = cmp.Or(c.Peer, "127.0.0.1:0"), cmp.Or(c.Delivery, node.ExactlyOnce)
	c.HotMemory, c.MaxRecord = cmp.Or(c.HotMemory, 64<<20), cmp.Or(c.MaxRecord, wire.MaxRecordBytes)
	c.Topics = topicNames(c.Plan, c.Topics)
	base := c.Kafka
	base.Cluster, base.Delivery = c.Cluster, kafka.Delivery(c.Delivery)
	if c.NewFetcher == nil {
		c.NewFetcher = func() (connectors.Fetcher, error) { return kafka.NewFetcher(base) }
	}
	if c.NewSink == nil {
		c.NewSink = func(o node.SinkOptions) (connectors.Sink, error) {
			own := base
			own.Incarnation = o.Incarnation
			return kafka.NewSink(own, o.Group, o.Groups)
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
