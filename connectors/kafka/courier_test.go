package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"anabranch.dev/connectors"
)

// perSend is how many records a courier puts into a transaction.
const perSend = 3

// A courier delivers an outbox of numbered records as the driver does: in
// order, and after any error it opens anew and goes on behind the progress read
// back. Record n has the key n, so that they go to all partitions.
type courier struct {
	b        *testBroker
	sink     *Sink
	out      []connectors.PartitionID
	opened   bool
	attempt  int
	done     uint64 // records known to be in Kafka
	offset   int64  // of the last acknowledgement entry
	outcomes map[string]int
}

func (b *testBroker) courier(cfg Config, partitions int32) *courier {
	return &courier{b: b, sink: b.sink(cfg), out: b.topic("out", partitions), outcomes: map[string]int{}}
}

// open opens the sink if the last send failed, as often as it takes.
func (c *courier) open() {
	c.b.tb.Helper()
	for !c.opened {
		p, err := c.sink.Open(c.b.ctx, c.offset)
		switch {
		case err == nil:
			c.opened = true
			if p.Through[7] > 0 {
				c.done = p.Through[7]
			}
		case c.b.ctx.Err() != nil || errors.Is(err, connectors.ErrPermanent):
			c.b.tb.Fatalf("Open(%d) after %d records: %v", c.offset, c.done, err)
		default:
			c.outcomes["open"]++
		}
	}
}

// send sends the next records once.
func (c *courier) send() {
	c.b.tb.Helper()
	records := make([]connectors.OutRecord, perSend)
	for i := range records {
		text := strconv.AppendUint(nil, c.done+uint64(i), 10)
		records[i] = connectors.OutRecord{Topic: c.out[0].Topic, Key: text, Value: text}
	}
	c.attempt++
	next, err := c.sink.Send(c.b.ctx, c.attempt, records, map[uint16]uint64{7: c.done + perSend})
	switch {
	case err == nil:
		c.done += perSend
		if c.attempt%2 == 0 { // an acknowledgement entry may lag behind
			c.offset = next
		}
		return
	case c.b.ctx.Err() != nil || errors.Is(err, connectors.ErrPermanent):
		c.b.tb.Fatalf("Send after %d records: %v", c.done, err)
	case errors.Is(err, connectors.ErrMaybe):
		c.outcomes["maybe"]++
	case errors.Is(err, connectors.ErrFenced):
		c.outcomes["fenced"]++
	default:
		c.outcomes["again"]++
	}
	c.opened = false
}

// check reads everything and wants each record once, in order.
func (c *courier) check() {
	c.b.tb.Helper()
	c.open() // what is undecided gets decided
	var got []uint64
	for _, id := range c.out {
		values, _ := c.b.readAll(id, 0)
		numbers := make([]uint64, len(values))
		for i, v := range values {
			numbers[i], _ = strconv.ParseUint(v, 10, 64)
		}
		if !slices.IsSorted(numbers) {
			c.b.tb.Errorf("records of partition %d are out of order: %v", id.Partition, numbers)
		}
		got = append(got, numbers...)
	}
	slices.Sort(got)
	if err := eachOnce(got, c.done); err != nil {
		c.b.tb.Errorf("records of %d: %v", c.done, err)
	}
}

// eachOnce says what is lost or doubled of sorted numbers below n.
func eachOnce(sorted []uint64, n uint64) error {
	var lost, doubled []uint64
	seen := map[uint64]bool{}
	for _, v := range sorted {
		if seen[v] {
			doubled = append(doubled, v)
		}
		seen[v] = true
	}
	for v := range n {
		if !seen[v] {
			lost = append(lost, v)
		}
		delete(seen, v)
	}
	if len(lost)+len(doubled)+len(seen) > 0 {
		return fmt.Errorf("lost %v, doubled %v, not sent %v", lost, doubled, seen)
	}
	return nil
}

// A witness reads partitions all the time, through everything that happens to
// the brokers.
type witness struct {
	cancel context.CancelFunc
	done   chan struct{}
	more   chan struct{} // told when count has grown
	count  atomic.Int64  // records seen

	numbers map[int32][]uint64 // by partition; after done
	polls   int                // that failed
	err     error
}

// watch starts reading from the beginning.
func (b *testBroker) watch(ids []connectors.PartitionID) *witness {
	f := b.fetcher()
	for _, id := range ids {
		f.Assign(id, 0)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	w := &witness{cancel: cancel, done: make(chan struct{}), more: make(chan struct{}, 1), numbers: map[int32][]uint64{}}
	b.tb.Cleanup(w.stop)
	go func() {
		defer close(w.done)
		at := map[int32]int64{}
		for ctx.Err() == nil {
			fetches, err := f.Poll(ctx)
			if err != nil {
				w.polls++ // a broker is away; it backs off by itself
			}
			for _, fetch := range fetches {
				p := fetch.Partition.Partition
				if fetch.Err != nil || fetch.From != at[p] {
					w.err = errors.Join(w.err, fmt.Errorf("partition %d from %d, expected %d: %w", p, fetch.From, at[p], fetch.Err))
				}
				at[p] = fetch.Position
				w.note(p, fetch.Records)
			}
		}
	}()
	return w
}

func (w *witness) note(p int32, records []connectors.RawRecord) {
	for _, r := range records {
		if r.Control {
			continue
		}
		n, err := strconv.ParseUint(string(r.Value), 10, 64)
		w.err = errors.Join(w.err, err)
		w.numbers[p] = append(w.numbers[p], n)
		w.count.Add(1)
	}
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// stop ends the reading and waits for that.
func (w *witness) stop() {
	w.cancel()
	<-w.done
}
