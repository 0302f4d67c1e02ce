package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askEvery is how often a starting broker is asked.
const askEvery = 50 * time.Millisecond

// awaitReady waits until a broker knows itself, so many brokers in all, and a
// controller.
func (c *Cluster) awaitReady(ctx context.Context, b *broker, brokers int) error {
	return b.await(ctx, func(m *kmsg.MetadataResponse) error {
		if len(m.Brokers) < brokers || m.ControllerID < 0 {
			return fmt.Errorf("it knows %d brokers of %d and controller %d", len(m.Brokers), brokers, m.ControllerID)
		}
		if !slices.ContainsFunc(m.Brokers, func(k kmsg.MetadataResponseBroker) bool { return int(k.NodeID) == b.id }) {
			return errors.New("it is not a member yet")
		}
		return nil
	})
}

// awaitInSync waits until a broker is in sync for every partition it keeps, and
// each of them has a leader.
func (c *Cluster) awaitInSync(ctx context.Context, b *broker) error {
	return b.await(ctx, func(m *kmsg.MetadataResponse) error {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				kept := slices.Contains(p.Replicas, int32(b.id))
				if p.Leader < 0 || kept && !slices.Contains(p.ISR, int32(b.id)) {
					return fmt.Errorf("%s partition %d has leader %d and in-sync replicas %v of %v", *t.Topic, p.Partition, p.Leader, p.ISR, p.Replicas)
				}
			}
		}
		return nil
	})
}

// await asks a broker for its metadata until ok finds nothing missing in them.
func (b *broker) await(ctx context.Context, ok func(*kmsg.MetadataResponse) error) error {
	p := b.running()
	if p == nil {
		return fmt.Errorf("broker %d is not running", b.id)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address(b.ports[Plain])), kgo.DialTimeout(time.Second), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		missing := ask(ctx, client, ok)
		if missing == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-p.done:
			return b.fate()
		case <-ctx.Done():
			return fmt.Errorf("broker %d: %w: %w\n%s", b.id, ctx.Err(), missing, b.tail(30))
		}
	}
}

func ask(ctx context.Context, client *kgo.Client, ok func(*kmsg.MetadataResponse) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// The broker itself, not one that it names: it speaks for itself alone.
	resp, err := client.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return err
	}
	return ok(resp.(*kmsg.MetadataResponse))
}
