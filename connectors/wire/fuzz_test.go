package wire

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// FuzzDecodeJSON: any bytes give one event or a mark, the same every time; what
// is fine reads back the same; what a general parser takes for JSON we do not
// call malformed, and the reverse; nothing that stood as an identifier leaves.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(placed), []byte("location/a"))
	f.Add([]byte(counted), []byte(nil))
	f.Add([]byte(`{"type":"replay.mark","time":"2026-11-21T09:00:00Z"}`), []byte{})
	f.Add([]byte(`[[[{"a":"\ud83d\ude00\n"}]]] `), []byte("price/a/b/social"))
	for _, c := range refusals(f) {
		if len(c.value) < 1_000 {
			f.Add([]byte(c.value), []byte("k"))
		}
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, value, key []byte) {
		r := connectors.RawRecord{Offset: 5, Key: key, Value: value, Time: state.Second}
		first, mark := collect(d, r)
		if again, _ := collect(d, r); !reflect.DeepEqual(first, again) {
			t.Fatalf("Decode twice = %+v, %+v; want the same", first, again)
		}
		if (mark.Time == 0) != (len(first) == 1) || len(first) > 1 {
			t.Fatalf("Decode = %d events and mark %v; want one of the two", len(first), mark)
		}
		if len(first) == 0 {
			return
		}
		e := first[0]
		if (e.Reject == nil) == (e.Payload.Value == nil) {
			t.Fatalf("Decode = %+v; want either a payload or a reject", e)
		}
		if value != nil && (e.Reject == nil || e.Reject.Code == CodeMalformedJSON) && utf8.Valid(value) {
			if valid := json.Valid(value); valid == (e.Reject != nil) {
				t.Fatalf("Decode = %+v, but json.Valid = %v", e.Reject, valid)
			}
		}
		outside(t, e)
		if e.Reject == nil && !utf8.Valid(value) {
			t.Fatalf("Decode takes what is not UTF-8: %+v", e.Payload.Value)
		}
		if e.Reject == nil {
			readsBack(t, d, e)
		}
	})
}

func collect(d *Decoder, r connectors.RawRecord) (events []operators.Event, mark operators.Mark) {
	mark = d.Decode("sales", &r, func(e operators.Event) { events = append(events, e) })
	return events, mark
}

// readsBack writes an event and reads it again. Its identifiers, which would
// become pseudonyms of pseudonyms, are all the same.
func readsBack(t *testing.T, d *Decoder, e operators.Event) {
	t.Helper()
	written := equated(t, &e)
	back := d.Unmarshal("", written)
	if back.Reject != nil {
		t.Fatalf("reading %s back = %+v", written, back.Reject)
	}
	if again := equated(t, &back); !bytes.Equal(written, again) {
		t.Fatalf("reading %s back = %s", written, again)
	}
}

func equated(t *testing.T, e *operators.Event) []byte {
	t.Helper()
	e.Payload.Value.Visit(&equator{writer: writer{b: []byte{'{'}}})
	written, err := MarshalEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// equator is the visitor that gives all identifiers the same value.
type equator struct {
	writer
	people bool
}

func (q *equator) String(name string, p *string) {
	switch {
	case q.people && name == "type":
		*p = "loyalty"
	case q.people || classOf(name) == classToken && *p != "":
		*p = "x1"
	}
}

func (q *equator) BeginList(name string, n int) int {
	q.people = classOf(name) == classIdentifiers
	return n
}

func (q *equator) EndList() { q.people = false }

// FuzzIdentifier: no value given as an identifier leaves Decode, however it is
// spelt.
func FuzzIdentifier(f *testing.F) {
	for _, s := range []string{"+86 138 0013 8000", "wang@bücher.example", "n/a", "tok_9-secret", "Ｗａｎｇ", "\\\"", "👓👓"} {
		f.Add("phone", s)
		f.Add("loyalty", s)
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, typ, value string) {
		if !utf8.ValidString(typ) || !utf8.ValidString(value) {
			return
		}
		quote := func(s string) string { return string(appendQuoted(nil, s)) }
		for _, price := range []string{"1.00", "-1"} {
			body := `{"id":"1","source":"s","time":"2026-11-21T09:00:00Z","order":"1","channel":"social","currency":"CNY","customer":[{"type":` +
				quote(typ) + `,"value":` + quote(value) + `}],"payment_token":` + quote(value) + `,"lines":[{"line":1,"sku":"a","quantity":1,"unit_price":"` + price + `"}]}`
			e := d.Unmarshal("order.placed", []byte(body))
			got := outside(t, e)
			// Short values stand in any text by chance.
			if len(value) >= 8 && strings.Trim(value, "0123456789abcdef") != "" && !strings.Contains(body[:100], value) && bytes.Contains(got, []byte(value)) && !known(value) {
				t.Fatalf("identifier %q is in %q", value, got)
			}
		}
	})
}

