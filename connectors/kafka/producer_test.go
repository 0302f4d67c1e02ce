package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

func TestProducerChoosesPartitions(t *testing.T) { eachBroker(t, testProducerChoosesPartitions) }

func testProducerChoosesPartitions(t *testing.T, b *testBroker) {
	ids := b.topic("in", 3)
	p, err := NewProducer(b.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	send := func(key, value string, partition int32) {
		if err := p.Produce(ctx, connectors.OutRecord{Topic: ids[0].Topic, Key: []byte(key), Value: []byte(value)}, partition); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		send("mark", "mark", id.Partition)
	}
	send("order-1", "first", AnyPartition)
	send("order-1", "second", AnyPartition)
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var together int
	for _, id := range ids {
		values, _ := b.readAll(id, 0)
		if !slices.Contains(values, "mark") {
			t.Errorf("partition %d = %q; want the mark addressed to it", id.Partition, values)
		}
		if i := slices.Index(values, "first"); i >= 0 && i+1 < len(values) && values[i+1] == "second" {
			together++
		}
	}
	if together != 1 {
		t.Error("records of one key are not in one partition, in order")
	}
}

// A record that can't be written is never lost in silence.
func TestProducerFails(t *testing.T) { eachBroker(t, testProducerFails) }

func testProducerFails(t *testing.T, b *testBroker) {
	ids := b.topic("in", 1)
	p, err := NewProducer(b.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = p.Produce(ctx, connectors.OutRecord{Topic: ids[0].Topic, Value: []byte("x")}, 7)
	if err = errors.Join(err, p.Flush(ctx)); err == nil {
		t.Fatal("a record to a partition that is not there was taken")
	}
	if err := p.Flush(ctx); err == nil {
		t.Error("the failure is forgotten by the next Flush")
	}
}
