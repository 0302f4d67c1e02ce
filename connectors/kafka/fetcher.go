package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// errClosed: the fetcher was closed.
var errClosed = errors.New("fetcher is closed")

// reportEvery is how often a partition at its end is reported again. The
// contract says every second; one long poll may come in between.
const reportEvery = 700 * time.Millisecond

// A Fetcher reads partitions with plain fetch requests, at most one in flight
// per broker. It implements connectors.Fetcher. All other state
// belongs to the goroutine that calls it; requests in flight only send answers.
type Fetcher struct {
	cfg          Config
	client       *kgo.Client
	adm          *kadm.Client
	decompressor kgo.Decompressor

	// Requests end with this context, which Close cancels.
	ctx     context.Context
	cancel  context.CancelFunc
	closing sync.Mutex     // guards starting a request against Close
	pending sync.WaitGroup // requests in flight

	partitions map[connectors.PartitionID]*partition
	order      []*partition // in order of assignment; requests start at another one each time
	turn       int
	generation uint64
	busy       map[int32]bool // brokers with a request in flight
	answers    chan answer
	ready      []connectors.Fetch // found without asking a broker for records

	lookups int       // failed lookups of leaders in a row
	nextAt  time.Time // no lookup before this
}

// A partition is one that was assigned.
type partition struct {
	id       connectors.PartitionID
	topicID  [16]byte
	position int64
	stable   int64
	// generation tells the answers to this assignment from those to earlier ones.
	generation uint64
	leader     int32 // broker id, noLeader while unknown
	paused     bool
	reported   time.Time // when it was last handed up
}

// noLeader: the leader of a partition must be looked up.
const noLeader = int32(-1)

// NewFetcher prepares a fetcher. Nothing is dialled before the first call.
func NewFetcher(cfg Config) (*Fetcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client, err := cfg.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Fetcher{
		cfg:          cfg,
		client:       client,
		adm:          kadm.NewClient(client),
		decompressor: kgo.DefaultDecompressor(),
		ctx:          ctx,
		cancel:       cancel,
		partitions:   map[connectors.PartitionID]*partition{},
		busy:         map[int32]bool{},
		answers:      make(chan answer),
	}, nil
}

// Close ends requests in flight and waits for them.
func (f *Fetcher) Close() {
	f.closing.Lock()
	f.cancel()
	f.closing.Unlock()
	f.pending.Wait()
	f.client.Close()
}

// Describe looks topics up; a missing one is left out.
func (f *Fetcher) Describe(ctx context.Context, topics []string) ([]connectors.TopicInfo, error) {
	return describe(ctx, f.adm, topics)
}

// Assign starts (or restarts) a partition at an offset. Answers to requests
// from before are dropped.
func (f *Fetcher) Assign(id connectors.PartitionID, offset int64) {
	f.Remove(id)
	topicID, ok := parseTopicID(id.TopicID)
	if !ok {
		f.ready = append(f.ready, connectors.Fetch{
			Partition: id, From: offset, Position: offset,
			Err: fmt.Errorf("topic id %q is not 32 hex digits: %w", id.TopicID, connectors.ErrTopicChanged),
		})
		return
	}
	f.generation++
	p := &partition{id: id, topicID: topicID, position: offset, generation: f.generation, leader: noLeader}
	f.partitions[id] = p
	f.order = append(f.order, p)
	f.nextAt = time.Time{}
}

// Remove stops a partition.
func (f *Fetcher) Remove(id connectors.PartitionID) {
	p := f.partitions[id]
	if p == nil {
		return
	}
	delete(f.partitions, id)
	for i := range f.order {
		if f.order[i] == p {
			f.order = append(f.order[:i], f.order[i+1:]...)
			break
		}
	}
}

// Pause stops fetching a partition. What is in flight is dropped and read again.
func (f *Fetcher) Pause(id connectors.PartitionID) {
	if p := f.partitions[id]; p != nil && !p.paused {
		p.paused = true
		f.generation++
		p.generation = f.generation
	}
}

// Resume goes on where Pause stopped.
func (f *Fetcher) Resume(id connectors.PartitionID) {
	if p := f.partitions[id]; p != nil {
		p.paused = false
	}
}

// Poll waits for records, for a partition to reach its end, or for a fault of
// a partition. It returns ctx's error when ctx ends, and any other error when a
// broker can't be asked; then it may be called again at once: it backs off by
// itself. A partition that was handed up with an error is no longer assigned.
func (f *Fetcher) Poll(ctx context.Context) ([]connectors.Fetch, error) {
	for {
		err := f.lookUpLeaders(ctx)
		if out := f.ready; len(out) > 0 {
			f.ready = nil
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		f.sendRequests()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.ctx.Done():
			return nil, errClosed
		case <-f.untilLookup():
		case a := <-f.answers:
			delete(f.busy, a.broker)
			fetches, err := f.take(ctx, &a)
			// The next request travels while the caller works on this answer.
			f.sendRequests()
			if err != nil || len(fetches) > 0 {
				return fetches, err
			}
		}
	}
}

// untilLookup fires when leaders may be looked up again, if any is unknown.
func (f *Fetcher) untilLookup() <-chan time.Time {
	for _, p := range f.order {
		if p.leader == noLeader {
			return time.After(time.Until(f.nextAt))
		}
	}
	return nil
}

// ReadOne reads a single record again.
func (f *Fetcher) ReadOne(ctx context.Context, id connectors.PartitionID, offset int64) (connectors.RawRecord, error) {
	fail := func(err error) (connectors.RawRecord, error) {
		return connectors.RawRecord{}, fmt.Errorf("read %s partition %d offset %d: %w", id.Topic, id.Partition, offset, err)
	}
	topicID, ok := parseTopicID(id.TopicID)
	if !ok {
		return fail(connectors.ErrTopicChanged)
	}
	details, err := f.adm.ListTopics(ctx, id.Topic)
	if err != nil {
		return fail(err)
	}
	detail := details[id.Topic]
	if detail.Err != nil {
		return fail(detail.Err)
	}
	if [16]byte(detail.ID) != topicID {
		return fail(connectors.ErrTopicChanged)
	}
	p := &partition{id: id, topicID: topicID, position: offset, leader: detail.Partitions[id.Partition].Leader}
	fetch, err := f.fetchOnce(ctx, p)
	if err != nil {
		return fail(err)
	}
	if len(fetch.Records) == 0 || fetch.Records[0].Offset != offset || fetch.Records[0].Control {
		// Compacted away, aborted, or never a record.
		return fail(connectors.ErrOutOfRange)
	}
	return fetch.Records[0], nil
}

// CommitOffsets tells the consumer group how far we are.
func (f *Fetcher) CommitOffsets(ctx context.Context, next map[connectors.PartitionID]int64) error {
	if len(next) == 0 {
		return nil
	}
	var offsets kadm.Offsets
	for id, offset := range next {
		offsets.AddOffset(id.Topic, id.Partition, offset, -1)
	}
	if err := f.adm.CommitAllOffsets(ctx, f.cfg.Group, offsets); err != nil {
		return fmt.Errorf("commit offsets of group %s: %w", f.cfg.Group, err)
	}
	return nil
}
