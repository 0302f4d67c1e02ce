package replay

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// BenchmarkCore measures the core alone, per order: entry bytes in, rows and
// records out, over the production store, with acknowledgements. The lines are
// those of one order; ns/op divided by them is the cost of a line.
func BenchmarkCore(b *testing.B) {
	for _, lines := range []int{1, 20, 200, 1114} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) { benchmarkOrders(b, lines) })
	}
}

func benchmarkOrders(b *testing.B, lines int) {
	m := newMachine(b)
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, topic := range []string{"reference", "sales", "stock"} {
		p := partitionOf(topic)
		m.apply([]core.Item{{Control: &core.Control{Kind: core.ControlOpen, Partition: &p}}})
	}
	var setup []core.Item
	for i := range 2000 {
		for l := range 8 {
			setup = append(setup, m.item(b, "stock", began, map[string]any{"type": "stock.counted", "id": fmt.Sprintf("%d/%d", i, l),
				"sku": fmt.Sprintf("sku-%d", i), "location": fmt.Sprintf("place-%d", l), "pool": "store", "quantity": 1_000_000, "document": "c"}))
		}
	}
	for i := 0; i < len(setup); i += 200 {
		m.apply(setup[i:min(i+200, len(setup))])
	}
	orders := make([]core.Item, b.N)
	for n := range orders {
		body := make([]map[string]any, lines)
		for l := range body {
			body[l] = map[string]any{"line": l + 1, "sku": fmt.Sprintf("sku-%d", (n*7919+l*31)%2000), "quantity": 1, "unit_price": "9.99"}
		}
		id := fmt.Sprintf("o%d", n)
		orders[n] = m.item(b, "sales", began.Add(time.Duration(n)*time.Millisecond), map[string]any{"type": "order.placed", "id": id, "order": id,
			"channel": "own_online", "location": "place-0", "currency": "EUR", "lines": body})
	}
	b.ReportAllocs()
	used := cpuTime(b)
	b.ResetTimer()
	batch := max(1, 100/lines)
	for i := 0; i < len(orders); i += batch {
		m.apply(orders[i:min(i+batch, len(orders)):min(i+batch, len(orders))])
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/float64(b.N*lines), "cpu-ns/line")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
	if m.failed > 0 || len(m.dead) > 0 || len(m.seen) != b.N {
		b.Fatalf("%d decisions of %d orders, %d failed, dead letters %v", len(m.seen), b.N, m.failed, m.dead)
	}
}

// cpuTime is the processor time that this process has used, on whatever
// goroutine: of the writer behind the store and the garbage collector too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// item decodes an event as the source does.
func (m *machine) item(t testing.TB, topic string, at time.Time, body map[string]any) core.Item {
	body["source"], body["time"] = "bench", at.Format(time.RFC3339Nano)
	value, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r := connectors.RawRecord{Offset: m.next[topic], Value: value}
	rg := &core.Range{Partition: partitionOf(topic), From: r.Offset, To: r.Offset + 1, Time: state.TimeOf(at)}
	m.decoder.Decode(topic, &r, func(e operators.Event) { rg.Events = append(rg.Events, e) })
	m.next[topic]++
	return core.Item{Range: rg}
}
