package acceptance

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
	"anabranch.dev/topology/retail/check"
)

// tail reads topics from their beginning, read committed, and goes on where it
// was when the broker comes back.
type tail struct {
	t       *testing.T
	topics  []string
	fetcher *kafka.Fetcher
	at      map[connectors.PartitionID]int64 // read up to
	stable  map[connectors.PartitionID]int64
	take    func(topic string, r *connectors.RawRecord)
}

func newTail(t *testing.T, broker string, take func(topic string, r *connectors.RawRecord), topics ...string) *tail {
	t.Helper()
	l := &tail{t: t, topics: topics, at: map[connectors.PartitionID]int64{}, take: take}
	l.connect(broker)
	t.Cleanup(func() { l.fetcher.Close() })
	return l
}

// connect goes on at a broker that may have another address now.
func (l *tail) connect(broker string) {
	l.t.Helper()
	if l.fetcher != nil {
		l.fetcher.Close()
	}
	var err error
	if l.fetcher, err = kafka.NewFetcher(kafka.Config{Brokers: []string{broker}}); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	infos, err := l.fetcher.Describe(ctx, l.topics)
	if err != nil || len(infos) != len(l.topics) {
		l.t.Fatalf("describe %v = %d topics, %v", l.topics, len(infos), err)
	}
	l.stable = map[connectors.PartitionID]int64{}
	for _, info := range infos {
		for p, start := range info.Starts {
			id := connectors.PartitionID{Topic: info.Name, TopicID: info.TopicID, Partition: int32(p)}
			if at, known := l.at[id]; known {
				start = at
			}
			l.at[id], l.stable[id] = start, -1
			l.fetcher.Assign(id, start)
		}
	}
}

// poll reads once. It says false when the broker can't be asked.
func (l *tail) poll(ctx context.Context) bool {
	fetches, err := l.fetcher.Poll(ctx)
	for _, f := range fetches {
		if f.Err != nil {
			l.t.Fatalf("read %s/%d: %v", f.Partition.Topic, f.Partition.Partition, f.Err)
		}
		for i := range f.Records {
			if !f.Records[i].Control {
				l.take(f.Partition.Topic, &f.Records[i])
			}
		}
		l.at[f.Partition], l.stable[f.Partition] = f.Position, f.Stable
	}
	return err == nil
}

// until reads until a condition holds, or end is closed.
func (l *tail) until(what string, end <-chan struct{}, holds func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), long)
	defer cancel()
	for !holds() {
		select {
		case <-end:
			l.t.Fatalf("ended before %s", what)
		default:
		}
		if !l.poll(ctx) && ctx.Err() != nil {
			l.t.Fatalf("not in %v: %s", long, what)
		}
	}
}

// toEnd reads what is committed now.
func (l *tail) toEnd() {
	l.t.Helper()
	for id := range l.stable {
		l.stable[id] = -1
		l.fetcher.Assign(id, l.at[id]) // so that its end is asked for anew
	}
	l.until("the end of "+l.topics[0], nil, func() bool {
		for id, stable := range l.stable {
			if stable < 0 || l.at[id] < stable {
				return false
			}
		}
		return true
	})
}

// decided is an allocation record as it stands on the topic.
type decided struct {
	ID, Type, Key, Order, Reason string
	Number                       uint64
	Attempt                      int64
	Policy                       event.PolicyRef
	Lines                        []struct {
		Line, Quantity  int64
		SKU             string
		Outcome, Reason string
		Parts           []event.Part
	}
	Cost struct {
		Currency, Total string
		Terms           struct{ Shipping, Handling, Split, Capacity, Opportunity, Markdown, Acceptance, Rules string }
	}
}

// decisions checks the allocations topic record by record and keeps what it
// says.
type decisions struct {
	t       *testing.T
	out     *check.Output
	records map[string]string // by id: the record without what differs from run to run
	list    []decided         // in order of arrival; lines and cost left out
	lines   int64             // decided in first attempts
}

