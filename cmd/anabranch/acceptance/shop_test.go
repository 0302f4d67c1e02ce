package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/topology/retail"
)

// shop writes single events to a system on the wall clock, all of a topic to
// one partition, so that the next offset is known.
type shop struct {
	t        *testing.T
	broker   string
	producer *kafka.Producer
	next     map[string]int64 // by topic alias
}

func newShop(t *testing.T, broker string) *shop {
	t.Helper()
	return &shop{t: t, broker: broker, producer: producer(t, broker), next: map[string]int64{}}
}

// queue queues a record and returns its offset.
func (s *shop) queue(ctx context.Context, topic string, r connectors.OutRecord) (int64, error) {
	r.Topic = retail.DefaultTopics()[topic]
	offset := s.next[topic]
	s.next[topic]++
	return offset, s.producer.Produce(ctx, r, 0)
}

// packed writes a record that only fits because it is compressed.
func (s *shop) packed(ctx context.Context, topic string, r connectors.OutRecord) (int64, error) {
	s.flush()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker), kgo.ProducerBatchMaxBytes(64<<20),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	s.next[topic]++
	out, err := client.ProduceSync(ctx, &kgo.Record{Topic: retail.DefaultTopics()[topic], Key: r.Key, Value: r.Value}).First()
	if err != nil {
		return 0, err
	}
	return out.Offset, nil
}

// send queues a record and returns its offset.
func (s *shop) send(topic string, value string, headers ...connectors.Header) int64 {
	s.t.Helper()
	offset, err := s.queue(s.t.Context(), topic, connectors.OutRecord{Key: []byte("k"), Value: []byte(value), Headers: headers})
	if err != nil {
		s.t.Fatal(err)
	}
	return offset
}

func (s *shop) flush() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.producer.Flush(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// sent is how many records were written.
func (s *shop) sent() (n int64) {
	for _, next := range s.next {
		n += next
	}
	return n
}

// envelope begins an event that happens now.
func envelope(kind, id string) string {
	return fmt.Sprintf(`{"id":%q,"source":"acceptance","type":%q,"time":%q,`, id, kind, time.Now().UTC().Format(time.RFC3339Nano))
}

// opening describes two places, one of which takes no returns, and one SKU with
// stock at the other.
func (s *shop) opening(quantity int) {
	s.t.Helper()
	s.send("reference", location("shop", true))
	s.send("reference", location("kiosk", false))
	s.send("reference", envelope("product", "product-A")+`"sku":"A","gtin":"4006381333931","currency":"CNY","price":"10.00","return_days":30}`)
	s.send("stock", fmt.Sprintf(envelope("stock.counted", "count-A")+`"sku":"A","location":"shop","pool":"store","quantity":%d,"document":"count-A"}`, quantity))
	s.flush()
}

func location(name string, takesReturns bool) string {
	return fmt.Sprintf(envelope("location", fmt.Sprintf("location-%s-%v", name, takesReturns))+
		`"location":%q,"kind":"store","channel":"own_store","lat":31.2,"lon":121.5,"takes_returns":%v,"pools":["store"]}`, name, takesReturns)
}

func order(id string, quantity int) string {
	return fmt.Sprintf(envelope("order.placed", id)+`"order":%q,"channel":"own_online","location":"web","currency":"CNY",`+
		`"customer":[{"type":"phone","value":"%s"}],"destination":{"lat":31,"lon":121,"region":"SH"},`+
		`"lines":[{"line":1,"sku":"A","quantity":%d,"unit_price":"10.00"}]}`, id, phone, quantity)
}

// phone is a raw identifier: it may appear nowhere.
const phone = "+8613812345678"

// after is an event about an order's only line.
func after(kind, id, order, document string, quantity int) string {
	return fmt.Sprintf(envelope(kind, id)+`"order":%q,"document":%q,"location":"shop","channel":"own_store","currency":"CNY",`+
		`"lines":[{"line":1,"sku":"A","quantity":%d,"unit_price":"10.00"}]}`, order, document, quantity)
}
