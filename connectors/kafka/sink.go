package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// slots is the number of transactional ids to rotate over: the next
// transaction of the same id waits in the broker for the last one's markers.
const slots = 4

// maxBatchBytes is Kafka's default of message.max.bytes.
const maxBatchBytes = 1048588

// sinkBatchBytes bounds a batch of ours before compression, while the broker
// judges it afterwards. The core keeps a record below 1 MiB in its own compact
// form; as JSON, with the names of all fields, it may be some times that, and
// is compressed to less again.
const sinkBatchBytes = 16 << 20

// errNotOpen: Send before Open, or after an error.
var errNotOpen = errors.New("sink is not open")

// A Sink writes for one group. It implements connectors.Sink. After any error
// of Send it is closed inside and must be opened again: what the broker has is
// not known then, and fresh producers have it decided.
type Sink struct {
	cfg    Config
	group  int32
	groups int32

	producers    []*kgo.Client // one per slot; empty while not open
	next         int64         // offset in the progress partition behind our last progress
	fencedBefore bool          // earlier incarnations have been fenced
}

// NewSink prepares the sink of one of a cluster's groups. Nothing is dialled
// before Open.
func NewSink(cfg Config, group, groups int) (*Sink, error) {
	err := cfg.Validate()
	if cfg.Cluster == "" {
		err = errors.Join(err, errors.New("cluster.name is empty"))
	}
	if cfg.Incarnation == 0 {
		err = errors.Join(err, errors.New("incarnation is 0"))
	}
	if group < 0 || group >= groups {
		err = errors.Join(err, fmt.Errorf("group %d is not one of %d", group, groups))
	}
	if err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg.withDefaults(), group: int32(group), groups: int32(groups)}, nil
}

// Slots is the number of transactional ids to rotate over.
func (s *Sink) Slots() int {
	if s.cfg.Delivery == AtLeastOnce {
		return 1
	}
	return slots
}

// Open fences every earlier leader and reads the progress from an offset on. In
// at-least-once delivery there is neither.
func (s *Sink) Open(ctx context.Context, from int64) (connectors.Progress, error) {
	s.Close()
	if s.cfg.Delivery == AtLeastOnce {
		producer, err := s.cfg.client(s.producerOptions("")...)
		if err != nil {
			return connectors.Progress{}, err
		}
		s.producers = []*kgo.Client{producer}
		s.next = from
		return connectors.Progress{Through: map[uint16]uint64{}, Offset: from}, nil
	}
	if err := s.initProducers(ctx); err != nil {
		s.Close()
		return connectors.Progress{}, fmt.Errorf("group %d: open producers: %w", s.group, mapOpen(err))
	}
	progress, err := s.readProgress(ctx, from)
	if err != nil {
		s.Close()
		return connectors.Progress{}, fmt.Errorf("group %d: read progress: %w", s.group, err)
	}
	s.next = progress.Offset
	return progress, nil
}

// initProducers makes a fresh client per slot and initialises all of them now:
// left alone, a client would do so with its first record, fence a newer leader
// then, and leave an earlier one's transaction open until then.
//
// The first slot comes before the others. A leader that finds it taken has
// written nothing; one that takes it late, from a leader that already writes,
// then also takes the others late, and reads the progress behind what was
// written there.
func (s *Sink) initProducers(ctx context.Context) error {
	if !s.fencedBefore {
		if err := s.fenceEarlierIncarnations(ctx); err != nil {
			return err
		}
		s.fencedBefore = true
	}
	for slot := range slots {
		producer, err := s.cfg.client(s.producerOptions(s.transactionalID(slot))...)
		if err != nil {
			return err
		}
		s.producers = append(s.producers, producer)
	}
	if _, _, err := s.producers[0].ProducerID(ctx); err != nil {
		return err
	}
	faults := make([]error, slots)
	var done sync.WaitGroup
	for slot, producer := range s.producers[1:] {
		done.Go(func() { _, _, faults[slot] = producer.ProducerID(ctx) })
	}
	done.Wait()
	return errors.Join(faults...)
}

