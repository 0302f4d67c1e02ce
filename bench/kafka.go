package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology/retail"
)

// KafkaConfig shapes a run of [Kafka].
type KafkaConfig struct {
	Config
	Broker   string // host:port of a real Kafka; default an embedded one in this process
	Delivery string // exactly_once (default) or at_least_once
}

func (c *KafkaConfig) withDefaults() {
	if c.SharedWith == "" {
		c.SharedWith = "load generator, consumer and nodes in one process; broker on the same machine"
	}
	c.Config.withDefaults()
	if c.Delivery == "" {
		c.Delivery = node.ExactlyOnce
	}
}

// Validate reports every fault.
func (c *KafkaConfig) Validate() error {
	err := c.Config.Validate()
	if d := c.Delivery; d != "" && d != node.ExactlyOnce && d != node.AtLeastOnce {
		err = errors.Join(err, fmt.Errorf("delivery is %q; want %s or %s", d, node.ExactlyOnce, node.AtLeastOnce))
	}
	return err
}

// kafkaRun is one run while it lasts.
type kafkaRun struct {
	*site
	cfg     KafkaConfig
	shop    shop
	cluster *assembly.Cluster
	watch   *observer
}

// Kafka measures an event produced → its decision visible to a read_committed
// consumer, through the real connector at both ends.
func Kafka(ctx context.Context, cfg KafkaConfig, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg.onKafka(ctx, "kafka", inside, func(s *site) (err error) {
		r := &kafkaRun{site: s, cfg: cfg, shop: shop{w: cfg.Workload, began: time.Now()}, watch: newObserver(&cfg.Config)}
		if r.cluster, err = openOnKafka(&cfg, s.topics, s.dir); err != nil {
			return err
		}
		return r.run(ctx, progress)
	})
}

// openOnKafka opens the nodes of a run on its topics.
func openOnKafka(cfg *KafkaConfig, t *topics, dir string) (*assembly.Cluster, error) {
	shape, err := shapeNodes(&cfg.Config, dir)
	if err != nil {
		return nil, err
	}
	return assembly.OpenCluster(cfg.Nodes, func(i int, c *assembly.Config) {
		shape(i, c)
		c.Cluster, c.Kafka, c.Topics, c.Delivery = t.run, t.connection(), t.names, cfg.Delivery
	})
}

// run runs the nodes around the load.
func (r *kafkaRun) run(ctx context.Context, progress io.Writer) error {
	return whileRunning(ctx, r.cluster, func(ctx context.Context) error {
		if err := r.cluster.Ready(ctx); err != nil {
			return err
		}
		if err := prepareTopics(ctx, r.topics, r.producer, &r.shop, inputsOf(r.cluster)); err != nil {
			return err
		}
		consumer, err := r.topics.consume(ctx, func(d *seenDecision) {
			if n, ok := orderNumber(d.key); ok {
				r.watch.decided(n, d.at)
			}
		})
		if err != nil {
			return err
		}
		err = r.measure(ctx, progress)
		if err = errors.Join(err, consumer.stop()); err != nil {
			return err
		}
		r.watch.report(r.report)
		if r.report.Checks, err = r.topics.scan(ctx, r.cfg.total(), r.cfg.tamper); err != nil {
			return err
		}
		r.report.Checks.Oversold, err = oversold(ctx, leaderOf(r.cluster), r.cfg.Workload.SKUs)
		return err
	})
}

// measure offers the load and waits for the last decision.
func (r *kafkaRun) measure(ctx context.Context, progress io.Writer) error {
	if _, err := fmt.Fprintf(progress, "producing %g orders/s for %v after a warm-up of %v\n", r.cfg.Rate, r.cfg.Duration, r.cfg.Warmup); err != nil {
		return err
	}
	s := schedule{rate: r.cfg.Rate, began: time.Now()}
	r.watch.begin(s)
	if _, err := s.part(0, r.cfg.warmups()).offer(ctx, r.produce(ctx)); err != nil {
		return err
	}
	m := beginMeasure(r.cluster, elections(r.cluster))
	busy, err := s.part(r.cfg.warmups(), r.cfg.total()).offer(ctx, r.produce(ctx))
	if err != nil {
		return err
	}
	if err := r.cfg.whileMoving(ctx, r.cfg.total(), r.watch.observed); err != nil {
		return err
	}
	m.end(r.report, busy, elections(r.cluster))
	return r.producer.Flush(ctx)
}

// produce sends orders, each to the partition that its number says.
func (r *kafkaRun) produce(ctx context.Context) func(from, to int) error {
	return func(from, to int) error {
		for n := from; n < to; n++ {
			if err := produceOrder(ctx, r.producer, r.topics, &r.shop, n, r.cfg.Partitions); err != nil {
				return err
			}
		}
		return nil
	}
}

func produceOrder(ctx context.Context, p *kafka.Producer, t *topics, s *shop, n int, partitions int32) error {
	r := connectors.OutRecord{Topic: t.names[retail.TopicSales], Key: []byte(orderID(n)), Value: s.order(n)}
	return p.Produce(ctx, r, int32(n)%partitions)
}

// elections counts how often nodes of this process have begun to lead.
func elections(c *assembly.Cluster) (n int64) {
	for _, node := range c.Nodes {
		sum, _ := node.Metrics.Total("anabranch_group_elections_total")
		n += int64(sum)
	}
	return n
}

// prepareTopics brings reference data and stock in and waits until they are
// applied.
func prepareTopics(ctx context.Context, t *topics, p *kafka.Producer, s *shop, inputs func(ctx context.Context) ([]inputPosition, error)) error {
	for _, part := range []struct {
		alias  string
		events []input
	}{{retail.TopicReference, s.reference()}, {retail.TopicStock, s.counts()}} {
		if err := produceInputs(ctx, p, t.names[part.alias], part.events); err != nil {
			return err
		}
		if err := awaitInput(ctx, inputs, t.names[part.alias], int64(len(part.events))); err != nil {
			return err
		}
	}
	return nil
}

func produceInputs(ctx context.Context, p *kafka.Producer, topic string, events []input) error {
	for _, e := range events {
		if err := p.Produce(ctx, connectors.OutRecord{Topic: topic, Key: []byte(e.key), Value: e.value}, 0); err != nil {
			return err
		}
	}
	return p.Flush(ctx)
}
