package capacity_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/capacity"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/operators/reference"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

const key = "sanlitun/2026-06-01"

func plan(t testing.TB) *topology.Plan {
	t.Helper()
	b := topology.New("capacity test")
	o := topology.Add(b, "capacity", &capacity.Operator{})
	ref := topology.Add(b, "reference", &reference.Operator{})
	topology.Source(b, "reference", ref.Location, reference.LocationKey)
	topology.Source(b, "reference", ref.Product, reference.ProductKey)
	topology.Source(b, "reference", ref.Price, reference.PriceKey)
	topology.Source(b, "reference", ref.Staff, reference.StaffKey)
	topology.Broadcast(b, ref.Locations, o.Locations)
	topology.Source(b, "orders", o.Asked, func(e *event.AvailabilityAsked) string { return e.Resource })
	topology.Source(b, "orders", o.HoldAsked, func(e *event.HoldAsked) string { return e.Resource })
	topology.Source(b, "orders", o.HoldDecided, func(e *event.HoldDecided) string { return e.Resource })
	topology.Source(b, "orders", o.HoldReleased, func(e *event.HoldReleased) string { return e.Resource })
	topology.Source(b, "orders", o.HoldSettled, func(e *event.HoldSettled) string { return e.Resource })
	topology.Sink(b, o.Answered, "answers")
	topology.Sink(b, o.HoldAnswered, "answers")
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStories(t *testing.T) {
	day := map[string]string{"resource": key, "attempt": "1", "round": "1"}
	parcel := map[string]string{"resource": key, "attempt": "1", "round": "1", "location": "sanlitun", "quantity": "1"}
	verbs := map[string]operatortest.Verb{
		"location": {Type: "location", Defaults: map[string]string{"channel": "own_store", "kind": "store"}},
		"ask":      {Type: "availability.asked", Defaults: day},
		"hold":     {Type: "hold.asked", Defaults: parcel},
		"decide":   {Type: "hold.decided", Defaults: day},
		"release":  {Type: "hold.released", Defaults: day},
		"settle": {Type: "hold.settled", Defaults: map[string]string{"resource": key, "attempt": "1",
			"location": "sanlitun", "quantity": "1"}},
	}
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		operatortest.Run(t, path, &operatortest.Suite{Plan: plan(t), Verbs: verbs, Print: map[string][]string{
			"hold.answered":         {"order", "attempt", "round", "granted", "reason", "places.atp="},
			"availability.answered": {"order", "fault", "places"},
		}})
	})
}

func TestKey(t *testing.T) {
	if got := capacity.Key("sanlitun", state.Time(1_780_308_000_000_000)); got != key {
		t.Errorf("Key = %q; want %q", got, key)
	}
}
