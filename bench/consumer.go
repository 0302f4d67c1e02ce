package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/topology/retail"
)

// seenDecision is a record of the decision topic as a consumer has it.
type seenDecision struct {
	key   string
	value []byte
	at    time.Time
}

// consumer reads the decision topic, read_committed, from its beginning.
type consumer struct {
	fetcher *kafka.Fetcher
	cancel  context.CancelFunc
	done    chan error
}

// consume hands every decision to fn, on a goroutine of its own, until stop or
// until ctx ends.
func (t *topics) consume(ctx context.Context, fn func(d *seenDecision)) (*consumer, error) {
	fetcher, _, err := t.fetchDecisions(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &consumer{fetcher: fetcher, cancel: cancel, done: make(chan error, 1)}
	go func() {
		for ctx.Err() == nil {
			fetches, err := fetcher.Poll(ctx)
			now := time.Now()
			if err != nil {
				continue // the broker is away for a moment, or we are done
			}
			for i := range fetches {
				if err := eachDecision(&fetches[i], now, fn); err != nil {
					c.done <- err
					return
				}
			}
		}
		c.done <- nil
	}()
	return c, nil
}

// stop ends reading.
func (c *consumer) stop() error {
	c.cancel()
	defer c.fetcher.Close()
	return <-c.done
}

func eachDecision(f *connectors.Fetch, now time.Time, fn func(d *seenDecision)) error {
	if f.Err != nil {
		return fmt.Errorf("read %s/%d: %w", f.Partition.Topic, f.Partition.Partition, f.Err)
	}
	for i := range f.Records {
		if r := &f.Records[i]; !r.Control && r.Value != nil {
			fn(&seenDecision{key: string(r.Key), value: r.Value, at: now})
		}
	}
	return nil
}

// fetchDecisions begins to read all partitions of the decision topic.
func (t *topics) fetchDecisions(ctx context.Context) (*kafka.Fetcher, int32, error) {
	fetcher, info, err := t.describe(ctx, retail.TopicAllocations)
	if err != nil {
		return nil, 0, err
	}
	for p, start := range info.Starts {
		fetcher.Assign(connectors.PartitionID{Topic: info.Name, TopicID: info.TopicID, Partition: int32(p)}, start)
	}
	return fetcher, info.Partitions, nil
}

// describe opens a fetcher, and says what there is of a topic.
func (t *topics) describe(ctx context.Context, alias string) (fetcher *kafka.Fetcher, info connectors.TopicInfo, err error) {
	if fetcher, err = kafka.NewFetcher(t.connection()); err != nil {
		return nil, info, err
	}
	topic := t.names[alias]
	infos, err := fetcher.Describe(ctx, []string{topic})
	if err == nil && len(infos) == 0 {
		err = kafka.ErrMissing
	}
	if err != nil {
		fetcher.Close()
		return nil, info, fmt.Errorf("read %s: %w", topic, err)
	}
	return fetcher, infos[0], nil
}

// scan reads the whole decision topic once more and checks it: every order up to
// orders has a decision, and the decisions of each order are numbered from 1
// without a gap, in order.
func (t *topics) scan(ctx context.Context, orders int, tamper func(order int) int) (Checks, error) {
	return t.scanFor(ctx, orders, func(int) uint64 { return 1 }, tamper)
}

// scanFor scans for at least so many decisions of each order.
func (t *topics) scanFor(ctx context.Context, orders int, least func(order int) uint64, tamper func(order int) int) (Checks, error) {
	s := newScanner(orders, least, tamper)
	fetcher, partitions, err := t.fetchDecisions(ctx)
	if err != nil {
		return s.checks, err
	}
	defer fetcher.Close()
	for ended := map[int32]bool{}; len(ended) < int(partitions); {
		fetches, err := fetcher.Poll(ctx)
		if err != nil {
			return s.checks, err
		}
		for i := range fetches {
			f := &fetches[i]
			if err := eachDecision(f, time.Time{}, s.add); err != nil {
				return s.checks, err
			}
			if f.Position >= f.Stable {
				ended[f.Partition.Partition] = true
			}
		}
	}
	return s.finish()
}

// scanner is a scan while it lasts.
type scanner struct {
	seen   []uint64 // of each order: bit n-1 is number n
	least  func(order int) uint64
	tamper func(order int) int
	checks Checks
	bad    error
}

func newScanner(orders int, least func(order int) uint64, tamper func(order int) int) *scanner {
	return &scanner{seen: make([]uint64, orders), least: least, tamper: tamper}
}

func (s *scanner) add(d *seenDecision) {
	var body struct {
		Number int `json:"number"`
	}
	n, ok := orderNumber(d.key)
	if err := json.Unmarshal(d.value, &body); err != nil || !ok || n >= len(s.seen) || body.Number < 1 || body.Number > 64 {
		s.bad = fmt.Errorf("decision of %q is not one of ours: %s (%w)", d.key, d.value, err)
		return
	}
	for range s.tamper(n) {
		bit := uint64(1) << (body.Number - 1)
		switch seen := s.seen[n]; {
		case seen&bit != 0:
			s.checks.Doubled++
		case bit < seen:
			s.checks.Misplaced++
		}
		s.seen[n] |= bit
	}
}

// finish counts what is missing: below the highest number of an order, or of the
// least that it must have.
func (s *scanner) finish() (Checks, error) {
	for n, seen := range s.seen {
		s.checks.Lost += int64(max(bits.Len64(seen), int(s.least(n))) - bits.OnesCount64(seen))
	}
	return s.checks, s.bad
}
