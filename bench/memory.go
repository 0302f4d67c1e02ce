package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/connectors"
)

// memoryKafka holds input partitions in memory and takes what is delivered, so
// that a measurement has no broker in it. It is a Fetcher and a Sink.
type memoryKafka struct {
	mu         sync.Mutex
	partitions map[connectors.PartitionID]*memoryPartition // fixed
	changed    chan struct{}                               // closed and renewed when something was appended
	delivered  func(r *connectors.OutRecord)
}

type memoryPartition struct {
	records  []connectors.RawRecord
	position int64 // next to hand out
	assigned bool
	paused   bool
	told     time.Time // when its state was last handed out
}

// newMemoryKafka makes topics of a number of partitions each.
func newMemoryKafka(topics []string, partitions int32, delivered func(r *connectors.OutRecord)) *memoryKafka {
	k := &memoryKafka{partitions: map[connectors.PartitionID]*memoryPartition{}, changed: make(chan struct{}), delivered: delivered}
	for _, t := range topics {
		for p := range partitions {
			k.partitions[k.id(t, p)] = &memoryPartition{}
		}
	}
	return k
}

func (k *memoryKafka) id(topic string, p int32) connectors.PartitionID {
	return connectors.PartitionID{Topic: topic, TopicID: fmt.Sprintf("%032x", xxhash.Sum64String(topic)), Partition: p}
}

// append adds records to a partition and wakes the fetcher.
func (k *memoryKafka) append(topic string, p int32, values ...[]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	part := k.partitions[k.id(topic, p)]
	for _, v := range values {
		part.records = append(part.records, connectors.RawRecord{Offset: int64(len(part.records)), Value: v})
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// Describe implements connectors.Fetcher.
func (k *memoryKafka) Describe(_ context.Context, topics []string) ([]connectors.TopicInfo, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []connectors.TopicInfo
	for _, t := range topics {
		info := connectors.TopicInfo{Name: t, TopicID: k.id(t, 0).TopicID}
		for k.partitions[k.id(t, info.Partitions)] != nil {
			info.Partitions++
			info.Starts = append(info.Starts, 0)
		}
		if info.Partitions > 0 {
			all = append(all, info)
		}
	}
	return all, nil
}

func (k *memoryKafka) with(p connectors.PartitionID, fn func(*memoryPartition)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if part := k.partitions[p]; part != nil {
		fn(part)
	}
}

// Assign implements connectors.Fetcher, as do Remove, Pause and Resume.
func (k *memoryKafka) Assign(p connectors.PartitionID, offset int64) {
	k.with(p, func(m *memoryPartition) { m.assigned, m.position, m.told = true, offset, time.Time{} })
}
func (k *memoryKafka) Remove(p connectors.PartitionID) {
	k.with(p, func(m *memoryPartition) { m.assigned = false })
}
func (k *memoryKafka) Pause(p connectors.PartitionID) {
	k.with(p, func(m *memoryPartition) { m.paused = true })
}
func (k *memoryKafka) Resume(p connectors.PartitionID) {
	k.with(p, func(m *memoryPartition) { m.paused = false })
}

// fetchMax is how many records one fetch of a partition hands out.
const fetchMax = 1000

// Poll implements connectors.Fetcher.
func (k *memoryKafka) Poll(ctx context.Context) ([]connectors.Fetch, error) {
	for {
		fetches, changed := k.take()
		if len(fetches) > 0 {
			return fetches, nil
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// take collects what is new, or what was not reported for a second.
func (k *memoryKafka) take() ([]connectors.Fetch, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var fetches []connectors.Fetch
	now := time.Now()
	for id, m := range k.partitions {
		end := int64(len(m.records))
		if !m.assigned || m.paused || m.position >= end && now.Sub(m.told) < time.Second {
			continue
		}
		to := min(end, m.position+fetchMax)
		m.told = now
		fetches = append(fetches, connectors.Fetch{Partition: id, Records: m.records[m.position:to:to], Position: to, Stable: end})
		m.position = to
	}
	return fetches, k.changed
}

// ReadOne implements connectors.Fetcher.
func (k *memoryKafka) ReadOne(_ context.Context, p connectors.PartitionID, offset int64) (connectors.RawRecord, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.partitions[p]; m != nil && offset < int64(len(m.records)) {
		return m.records[offset], nil
	}
	return connectors.RawRecord{}, connectors.ErrOutOfRange
}

// CommitOffsets implements connectors.Fetcher: there is no dashboard to tell.
func (k *memoryKafka) CommitOffsets(context.Context, map[connectors.PartitionID]int64) error {
	return nil
}

// Open implements connectors.Sink.
func (k *memoryKafka) Open(context.Context, int64) (connectors.Progress, error) {
	return connectors.Progress{Through: map[uint16]uint64{}}, nil
}

// Send implements connectors.Sink.
func (k *memoryKafka) Send(_ context.Context, _ int, records []connectors.OutRecord, _ map[uint16]uint64) (int64, error) {
	for i := range records {
		k.delivered(&records[i])
	}
	return 0, nil
}

// Slots implements connectors.Sink.
func (k *memoryKafka) Slots() int { return 1 }

// Close implements connectors.Fetcher and connectors.Sink.
func (k *memoryKafka) Close() {}
