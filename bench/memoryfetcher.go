package bench

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"anabranch.dev/connectors"
)

// memoryFetcher is one node's way in. It implements connectors.Fetcher.
type memoryFetcher struct {
	k       *memoryKafka
	woken   chan struct{}
	reading atomic.Bool // partitions are assigned
	again   *time.Timer // partitions at their end are to be reported

	assigned []*memoryPosition
}

// memoryPosition is how far one fetcher has read a partition.
type memoryPosition struct {
	id       connectors.PartitionID
	from     *memoryPartition
	position int64 // next to hand out
	paused   bool
	told     time.Time // when its state was last handed out
}

var _ connectors.Fetcher = (*memoryFetcher)(nil)

// fetcher makes one.
func (k *memoryKafka) fetcher() *memoryFetcher {
	f := &memoryFetcher{k: k, woken: make(chan struct{}, 1), again: time.NewTimer(reportEvery)}
	k.change(func(all []*memoryFetcher) []*memoryFetcher { return append(all, f) })
	return f
}

// change replaces the list of fetchers, which wake reads without a lock.
func (k *memoryKafka) change(fn func(all []*memoryFetcher) []*memoryFetcher) {
	for {
		before := k.fetchers.Load()
		after := fn(slices.Clone(*before))
		if k.fetchers.CompareAndSwap(before, &after) {
			return
		}
	}
}

func (f *memoryFetcher) poke() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// Describe implements connectors.Fetcher.
func (f *memoryFetcher) Describe(_ context.Context, topics []string) ([]connectors.TopicInfo, error) {
	var all []connectors.TopicInfo
	for _, t := range topics {
		if n := f.k.counts[t]; n > 0 {
			all = append(all, connectors.TopicInfo{Name: t, TopicID: memoryID(t, 0).TopicID, Partitions: n, Starts: make([]int64, n)})
		}
	}
	return all, nil
}

// Assign implements connectors.Fetcher, as do Remove, Pause and Resume.
func (f *memoryFetcher) Assign(p connectors.PartitionID, offset int64) {
	f.Remove(p)
	if from := f.k.partitions[p]; from != nil {
		f.assigned = append(f.assigned, &memoryPosition{id: p, from: from, position: offset})
	}
	f.reading.Store(len(f.assigned) > 0)
}

func (f *memoryFetcher) Remove(p connectors.PartitionID) {
	f.assigned = slices.DeleteFunc(f.assigned, func(m *memoryPosition) bool { return m.id == p })
	f.reading.Store(len(f.assigned) > 0)
}

func (f *memoryFetcher) Pause(p connectors.PartitionID)  { f.pause(p, true) }
func (f *memoryFetcher) Resume(p connectors.PartitionID) { f.pause(p, false) }

func (f *memoryFetcher) pause(p connectors.PartitionID, paused bool) {
	for _, m := range f.assigned {
		if m.id == p {
			m.paused = paused
		}
	}
}

const (
	// fetchMax is how many records one fetch of a partition hands out.
	fetchMax = 1000
	// reportEvery is how often a partition at its end is reported again.
	reportEvery = 700 * time.Millisecond
)

// Poll implements connectors.Fetcher.
func (f *memoryFetcher) Poll(ctx context.Context) ([]connectors.Fetch, error) {
	for {
		if fetches := f.take(); len(fetches) > 0 {
			return fetches, nil
		}
		f.again.Reset(reportEvery)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.woken:
		case <-f.again.C:
		}
	}
}

// take collects what is new, or what was not reported for a while.
func (f *memoryFetcher) take() []connectors.Fetch {
	var fetches []connectors.Fetch
	now := time.Now()
	for _, m := range f.assigned {
		end := m.from.shown.Load()
		if m.paused || m.position >= end && now.Sub(m.told) < reportEvery {
			continue
		}
		fetch := connectors.Fetch{Partition: m.id, From: m.position, Stable: end}
		for ; m.position < end && len(fetch.Records) < fetchMax; m.position++ {
			fetch.Records = append(fetch.Records, connectors.RawRecord{Offset: m.position, Value: m.from.value(m.position)})
		}
		if m.position < end {
			f.poke()
		}
		fetch.Position, m.told = m.position, now
		fetches = append(fetches, fetch)
	}
	return fetches
}

// ReadOne implements connectors.Fetcher.
func (f *memoryFetcher) ReadOne(_ context.Context, p connectors.PartitionID, offset int64) (connectors.RawRecord, error) {
	if from := f.k.partitions[p]; from != nil && offset < from.shown.Load() {
		return connectors.RawRecord{Offset: offset, Value: from.value(offset)}, nil
	}
	return connectors.RawRecord{}, connectors.ErrOutOfRange
}

// CommitOffsets implements connectors.Fetcher: there is no dashboard to tell.
func (f *memoryFetcher) CommitOffsets(context.Context, map[connectors.PartitionID]int64) error {
	return nil
}

// Close implements connectors.Fetcher.
func (f *memoryFetcher) Close() {
	f.again.Stop()
	f.k.change(func(all []*memoryFetcher) []*memoryFetcher {
		return slices.DeleteFunc(all, func(other *memoryFetcher) bool { return other == f })
	})
}
