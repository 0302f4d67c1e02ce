package bench

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/connectors"
)

// memoryKafka holds input partitions in memory and takes what is delivered, so
// that a measurement has no broker in it. All nodes share one: the node that
// leads reads, and a new leader goes on where the old one stopped.
//
// Its records are made before the load begins, and only shown when they are
// due: showing costs no allocation and no lock.
type memoryKafka struct {
	partitions map[connectors.PartitionID]*memoryPartition // fixed
	counts     map[string]int32                            // partitions of each topic, fixed
	fetchers   atomic.Pointer[[]*memoryFetcher]

	mu        sync.Mutex // guards what follows
	tenure    int64      // of the sink that was opened last
	through   map[uint16]uint64
	offset    int64                            // of the progress, as its topic would have it
	delivered func(r *connectors.OutRecord)    // under mu
	opened    func(node string, tenures int64) // a leader has opened its sink; under mu
}

// memoryPartition keeps its records' bytes in one piece, which costs the
// garbage collector nothing.
type memoryPartition struct {
	bytes []byte
	ends  []int        // of each record in bytes
	shown atomic.Int64 // records that have arrived
}

// newMemoryKafka makes topics of a number of partitions each.
func newMemoryKafka(topics []string, partitions int32) *memoryKafka {
	k := &memoryKafka{partitions: map[connectors.PartitionID]*memoryPartition{}, counts: map[string]int32{}, through: map[uint16]uint64{},
		delivered: func(*connectors.OutRecord) {}, opened: func(string, int64) {}}
	k.fetchers.Store(&[]*memoryFetcher{})
	for _, t := range topics {
		k.counts[t] = partitions
		for p := range partitions {
			k.partitions[memoryID(t, p)] = &memoryPartition{}
		}
	}
	return k
}

func memoryID(topic string, p int32) connectors.PartitionID {
	return connectors.PartitionID{Topic: topic, TopicID: fmt.Sprintf("%032x", xxhash.Sum64String(topic)), Partition: p}
}

func (k *memoryKafka) partition(topic string, p int32) *memoryPartition {
	return k.partitions[memoryID(topic, p)]
}

// add makes a record that has not arrived yet. It must come before the first
// fetch.
func (p *memoryPartition) add(value []byte) {
	p.bytes = append(p.bytes, value...)
	p.ends = append(p.ends, len(p.bytes))
}

// value is the n-th record.
func (p *memoryPartition) value(n int64) []byte {
	from := 0
	if n > 0 {
		from = p.ends[n-1]
	}
	return p.bytes[from:p.ends[n]:p.ends[n]]
}

// show lets the next n records arrive. The fetchers must be woken afterwards.
func (p *memoryPartition) show(n int) { p.shown.Add(int64(n)) }

// wake tells the fetchers that something has arrived.
func (k *memoryKafka) wake() {
	for _, f := range *k.fetchers.Load() {
		if f.reading.Load() {
			f.poke()
		}
	}
}

// memorySink is one leader's way out. It implements connectors.Sink.
type memorySink struct {
	k      *memoryKafka
	node   string
	tenure int64
}

var _ connectors.Sink = (*memorySink)(nil)

// sink makes a node's.
func (k *memoryKafka) sink(node string) *memorySink { return &memorySink{k: k, node: node} }

// Open implements connectors.Sink: from now on every sink opened before is
// fenced.
func (s *memorySink) Open(context.Context, int64) (connectors.Progress, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	s.k.tenure++
	s.tenure = s.k.tenure
	s.k.opened(s.node, s.k.tenure)
	return connectors.Progress{Through: maps.Clone(s.k.through), Offset: s.k.offset}, nil
}

// Send implements connectors.Sink.
func (s *memorySink) Send(_ context.Context, _ int, records []connectors.OutRecord, through map[uint16]uint64) (int64, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	if s.tenure != s.k.tenure {
		return 0, connectors.ErrFenced
	}
	for i := range records {
		s.k.delivered(&records[i])
	}
	maps.Copy(s.k.through, through)
	s.k.offset += int64(len(through))
	return s.k.offset, nil
}

// Slots implements connectors.Sink.
func (s *memorySink) Slots() int { return 1 }

// Close implements connectors.Sink.
func (s *memorySink) Close() {}
