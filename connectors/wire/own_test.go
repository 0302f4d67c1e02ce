package wire_test

import (
	"strings"
	"testing"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// scan is a type of somebody else: one string field may be kept, one may not.
type scan struct {
	Parcel, Remarks string
	Quantity        int64
}

func (s *scan) Visit(v state.Visitor) {
	v.String("parcel", &s.Parcel)
	v.String("remarks", &s.Remarks)
	v.Int("quantity", &s.Quantity)
}

func TestOwnTypes(t *testing.T) {
	key, err := wire.ParseKey(strings.Repeat("5a", wire.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	body := func(name string) []byte {
		return []byte(`{"id":"1","source":"gate","type":"` + name + `","time":"2026-11-20T15:00:00Z","parcel":"P1","remarks":"for Ann","quantity":-2,"sku":"S","location":"L"}`)
	}
	newScan := func() state.Visitable { return new(scan) }
	d := wire.NewDecoder(p)
	if e := d.Unmarshal("", body("scanned")); e.Reject == nil || e.Reject.Code != wire.CodeUnknownType {
		t.Errorf("before Add: %+v; want an unknown type", e)
	}
	d.Add(wire.Type{Name: "scanned", New: newScan, Codes: []string{"parcel"}})
	d.Add(wire.Type{Name: "stock.received", New: newScan, Codes: []string{"parcel"}})
	for _, name := range []string{"scanned", "stock.received"} {
		e := d.Unmarshal("", body(name))
		if got, ok := e.Payload.Value.(*scan); !ok || *got != (scan{Parcel: "P1", Quantity: -2}) {
			t.Errorf("Unmarshal(%s) = %+v, %v; want the parcel and the quantity, not the remarks", name, e.Payload.Value, e.Reject)
		}
	}
	d = wire.NewDecoder(p)
	d.Add(wire.Type{Name: "stock.received", New: func() state.Visitable { return new(event.StockReceived) }})
	if e := d.Unmarshal("", body("stock.received")); e.Reject == nil || e.Reject.Code != wire.CodeQuantityInvalid {
		t.Errorf("the shipped type with quantity -2 = %+v; want its own rules", e)
	}
}
