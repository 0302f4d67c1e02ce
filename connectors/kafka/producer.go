package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// AnyPartition lets the record's key choose the partition, as Kafka's own
// clients do.
const AnyPartition int32 = -1

// Producer is an ordinary idempotent producer: how data sets, samples and tests
// bring events to the input topics. The cluster itself never uses it. It is
// safe for concurrent use.
type Producer struct {
	client *kgo.Client
	mu     sync.Mutex // guards err
	err    error      // the first failure
}

// NewProducer connects lazily.
func NewProducer(cfg Config) (*Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	hashed := kgo.StickyKeyPartitioner(nil)
	client, err := cfg.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(1<<16),
		kgo.MaxBufferedBytes(32<<20),
		kgo.RecordPartitioner(explicitPartitioner{hashed}),
	)
	if err != nil {
		return nil, err
	}
	return &Producer{client: client}, nil
}

// Produce queues a record; it blocks while too much is queued. A record that
// could not be written shows as the error of a later call, or of Flush.
func (p *Producer) Produce(ctx context.Context, r connectors.OutRecord, partition int32) error {
	record := kafkaRecords([]connectors.OutRecord{r})[0]
	record.Partition = partition
	p.client.Produce(ctx, record, func(r *kgo.Record, err error) {
		if err != nil {
			p.fail(fmt.Errorf("produce to %s: %w", r.Topic, mapProduce(err)))
		}
	})
	return p.failure()
}

// Flush waits until everything queued is written, or has failed.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return p.failure()
}

// Close drops what is queued and ends the connections.
func (p *Producer) Close() { p.client.Close() }

func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *Producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// explicitPartitioner takes the partition that a record names, else asks byKey.
type explicitPartitioner struct{ byKey kgo.Partitioner }

func (e explicitPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return explicitTopic{e.byKey.ForTopic(topic)}
}

type explicitTopic struct{ byKey kgo.TopicPartitioner }

// RequiresConsistency keeps a record off any other partition than its own.
func (e explicitTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != AnyPartition || e.byKey.RequiresConsistency(r)
}

func (e explicitTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition != AnyPartition {
		return int(r.Partition) // one that is not there fails the record
	}
	return e.byKey.Partition(r, n)
}
