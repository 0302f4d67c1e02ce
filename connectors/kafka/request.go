package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"anabranch.dev/connectors"
	"anabranch.dev/state"
)

// An answer is what came back for one fetch request, or why nothing did.
type answer struct {
	broker int32
	asked  []asked
	resp   *kmsg.FetchResponse
	err    error
}

// asked is one partition of a request as it was when the request was built.
type asked struct {
	p          *partition
	generation uint64
}

// sendRequests asks every broker that has no request in flight for all the
// partitions it leads.
func (f *Fetcher) sendRequests() {
	f.closing.Lock()
	defer f.closing.Unlock()
	if len(f.order) == 0 || f.ctx.Err() != nil {
		return
	}
	byLeader := map[int32][]*partition{}
	// A broker fills its answer in the order of the request: start at another
	// partition each time, so that none starves.
	f.turn = (f.turn + 1) % len(f.order)
	for i := range f.order {
		p := f.order[(f.turn+i)%len(f.order)]
		if !p.paused && p.leader != noLeader && !f.busy[p.leader] {
			byLeader[p.leader] = append(byLeader[p.leader], p)
		}
	}
	for broker, ps := range byLeader {
		f.busy[broker] = true
		a := answer{broker: broker}
		for _, p := range ps {
			a.asked = append(a.asked, asked{p, p.generation})
		}
		req := f.request(ps, f.cfg.FetchWait)
		f.pending.Add(1)
		go func() {
			defer f.pending.Done()
			a.resp, a.err = f.do(f.ctx, broker, req)
			select {
			case f.answers <- a:
			case <-f.ctx.Done():
			}
		}()
	}
}

func (f *Fetcher) do(ctx context.Context, broker int32, req *kmsg.FetchRequest) (*kmsg.FetchResponse, error) {
	kresp, err := f.client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("fetch from broker %d: %w", broker, err)
	}
	resp := kresp.(*kmsg.FetchResponse)
	if resp.Version < 13 {
		return nil, fmt.Errorf("fetch from broker %d: it doesn't know topic ids; Kafka 3.1 or newer is needed", broker)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch from broker %d: %w", broker, err)
	}
	return resp, nil
}

// request asks for all of ps in one go, by topic id, without a fetch session.
func (f *Fetcher) request(ps []*partition, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(wait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = f.cfg.FetchBytes
	req.IsolationLevel = 1
	at := map[[16]byte]int{}
	for _, p := range ps {
		i, ok := at[p.topicID]
		if !ok {
			i = len(req.Topics)
			at[p.topicID] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = p.id.Topic, p.topicID
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition = p.id.Partition
		rp.FetchOffset = p.position
		rp.PartitionMaxBytes = f.cfg.FetchBytes
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	return req
}

// take turns an answer into what is handed up.
func (f *Fetcher) take(ctx context.Context, a *answer) ([]connectors.Fetch, error) {
	if a.err != nil {
		// The broker is away or was replaced: look its partitions up again.
		for _, q := range a.asked {
			f.forgetLeader(q.p, 0)
		}
		if f.ctx.Err() != nil {
			return nil, errClosed
		}
		return nil, a.err
	}
	type key struct {
		topic     [16]byte
		partition int32
	}
	parts := map[key]*kmsg.FetchResponseTopicPartition{}
	for i := range a.resp.Topics {
		t := &a.resp.Topics[i]
		for j := range t.Partitions {
			parts[key{t.TopicID, t.Partitions[j].Partition}] = &t.Partitions[j]
		}
	}
	var out []connectors.Fetch
	var faults []error
	for _, q := range a.asked {
		rp := parts[key{q.p.topicID, q.p.id.Partition}]
		if rp == nil || f.partitions[q.p.id] != q.p || q.p.generation != q.generation {
			continue // the broker's answer was full; or paused, removed, assigned anew
		}
		fetch, ok, err := f.takePartition(ctx, q.p, rp)
		if err != nil {
			faults = append(faults, err)
		} else if ok {
			out = append(out, fetch)
		}
	}
	if len(out) > 0 {
		return out, nil // the positions have moved; the fault comes again
	}
	return nil, errors.Join(faults...)
}

// takePartition moves a partition on. It reports false if there is nothing to
// hand up.
func (f *Fetcher) takePartition(ctx context.Context, p *partition, rp *kmsg.FetchResponseTopicPartition) (connectors.Fetch, bool, error) {
	before, wasStable := p.position, p.stable
	fetch, err := f.process(p, rp)
	switch {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		return f.outOfRange(ctx, p)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID),
		errors.Is(err, kerr.UnknownTopicOrPartition), kerr.IsRetriable(err):
		f.forgetLeader(p, 0) // the lookup finds out
		return fetch, false, nil
	default:
		f.forgetLeader(p, time.Second)
		return fetch, false, fmt.Errorf("fetch %s partition %d at %d: %w", p.id.Topic, p.id.Partition, p.position, err)
	}
	p.position, p.stable = fetch.Position, fetch.Stable
	atEnd := p.position >= p.stable
	news := len(fetch.Records) > 0 || p.position != before || atEnd && wasStable != p.stable
	if !news && (!atEnd || time.Since(p.reported) < reportEvery) {
		return fetch, false, nil
	}
	p.reported = time.Now()
	return fetch, true, nil
}

// process decodes what a broker sent for a partition. The position moves over
// everything that was in it, also over what is not handed up: aborted records
// and compaction holes.
func (f *Fetcher) process(p *partition, rp *kmsg.FetchResponseTopicPartition) (connectors.Fetch, error) {
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true,
		Offset:             p.position,
		IsolationLevel:     kgo.ReadCommitted(),
		Topic:              p.id.Topic,
		Partition:          p.id.Partition,
	}, rp, f.decompressor, nil)
	fetch := connectors.Fetch{Partition: p.id, From: p.position, Position: next, Stable: rp.LastStableOffset}
	if got.Err != nil {
		return fetch, got.Err
	}
	if len(got.Records) > 0 {
		fetch.Records = make([]connectors.RawRecord, len(got.Records))
		for i, r := range got.Records {
			fetch.Records[i] = rawRecord(r)
		}
	}
	return fetch, nil
}

func rawRecord(r *kgo.Record) connectors.RawRecord {
	raw := connectors.RawRecord{Offset: r.Offset, Control: r.Attrs.IsControl()}
	if raw.Control {
		return raw
	}
	raw.Key, raw.Value, raw.Time = r.Key, r.Value, state.TimeOf(r.Timestamp)
	if len(r.Headers) > 0 {
		raw.Headers = make([]connectors.Header, len(r.Headers))
		for i, h := range r.Headers {
			raw.Headers[i] = connectors.Header{Key: h.Key, Value: h.Value}
		}
	}
	return raw
}

// fetchOnce reads what is at a partition's position, without waiting.
func (f *Fetcher) fetchOnce(ctx context.Context, p *partition) (connectors.Fetch, error) {
	if p.leader == noLeader {
		return connectors.Fetch{}, kerr.LeaderNotAvailable
	}
	resp, err := f.do(ctx, p.leader, f.request([]*partition{p}, 0))
	if err != nil {
		return connectors.Fetch{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return connectors.Fetch{}, errors.New("the broker's answer lacks the partition")
	}
	fetch, err := f.process(p, &resp.Topics[0].Partitions[0])
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		err = connectors.ErrOutOfRange
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		err = connectors.ErrTopicChanged
	}
	return fetch, err
}
