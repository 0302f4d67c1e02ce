package main

import (
	"context"
	"errors"
	"time"

	"anabranch.dev/cmd/anabranch/internal/sample"
	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/node"
	"anabranch.dev/operators"
)

// trade prepares the screen and the sample shop.
func (d *dev) trade() (parts []activity, err error) {
	screen := newScreen(d.out, d.flags.quiet)
	decided := screen.show
	if !d.flags.noSample && d.flags.clock == node.ClockWall {
		producer, err := kafka.NewProducer(kafka.Config{Brokers: d.brokers})
		if err != nil {
			return nil, err
		}
		d.onClose(func() error { producer.Close(); return nil })
		shop, err := sample.New(sampleSender(producer, d.node.Topics), d.stockKnown, d.dir.Sample())
		if err != nil {
			return nil, err
		}
		decided = func(e *decision) {
			screen.show(e)
			if e.Type == typeReleased {
				shop.Released(e.Order)
			} else {
				shop.Decided(e.Order, e.Attempt, e.Lines)
			}
		}
		parts = append(parts, shop.Run)
	}
	return append(parts, func(ctx context.Context) error { return d.decisions.run(ctx, decided) }), nil
}

// stockKnown waits until the node knows stock of an SKU.
func (d *dev) stockKnown(ctx context.Context, sku string) error {
	question := d.node.Plan.Query("inventory", "stock").NewQuestion
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		_, _, err := d.node.Ask(ctx, "inventory", "stock", sku, question(), connectors.Linearizable)
		if err == nil || !errors.Is(err, connectors.ErrNotFound) && !errors.Is(err, connectors.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// sampleSender produces the shop's events as JSON.
func sampleSender(p *kafka.Producer, topics map[string]string) sample.Send {
	return func(ctx context.Context, topic, key string, e *operators.Event) error {
		value, err := wire.MarshalEvent(e)
		if err != nil {
			return err
		}
		return p.Produce(ctx, connectors.OutRecord{Topic: topics[topic], Key: []byte(key), Value: value}, kafka.AnyPartition)
	}
}
