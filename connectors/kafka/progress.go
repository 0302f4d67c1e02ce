package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// ProgressTopic is the name of the compacted topic that says how far each
// shard's outbox has been written, one partition per group. Each transaction
// writes it together with the records it counts.
func ProgressTopic(cluster string) string { return "anabranch." + cluster + ".progress" }

func (s *Sink) progressTopic() string { return ProgressTopic(s.cfg.Cluster) }

// progressRecord has the key "incarnation/shard" and the outbox number as its
// value, both as text. Outboxes count from 1 again in a new incarnation, hence
// the key.
func (s *Sink) progressRecord(shard uint16, number uint64) *kgo.Record {
	return &kgo.Record{
		Topic:     s.progressTopic(),
		Partition: s.group,
		Key:       fmt.Appendf(nil, "%d/%d", s.cfg.Incarnation, shard),
		Value:     strconv.AppendUint(nil, number, 10),
	}
}

// parseProgress is the inverse of progressRecord.
func parseProgress(key, value []byte) (incarnation uint64, shard uint16, number uint64, err error) {
	before, after, ok := strings.Cut(string(key), "/")
	if !ok {
		return 0, 0, 0, fmt.Errorf("progress key %q", key)
	}
	if incarnation, err = strconv.ParseUint(before, 10, 64); err != nil {
		return 0, 0, 0, fmt.Errorf("progress key %q: %w", key, err)
	}
	n, err := strconv.ParseUint(after, 10, 16)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("progress key %q: %w", key, err)
	}
	if number, err = strconv.ParseUint(string(value), 10, 64); err != nil {
		return 0, 0, 0, fmt.Errorf("progress value %q: %w", value, err)
	}
	return incarnation, uint16(n), number, nil
}

// readProgress reads what transactions of this incarnation have committed, from
// an offset on. It comes after all slots are initialised, so no transaction of
// ours is open any more.
func (s *Sink) readProgress(ctx context.Context, from int64) (connectors.Progress, error) {
	progress := connectors.Progress{Through: map[uint16]uint64{}, Offset: from}
	fetcher, err := NewFetcher(s.cfg)
	if err != nil {
		return progress, err
	}
	defer fetcher.Close()
	id, start, end, err := s.progressBounds(ctx, fetcher)
	if err != nil {
		return progress, err
	}
	if from > end {
		return progress, fmt.Errorf("%s partition %d ends at %d, but progress was acknowledged up to %d; was it re-created? %w",
			id.Topic, id.Partition, end, from, connectors.ErrPermanent)
	}
	progress.Offset = max(from, start) // a compacted topic loses only what was replaced
	fetcher.Assign(id, progress.Offset)
	for progress.Offset < end {
		fetches, err := fetcher.Poll(ctx)
		if err != nil {
			return progress, err
		}
		for _, f := range fetches {
			if f.Err != nil {
				return progress, f.Err
			}
			if err := s.gather(&progress, f.Records); err != nil {
				return progress, fmt.Errorf("%s partition %d: %w: %w", id.Topic, id.Partition, err, connectors.ErrPermanent)
			}
			progress.Offset = f.Position
		}
	}
	return progress, nil
}

func (s *Sink) gather(progress *connectors.Progress, records []connectors.RawRecord) error {
	for i := range records {
		r := &records[i]
		if r.Control {
			continue
		}
		incarnation, shard, number, err := parseProgress(r.Key, r.Value)
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		if incarnation > s.cfg.Incarnation {
			return fmt.Errorf("offset %d: incarnation %d of cluster %s writes already, this one is %d and is over", r.Offset, incarnation, s.cfg.Cluster, s.cfg.Incarnation)
		}
		if incarnation == s.cfg.Incarnation {
			progress.Through[shard] = max(progress.Through[shard], number)
		}
	}
	return nil
}

// progressBounds creates or checks the progress topic and waits until nothing
// in our partition is undecided: behind an open transaction, committed progress
// would be invisible.
func (s *Sink) progressBounds(ctx context.Context, f *Fetcher) (id connectors.PartitionID, start, end int64, err error) {
	topic := s.progressTopic()
	wanted := &Topic{Name: topic, Partitions: s.groups, Compacted: true}
	err = check(ctx, f.adm, wanted)
	if errors.Is(err, ErrMissing) || errors.Is(err, kerr.UnknownTopicOrPartition) { // else no right to make topics is needed
		err = ensure(ctx, f.adm, wanted)
	}
	if err != nil {
		return id, 0, 0, fmt.Errorf("topic %s: %w", topic, mapRefusal(err))
	}
	infos, err := f.Describe(ctx, []string{topic})
	if err != nil {
		return id, 0, 0, err
	}
	if len(infos) == 0 {
		return id, 0, 0, fmt.Errorf("topic %s: %w", topic, ErrMissing)
	}
	id = connectors.PartitionID{Topic: topic, TopicID: infos[0].TopicID, Partition: s.group}
	start = infos[0].Starts[s.group]
	for tries := 1; ; tries++ {
		stable, last, err := ends(ctx, f.adm, id)
		if err != nil {
			return id, 0, 0, err
		}
		if stable == last {
			return id, start, stable, nil
		}
		select {
		case <-ctx.Done():
			return id, 0, 0, fmt.Errorf("a transaction of another producer is open on %s partition %d: %w", topic, s.group, ctx.Err())
		case <-time.After(backoff(tries)):
		}
	}
}

// ends returns the last stable offset of a partition and its end.
func ends(ctx context.Context, adm *kadm.Client, id connectors.PartitionID) (stable, last int64, err error) {
	committed, err := adm.ListCommittedOffsets(ctx, id.Topic)
	if err != nil {
		return 0, 0, fmt.Errorf("list stable offsets of %s: %w", id.Topic, err)
	}
	all, err := adm.ListEndOffsets(ctx, id.Topic)
	if err != nil {
		return 0, 0, fmt.Errorf("list end offsets of %s: %w", id.Topic, err)
	}
	c, ok1 := committed.Lookup(id.Topic, id.Partition)
	e, ok2 := all.Lookup(id.Topic, id.Partition)
	switch {
	case !ok1 || !ok2:
		return 0, 0, fmt.Errorf("%s has no partition %d", id.Topic, id.Partition)
	case c.Err != nil:
		return 0, 0, fmt.Errorf("stable offset of %s partition %d: %w", id.Topic, id.Partition, c.Err)
	case e.Err != nil:
		return 0, 0, fmt.Errorf("end offset of %s partition %d: %w", id.Topic, id.Partition, e.Err)
	}
	return c.Offset, e.Offset, nil
}
