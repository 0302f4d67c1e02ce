package replay

import (
	"context"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/operators/totals"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
	"anabranch.dev/topology/retail"
)

// machine is one core over a production store, fed without a log or Kafka.
type machine struct {
	t       testing.TB
	core    *core.Core
	store   *pebblestate.Store
	decoder connectors.Decoder
	codec   state.Codec
	index   uint64
	next    map[string]int64
	records int
	dead    map[string]int
	bad     int64 // Σ quantity × price of dead-lettered lines
	seen    map[string]int
	failed  int
	acks    map[uint64]uint64
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	key, err := wire.CreateKey(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	store, err := pebblestate.Open(pebblestate.Options{Dir: t.TempDir(), Tables: core.Tables(plan), Codec: codec.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := core.New(core.Config{Plan: plan, Codec: codec.New(), Shards: 256, Groups: 1, Incarnation: 1, Clock: core.ClockReplay,
		GroupOf: func(state.Shard) int { return 0 }, Fields: wire.Fields}, store)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t: t, core: c, store: store, decoder: wire.NewDecoder(pseudonyms), codec: codec.New(),
		next: map[string]int64{}, dead: map[string]int{}, seen: map[string]int{}, acks: map[uint64]uint64{}}
}

func partitionOf(topic string) core.Partition {
	return core.Partition{Topic: topic, TopicID: "00000000000000000000000000000001"}
}

// apply applies items through the bytes of an entry.
func (m *machine) apply(items []core.Item) {
	for s, through := range m.acks {
		items = append(items, core.Item{Ack: &core.Ack{Shard: s, Through: through}})
	}
	clear(m.acks)
	level := m.core.Level()
	raw, err := m.codec.Append(nil, uint8(level), &core.Entry{Level: level, Items: items})
	if err != nil {
		m.t.Fatal(err)
	}
	var e core.Entry
	if err := m.codec.Decode(raw, &e); err != nil {
		m.t.Fatal(err)
	}
	m.index++
	out := m.core.Apply(m.index, &e)
	if out.Halt != nil || len(out.Wants) > 0 {
		m.t.Fatalf("halt %+v, wants %v", out.Halt, out.Wants)
	}
	for _, r := range out.Records {
		m.take(r)
	}
}

// take counts what goes out, as a consumer of the topics would.
func (m *machine) take(r *operators.Record) {
	m.records++
	m.acks[r.Shard] = r.Outbox
	switch r.Topic {
	case "allocations":
		m.seen[r.ID]++
		if r.Type == "allocation.failed" {
			m.failed++
		}
	case core.DeadLetterTopic:
		d := r.Payload.Value.(*operators.DeadLetter)
		m.dead[d.Code]++
		m.bad += amountOf(m.t, d.Fields)
	}
}

// run feeds a script, gathering about a hundred events to an entry.
func (m *machine) run(s *Script) {
	for _, topic := range []string{"reference", "sales", "stock"} {
		p := partitionOf(topic)
		m.apply([]core.Item{{Control: &core.Control{Kind: core.ControlOpen, Partition: &p}}})
	}
	var items []core.Item
	for _, e := range s.Events {
		r := connectors.RawRecord{Offset: m.next[e.Topic], Key: []byte(e.Key), Value: e.Value}
		rg := &core.Range{Partition: partitionOf(e.Topic), From: r.Offset, To: r.Offset + 1, Time: state.TimeOf(e.Time)}
		m.decoder.Decode(e.Topic, &r, func(ev operators.Event) { rg.Events = append(rg.Events, ev) })
		m.next[e.Topic]++
		if items = append(items, core.Item{Range: rg}); len(items) == 100 {
			m.apply(items)
			items = items[:0]
		}
	}
	m.apply(items)
	end := s.Events[len(s.Events)-1].Time.Add(time.Second)
	p := partitionOf("sales")
	m.apply([]core.Item{{Range: &core.Range{Partition: p, From: m.next["sales"], To: m.next["sales"] + 1, Time: state.TimeOf(end)}}})
	m.next["sales"]++
}

// amountOf adds up quantity × unit price over a dead letter's fields.
func amountOf(t testing.TB, fields []operators.Field) (sum int64) {
	var quantity int64
	for _, f := range fields {
		switch f.Name {
		case "lines[0].quantity":
			quantity = parse(t, f.Value)
		case "lines[0].unit_price":
			price, err := micros(f.Value)
			if err != nil {
				t.Fatal(err)
			}
			sum += quantity * price
		}
	}
	return sum
}

func parse(t testing.TB, text string) int64 {
	m, err := micros(text)
	if err != nil {
		t.Fatal(err)
	}
	return m / 1e6
}

// TestUCIThroughTheCore replays a month through decoder, core and store, without
// log or Kafka: where a wrong total comes from the rules, it shows here first.
func TestUCIThroughTheCore(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: replays a month of invoices; run without -short")
	}
	s, err := UCI(dataDir(t, "uci-online-retail"), Options{To: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	began := time.Now()
	m.run(s)
	took := time.Since(began)
	t.Logf("%d events in %v: %.1f µs each; %d records out, dead letters %v", len(s.Events), took,
		float64(took.Microseconds())/float64(len(s.Events)), m.records, m.dead)
	for id, n := range m.seen {
		if n != 1 {
			t.Errorf("decision %s: %d times", id, n)
		}
	}
	a, err := m.core.Query("totals", "totals", "GBP", &totals.Question{})
	if err != nil || a == nil {
		t.Fatalf("totals: %v, %v", a, err)
	}
	sum := m.bad
	for _, o := range a.(*totals.Totals).Outcomes {
		t.Logf("%+v", o)
		switch o.Outcome {
		case "ordered":
			sum += int64(o.Amount)
			if o.Documents != int64(s.Totals.Orders) {
				t.Errorf("orders = %d; want %d", o.Documents, s.Totals.Orders)
			}
		case "cancelled", "returned":
			sum -= int64(o.Amount)
		}
	}
	if sum != s.Totals.Amount {
		t.Errorf("Σ quantity × price, applied + dead-lettered = %v (dead-lettered %v); want %v",
			state.Decimal(sum), state.Decimal(m.bad), state.Decimal(s.Totals.Amount))
	}
	if got := m.dead["price_not_positive"] + m.dead["quantity_invalid"] + m.dead["unknown_type"]; got != s.Totals.BadRows || len(m.dead) > 3 {
		t.Errorf("dead letters = %v; want %d bad rows and nothing else", m.dead, s.Totals.BadRows)
	}
	for _, p := range m.core.Partitions() {
		t.Logf("%+v", p)
		if p.Events != p.Applied+p.Duplicates+p.DeadLetters {
			t.Errorf("partition %v: %d events ≠ %d applied + %d duplicates + %d dead letters", p.Partition, p.Events, p.Applied, p.Duplicates, p.DeadLetters)
		}
	}
}
