package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"anabranch.dev/connectors"
)

// lookupTimeout bounds a lookup, during which other partitions wait.
const lookupTimeout = 2 * time.Second

// forgetLeader has a partition's leader looked up before it is fetched again,
// and not before a while.
func (f *Fetcher) forgetLeader(p *partition, atLeast time.Duration) {
	if p.leader == noLeader {
		return
	}
	p.leader = noLeader
	if at := time.Now().Add(max(atLeast, backoff(f.lookups))); f.nextAt.Before(at) {
		f.nextAt = at
	}
}

// lookUpLeaders finds the leaders of partitions that have none, and those whose
// topic was re-created, unless it is too early to ask again.
func (f *Fetcher) lookUpLeaders(ctx context.Context) error {
	seen := map[string]bool{}
	var topics []string
	for _, p := range f.order {
		if p.leader == noLeader && !seen[p.id.Topic] {
			seen[p.id.Topic] = true
			topics = append(topics, p.id.Topic)
		}
	}
	if len(topics) == 0 || time.Now().Before(f.nextAt) {
		return nil
	}
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	details, err := f.adm.ListTopics(lookup, topics...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("look up topics: %w", err)
	} else {
		err = f.setLeaders(details)
	}
	if err != nil {
		f.lookups++
		f.nextAt = time.Now().Add(backoff(f.lookups))
		return err
	}
	f.lookups = 0
	return nil
}

// setLeaders returns an error if a leader is still unknown.
func (f *Fetcher) setLeaders(details kadm.TopicDetails) error {
	var faults []error
	for _, p := range slices.Clone(f.order) {
		if p.leader != noLeader {
			continue
		}
		d, ok := details[p.id.Topic]
		part, known := d.Partitions[p.id.Partition]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			faults = append(faults, fmt.Errorf("topic %s: %w", p.id.Topic, ErrMissing))
		case d.Err != nil:
			faults = append(faults, fmt.Errorf("topic %s: %w", p.id.Topic, d.Err))
		case [16]byte(d.ID) != p.topicID:
			f.Remove(p.id)
			f.ready = append(f.ready, connectors.Fetch{
				Partition: p.id, From: p.position, Position: p.position, Stable: p.stable,
				Err: fmt.Errorf("topic %s has id %s now: %w", p.id.Topic, topicIDText(d.ID), connectors.ErrTopicChanged),
			})
		case !known:
			faults = append(faults, fmt.Errorf("topic %s has no partition %d", p.id.Topic, p.id.Partition))
		case part.Leader < 0:
			faults = append(faults, fmt.Errorf("topic %s partition %d has no leader", p.id.Topic, p.id.Partition))
		default:
			p.leader = part.Leader
		}
	}
	return errors.Join(faults...)
}

// outOfRange asks for the bounds of a partition whose position is outside them,
// and hands it up as a fault: where to go on is not ours to decide.
func (f *Fetcher) outOfRange(ctx context.Context, p *partition) (connectors.Fetch, bool, error) {
	fetch := connectors.Fetch{Partition: p.id, From: p.position, Position: p.position}
	starts, err := f.adm.ListStartOffsets(ctx, p.id.Topic)
	if err != nil {
		return fetch, false, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := f.adm.ListCommittedOffsets(ctx, p.id.Topic)
	if err != nil {
		return fetch, false, fmt.Errorf("list stable offsets: %w", err)
	}
	start, ok1 := starts.Lookup(p.id.Topic, p.id.Partition)
	end, ok2 := ends.Lookup(p.id.Topic, p.id.Partition)
	if !ok1 || !ok2 {
		return fetch, false, fmt.Errorf("%s has no partition %d just now", p.id.Topic, p.id.Partition)
	}
	if err := errors.Join(start.Err, end.Err); err != nil {
		return fetch, false, fmt.Errorf("list offsets of %s partition %d: %w", p.id.Topic, p.id.Partition, err)
	}
	f.Remove(p.id)
	fetch.Start, fetch.Stable = start.Offset, end.Offset
	fetch.Err = fmt.Errorf("%s partition %d at %d, it holds [%d, %d): %w",
		p.id.Topic, p.id.Partition, p.position, start.Offset, end.Offset, connectors.ErrOutOfRange)
	return fetch, true, nil
}
