package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology"
)

// Config of a node. Plan, Dir and Kafka.Brokers are required.
type Config struct {
	Plan *topology.Plan
	Dir  string // data directory, for one process at a time; made if missing
	// Kafka says how to reach it. Cluster, Incarnation and Delivery are filled in.
	Kafka kafka.Config
	// Codes are the string fields of incoming events that are kept as given;
	// see wire.Type.
	Codes []string
	// Topics are Kafka's names of the plan's topics, where they are not the
	// plan's name, a dot and the alias.
	Topics map[string]string

	ID      string   // of this node. Default n1
	Cluster string   // one name per Kafka. Default: the plan's
	Peer    string   // host:port for other nodes. Default: a free port on loopback
	Join    []string // Peer of all nodes; empty: a cluster of one
	KeyFile string   // of the pseudonym key. Default: made in Dir. Nodes of a cluster hold the same

	Shards, Groups int          // as in node.Config
	Durability     string       // as in node.Config
	Log            *slog.Logger // default: slog.Default()
}

// Node is a node of a topology. What can be asked of it is in node.Node.
type Node struct {
	*node.Node
	Metrics http.Handler // GET /metrics
	dir     *assembly.DataDir
}

// Open puts a node together. Exactly one of Run and Close has to follow.
func Open(cfg Config) (*Node, error) {
	if cfg.Plan == nil {
		return nil, errors.New("app: no topology")
	}
	dir, err := assembly.DataDirConfig{Path: cfg.Dir, KeyFile: cfg.KeyFile, PathSetting: "Dir"}.Open()
	if err != nil {
		return nil, err
	}
	n, err := assembly.Open(assembly.Config{
		Plan: cfg.Plan, Types: types(cfg.Plan, cfg.Codes), Topics: cfg.Topics, Kafka: cfg.Kafka, Dir: dir.Node(0), Key: dir.Key,
		ID: cfg.ID, Cluster: cmp.Or(cfg.Cluster, cfg.Plan.Name), Peer: cfg.Peer, Join: cfg.Join,
		Shards: cfg.Shards, Groups: cfg.Groups, Durability: cfg.Durability, Log: cfg.Log,
	})
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &Node{Node: n.Node, Metrics: n.Metrics.Handler(), dir: dir}, nil
}

// Run serves until ctx ends, and lets the data directory go.
func (n *Node) Run(ctx context.Context) error { return errors.Join(n.Node.Run(ctx), n.dir.Close()) }

// Close lets go of a node that was never run.
func (n *Node) Close() error { return errors.Join(n.Node.Close(), n.dir.Close()) }

// types are the event types that a plan takes.
func types(p *topology.Plan, codes []string) []wire.Type {
	list := make([]wire.Type, len(p.Inputs))
	for i, in := range p.Inputs {
		list[i] = wire.Type{Name: in.Type, New: in.Port.New, Codes: codes}
	}
	return list
}

// BrokerTopics are a plan's topics for an embedded broker, under their default
// names.
func BrokerTopics(p *topology.Plan) []embedded.Topic { return assembly.BrokerTopics(p) }

// KafkaTopics are the same for a kafka.Admin, which makes those that are missing.
func KafkaTopics(p *topology.Plan) []kafka.Topic { return assembly.KafkaTopics(p) }