func (s *Sink) producerOptions(transactionalID string) []kgo.Opt {
	opts := []kgo.Opt{
		// Nothing is sent before a flush: one batch per partition and call.
		kgo.ManualFlushing(),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(1 << 20),
		kgo.ProducerBatchMaxBytes(sinkBatchBytes),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProduceRequestTimeout(s.cfg.TransactionTimeout),
		kgo.RecordPartitioner(newPartitioner(s.progressTopic())),
	}
	if transactionalID != "" {
		opts = append(opts, kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(s.cfg.TransactionTimeout))
	}
	return opts
}

// Send writes records and the progress they bring.
func (s *Sink) Send(ctx context.Context, slot int, records []connectors.OutRecord, through map[uint16]uint64) (int64, error) {
	if len(s.producers) == 0 {
		return 0, errNotOpen
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout)
	defer cancel()
	var err error
	if s.cfg.Delivery == AtLeastOnce {
		err = s.write(ctx, s.producers[0], records)
	} else {
		err = s.transact(ctx, s.producers[slot%slots], records, through)
	}
	if err != nil {
		s.Close()
		return 0, fmt.Errorf("group %d: %w", s.group, err)
	}
	return s.next, nil
}

// write sends without a transaction.
func (s *Sink) write(ctx context.Context, producer *kgo.Client, records []connectors.OutRecord) error {
	if err := produce(ctx, producer, kafkaRecords(records)); err != nil {
		return fmt.Errorf("produce %d records: %w", len(records), mapProduce(err))
	}
	return nil
}

// transact sends records and progress in one transaction.
func (s *Sink) transact(ctx context.Context, producer *kgo.Client, records []connectors.OutRecord, through map[uint16]uint64) error {
	if err := producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", mapProduce(err))
	}
	out := kafkaRecords(records)
	marks := s.progressRecords(through)
	if err := produce(ctx, producer, append(out, marks...)); err != nil {
		s.abort(producer)
		return fmt.Errorf("produce %d records: %w", len(records), mapProduce(err))
	}
	if err := producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit transaction: %w", mapCommit(err))
	}
	for _, m := range marks {
		s.next = max(s.next, m.Offset+1)
	}
	return nil
}

// produce sends records and waits for all of them. It returns the worst error:
// an EndTransaction would commit whatever succeeded.
func produce(ctx context.Context, producer *kgo.Client, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	var mu sync.Mutex // guards worst
	var worst error
	note := func(_ *kgo.Record, err error) {
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if severity(err) > severity(worst) {
			worst = err
		}
	}
	for _, r := range records {
		producer.Produce(ctx, r, note)
	}
	err := producer.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	if worst != nil {
		return worst
	}
	return err
}

// abort ends a transaction that can't be committed, at once, because readers
// wait behind it. If that fails too, the next Open aborts it.
func (s *Sink) abort(producer *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if producer.AbortBufferedRecords(ctx) == nil {
		_ = producer.EndTransaction(ctx, kgo.TryAbort)
	}
}

// Close ends all connections. A transaction left open is aborted by the next
// Open or by the broker, after the transaction timeout.
func (s *Sink) Close() {
	for _, producer := range s.producers {
		producer.Close()
	}
	s.producers = nil
}

func kafkaRecords(records []connectors.OutRecord) []*kgo.Record {
	slab := make([]kgo.Record, len(records))
	out := make([]*kgo.Record, len(records), len(records)+1)
	for i := range records {
		r := &records[i]
		slab[i] = kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		if len(r.Headers) > 0 {
			slab[i].Headers = make([]kgo.RecordHeader, len(r.Headers))
			for j, h := range r.Headers {
				slab[i].Headers[j] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
			}
		}
		out[i] = &slab[i]
	}
	return out
}

// progressRecords makes one record per shard, in order of shards.
func (s *Sink) progressRecords(through map[uint16]uint64) []*kgo.Record {
	marks := make([]*kgo.Record, 0, len(through))
	for _, shard := range slices.Sorted(maps.Keys(through)) {
		marks = append(marks, s.progressRecord(shard, through[shard]))
	}
	return marks
}
