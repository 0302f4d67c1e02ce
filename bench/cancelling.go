package bench

import (
	"context"

	"anabranch.dev/connectors"
	"anabranch.dev/topology/retail"
)

// cancelEach is which part of the decided orders is cancelled.
const cancelEach = 10

// cancelling cancels orders that have their decision, so that their keys have a
// second record, which comes after the first.
type cancelling struct {
	orders    chan int
	end       context.CancelFunc
	done      chan error
	cancelled map[int]bool // read after done
}

func (r *moveRun) startCancelling(ctx context.Context) *cancelling {
	working, end := context.WithCancel(ctx)
	c := &cancelling{orders: make(chan int, 1<<12), end: end, done: make(chan error, 1), cancelled: map[int]bool{}}
	go func() {
		for {
			select {
			case <-working.Done():
				c.done <- nil
				return
			case n := <-c.orders:
				record := connectors.OutRecord{Topic: r.topics.names[retail.TopicSales], Key: []byte(orderID(n)), Value: r.stream.shop.cancellation(n)}
				if err := r.producer.Produce(ctx, record, int32(n)%r.cfg.Partitions); err != nil {
					c.done <- err
					return
				}
				c.cancelled[n] = true
			}
		}
	}()
	return c
}

// decided has an order cancelled if it is one of those; when too many wait it
// stays as it is.
func (c *cancelling) decided(n int) {
	if n%cancelEach != 0 {
		return
	}
	select {
	case c.orders <- n:
	default:
	}
}

// stop ends cancelling.
func (c *cancelling) stop() error {
	c.end()
	return <-c.done
}

// records is how many the topic has of an order.
func (c *cancelling) records(n int) uint64 {
	if c.cancelled[n] {
		return 2
	}
	return 1
}
