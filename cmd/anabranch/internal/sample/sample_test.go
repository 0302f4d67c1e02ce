package sample

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// rig runs a shop on a clock of its own and keeps what it sends.
type rig struct {
	*Shop
	t    *testing.T
	now  time.Time
	sent []operators.Event
}

func newRig(t *testing.T, file string) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1_800_000_000, 0)}
	s, err := New(func(_ context.Context, _, _ string, e *operators.Event) error {
		r.sent = append(r.sent, *e)
		return nil
	}, func(context.Context, string) error { return nil }, file)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return r.now }
	r.Shop = s
	return r
}

func (r *rig) ticks(n int) {
	r.t.Helper()
	for range n {
		if err := r.trade(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		r.now = r.now.Add(tick)
	}
}

// Everything but the planned typing errors is a good event, and every channel
// class sells.
func TestEventsAreGood(t *testing.T) {
	key, err := wire.ParseKey(strings.Repeat("ab", wire.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	decoder := wire.NewDecoder(pseudonyms)
	r := newRig(t, filepath.Join(t.TempDir(), "sample.json"))
	if err := r.open(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.ticks(1000)
	types, channels, rejected := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range r.sent {
		b, err := wire.MarshalEvent(&e)
		if err != nil {
			t.Fatal(err)
		}
		got := decoder.Unmarshal("", b)
		if got.Reject != nil {
			rejected[got.Reject.Code]++
			continue
		}
		types[got.Type]++
		if o, ok := got.Payload.Value.(*event.OrderPlaced); ok {
			channels[o.Channel]++
		}
	}
	if len(rejected) != 1 || rejected[wire.CodeChannelUnknown] == 0 || rejected[wire.CodeChannelUnknown] > 5 {
		t.Errorf("rejected = %v; want a few of %s only", rejected, wire.CodeChannelUnknown)
	}
	for _, typ := range []string{"location", "product", "stock.counted", "stock.received", "order.placed", "order.cancelled", "sale.completed"} {
		if types[typ] == 0 {
			t.Errorf("no %s among %v", typ, types)
		}
	}
	for _, class := range event.ChannelClasses {
		if channels[class] == 0 {
			t.Errorf("no order from %s among %v", class, channels)
		}
	}
}

// A stretch that is sent again has the same ids and payloads.
func TestSameAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.json")
	first := newRig(t, file)
	first.ticks(200)
	again := newRig(t, file) // nothing was saved
	again.ticks(200)
	if len(first.sent) != len(again.sent) || len(first.sent) == 0 {
		t.Fatalf("sent %d, again %d", len(first.sent), len(again.sent))
	}
	for i := range first.sent {
		a, errA := wire.MarshalEvent(&first.sent[i])
		b, errB := wire.MarshalEvent(&again.sent[i])
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Fatalf("event %d = %s; again %s (%v, %v)", i, a, b, errA, errB)
		}
	}
}

// A second start goes on behind what was saved.
func TestGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.json")
	first := newRig(t, file)
	first.ticks(200)
	if err := first.progress.save(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range first.sent {
		seen[e.ID] = true
	}
	next := newRig(t, file)
	next.ticks(200)
	for _, e := range next.sent {
		if seen[e.ID] {
			t.Errorf("%s is sent again", e.ID)
		}
	}
}

func TestShips(t *testing.T) {
	r := newRig(t, filepath.Join(t.TempDir(), "sample.json"))
	r.Decided("A-1", 1, []event.DecidedLine{{Line: 1, SKU: "mug-1", Outcome: event.Allocated, Parts: []event.Part{{Location: "jingan", Quantity: 1}}}})
	r.Decided("A-2", 1, []event.DecidedLine{{Line: 1, SKU: "mug-1", Outcome: event.Failed}})
	if early := r.due(); len(early) > 0 {
		t.Errorf("due at once: %+v", early)
	}
	r.Decided("A-3", 1, []event.DecidedLine{{Line: 1, SKU: "mug-1", Outcome: event.Allocated, Parts: []event.Part{{Location: "jingan", Quantity: 1}}}})
	r.Released("A-3")
	r.now = r.now.Add(shipAfter)
	due := r.due()
	if len(due) != 1 || due[0].typ != "order.shipped" || due[0].payload.(*event.OrderShipped).Order != "A-1" {
		t.Errorf("due = %+v; want the shipment of A-1", due)
	}
}
