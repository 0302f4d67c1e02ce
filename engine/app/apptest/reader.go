package apptest

import (
	"context"
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
)

// reader reads an output topic from its beginning, read committed.
type reader struct {
	fetcher *kafka.Fetcher
	values  []string // fetched, not handed out
}

func openReader(ctx context.Context, brokers []string, topic string) (*reader, error) {
	f, err := kafka.NewFetcher(kafka.Config{Brokers: brokers})
	if err != nil {
		return nil, err
	}
	infos, err := f.Describe(ctx, []string{topic})
	if err == nil && len(infos) == 0 {
		err = kafka.ErrMissing
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	for p, start := range infos[0].Starts {
		f.Assign(connectors.PartitionID{Topic: topic, TopicID: infos[0].TopicID, Partition: int32(p)}, start)
	}
	return &reader{fetcher: f}, nil
}

func (r *reader) close() { r.fetcher.Close() }

func (r *reader) next(ctx context.Context) (string, error) {
	for len(r.values) == 0 {
		fetches, err := r.fetcher.Poll(ctx)
		if err != nil {
			return "", err
		}
		for _, f := range fetches {
			if f.Err != nil {
				return "", f.Err
			}
			for _, record := range f.Records {
				if !record.Control && record.Value != nil {
					r.values = append(r.values, string(record.Value))
				}
			}
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	value := r.values[0]
	r.values = r.values[1:]
	return value, nil
}
