package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/operators/event"
)

// typeReleased is the record that takes an allocation back; the others of the
// topic are decisions.
const typeReleased = "allocation.released"

// decision is an allocation record as it comes from the topic.
type decision struct {
	Type, ID, Order, Because, Reason string
	Time                             time.Time
	Attempt                          int64
	Lines                            []event.DecidedLine
}

// decisionReader reads decisions from the topic, read committed, as any
// consumer would.
type decisionReader struct {
	fetcher *kafka.Fetcher
	topic   string
}

func newDecisionReader(brokers []string, topic string) (*decisionReader, error) {
	f, err := kafka.NewFetcher(kafka.Config{Brokers: brokers})
	if err != nil {
		return nil, err
	}
	return &decisionReader{fetcher: f, topic: topic}, nil
}

func (r *decisionReader) close() error {
	r.fetcher.Close()
	return nil
}

// seekEnd goes behind what is in the topic now.
func (r *decisionReader) seekEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	infos, err := r.fetcher.Describe(ctx, []string{r.topic})
	if err == nil && len(infos) == 0 {
		err = kafka.ErrMissing
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", r.topic, err)
	}
	waiting := map[connectors.PartitionID]bool{}
	for p, start := range infos[0].Starts {
		id := connectors.PartitionID{Topic: r.topic, TopicID: infos[0].TopicID, Partition: int32(p)}
		r.fetcher.Assign(id, start)
		waiting[id] = true
	}
	for len(waiting) > 0 {
		fetches, err := r.fetcher.Poll(ctx)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.topic, err)
		}
		for _, f := range fetches {
			if f.Err != nil {
				return fmt.Errorf("read %s/%d: %w", r.topic, f.Partition.Partition, f.Err)
			}
			if waiting[f.Partition] {
				delete(waiting, f.Partition)
				r.fetcher.Assign(f.Partition, f.Stable)
			}
		}
	}
	return nil
}

// readAgain is how long the reader waits when Kafka is away.
const readAgain = 500 * time.Millisecond

// run hands out decisions until ctx ends. While Kafka is away it waits.
func (r *decisionReader) run(ctx context.Context, fn func(d *decision)) error {
	for ctx.Err() == nil {
		fetches, err := r.fetcher.Poll(ctx)
		if err != nil {
			// The node says once that Kafka is away, and reads again as well.
			select {
			case <-ctx.Done():
			case <-time.After(readAgain):
			}
			continue
		}
		for _, f := range fetches {
			if f.Err != nil {
				return fmt.Errorf("read %s/%d: %w", r.topic, f.Partition.Partition, f.Err)
			}
			if err := r.decode(f.Records, fn); err != nil {
				return fmt.Errorf("read %s/%d: %w", r.topic, f.Partition.Partition, err)
			}
		}
	}
	return nil
}

func (r *decisionReader) decode(records []connectors.RawRecord, fn func(d *decision)) error {
	var faults []error
	for i := range records {
		if records[i].Control || records[i].Value == nil {
			continue
		}
		var d decision
		if err := json.Unmarshal(records[i].Value, &d); err != nil {
			faults = append(faults, fmt.Errorf("offset %d: %w", records[i].Offset, err))
			continue
		}
		fn(&d)
	}
	return errors.Join(faults...)
}