// known says whether a value is part of what every such event says.
func known(value string) bool {
	e := operators.Event{ID: "1", Source: "s", Type: "order.placed", Time: 1795251600_000000, Payload: state.Nested{Value: &event.OrderPlaced{
		Order: "1", Channel: "social", Currency: "CNY", Lines: []event.Line{{Line: 1, SKU: "a", Quantity: 1, UnitPrice: state.One}}}}}
	b, err := MarshalEvent(&e)
	return err != nil || bytes.Contains(b, []byte(value)) || strings.Contains("customer payment_token price_not_positive lines[0].unit_price identifier_invalid string_too_long string_invalid", value)
}

// FuzzDecimal: what parses is exact by big arithmetic, and prints back the same.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"2.55", "-0.000001", "1000000000000", "1.0000001", "1e3", ".", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseDecimal([]byte(s), false)
		if !ok {
			return
		}
		exact, fine := new(big.Rat).SetString(s)
		if !fine || exact.Cmp(big.NewRat(int64(d), int64(state.One))) != 0 {
			t.Fatalf("parseDecimal(%q) = %d millionths; want %v", s, d, exact)
		}
		if back, ok := parseDecimal(appendNumber(nil, d), false); !ok || back != d {
			t.Fatalf("parseDecimal(%s) = %d, %v; want %d", appendNumber(nil, d), back, ok, d)
		}
		if back, ok := parseDecimal([]byte(d.String()), true); !ok || back != d {
			t.Fatalf("parseDecimal(%s) = %d, %v; want %d", d, back, ok, d)
		}
	})
}

// FuzzTime: what parses is what package time says, and prints back the same.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-11-21T09:00:00.123Z", "2026-11-21T17:00:00+08:00", "9999-12-31T23:59:59.999999999-23:59", "1970-01-01T00:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime([]byte(s))
		if !ok {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || got != state.TimeOf(want) || got <= 0 {
			t.Fatalf("parseTime(%q) = %v; want %v, %v", s, got, want, err)
		}
		printed := appendTime(nil, got)
		if back, ok := parseTime(printed[1 : len(printed)-1]); !ok || back != got {
			t.Fatalf("parseTime(%s) = %v, %v; want %v", printed, back, ok, got)
		}
	})
}

// FuzzNormalise: a normalised value is its own normal form. Of phone numbers
// this holds for those that could be dialled; others only mustn't panic.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"+86 138 0013 8000", "Info@BÜCHER.example.", " 17850 ", "Cafe\u0301", "@", "+", "ß@ß"} {
		for _, typ := range []string{"phone", "email", "loyalty"} {
			f.Add(typ, s)
		}
	}
	f.Fuzz(func(t *testing.T, typ, value string) {
		if !utf8.ValidString(value) {
			return
		}
		once := normalise(typ, value, "CN")
		if n, err := phonenumbers.Parse(strings.TrimSpace(value), "CN"); typ == "phone" && (err != nil || !phonenumbers.IsValidNumber(n)) {
			return
		}
		if twice := normalise(typ, once, "CN"); twice != once {
			t.Fatalf("normalise(%q, %q) = %q, and of that %q", typ, value, once, twice)
		}
	})
}