func newDecisions(t *testing.T) *decisions {
	return &decisions{t: t, out: check.NewOutput(), records: map[string]string{}}
}

// tail reads the topic into d.
func (d *decisions) tail(broker string) *tail {
	d.t.Helper()
	return newTail(d.t, broker, d.add, retail.DefaultTopics()[retail.TopicAllocations])
}

func (d *decisions) add(_ string, r *connectors.RawRecord) {
	var e decided
	if err := json.Unmarshal(r.Value, &e); err != nil {
		d.t.Fatalf("offset %d: %v", r.Offset, err)
	}
	d.records[e.ID] = string(r.Value)
	if e.Type != "allocation.released" && e.Attempt == 1 {
		d.lines += int64(len(e.Lines))
	}
	d.out.Add(d.record(&e))
	e.Lines = nil
	d.list = append(d.list, e)
}

// record is the event as the checkers know it.
func (d *decisions) record(e *decided) *operators.Record {
	r := &operators.Record{Topic: retail.TopicAllocations, ID: e.ID, Type: e.Type, Key: e.Key, Number: e.Number}
	if e.Type == "allocation.released" {
		released := &event.AllocationReleased{Order: e.Order, Attempt: e.Attempt, Reason: e.Reason}
		for _, l := range e.Lines {
			released.Lines = append(released.Lines, event.ReleasedLine{Line: l.Line, SKU: l.SKU, Parts: l.Parts})
		}
		r.Payload.Value = released
		return r
	}
	terms := &e.Cost.Terms
	a := &event.AllocationDecided{Order: e.Order, Attempt: e.Attempt, Policy: e.Policy,
		Cost: event.Cost{Currency: e.Cost.Currency, Total: d.money(e.Cost.Total), Terms: event.CostTerms{
			Shipping: d.money(terms.Shipping), Handling: d.money(terms.Handling), Split: d.money(terms.Split),
			Capacity: d.money(terms.Capacity), Opportunity: d.money(terms.Opportunity), Markdown: d.money(terms.Markdown),
			Acceptance: d.money(terms.Acceptance), Rules: d.money(terms.Rules)}}}
	for _, l := range e.Lines {
		a.Lines = append(a.Lines, event.DecidedLine{Line: l.Line, SKU: l.SKU, Quantity: l.Quantity, Outcome: l.Outcome,
			Reason: l.Reason, Parts: l.Parts})
	}
	r.Payload.Value = a
	return r
}

func (d *decisions) money(text string) state.Decimal { return money(d.t, text) }

// money reads a decimal; none, or one that may not be shown, is 0.
func money(t *testing.T, text string) state.Decimal {
	if text == "" || text == wire.Hidden {
		return 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	if f < 0 {
		return -state.Decimal(-f*1e6 + 0.5)
	}
	return state.Decimal(f*1e6 + 0.5)
}

// good fails the test for every violation, and if nothing was checked.
func (d *decisions) good() {
	d.t.Helper()
	if d.out.Orders() == 0 {
		d.t.Error("no decision on the topic")
	}
	report(d.t, d.out.Violations())
}

// report shows violations, a few of many.
func report(t *testing.T, vs check.Violations) {
	t.Helper()
	for _, v := range vs[:min(len(vs), 20)] {
		t.Error(v)
	}
	if len(vs) > 20 {
		t.Errorf("and %d violations more", len(vs)-20)
	}
}

// differs lists records that only one side has or that say something else.
func (d *decisions) differs(o *decisions) []string {
	var faults []string
	for id, r := range d.records {
		if other, ok := o.records[id]; !ok {
			faults = append(faults, "only one run has "+r)
		} else if other != r {
			faults = append(faults, r+"\nis in the other run\n"+other)
		}
	}
	for id, r := range o.records {
		if _, ok := d.records[id]; !ok {
			faults = append(faults, "only the other run has "+r)
		}
	}
	slices.Sort(faults)
	return faults
}
