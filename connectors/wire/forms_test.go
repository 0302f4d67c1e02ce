package wire

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// filler is the visitor that fills an event with what may come in, and now and
// then with what may not.
type filler struct {
	t      *rapid.T
	list   string // the list at hand
	line   int64
	faults bool // some values may be refused
}

var _ state.Visitor = (*filler)(nil)

// bad is true once in a while.
func (f *filler) bad() bool { return f.faults && rapid.IntRange(0, 60).Draw(f.t, "bad") == 0 }

func (f *filler) Level() uint8 { return 255 }

func (f *filler) Int(name string, p *int64) {
	switch {
	case name == "line":
		f.line++
		*p = f.line
	case f.bad():
		*p = rapid.SampledFrom([]int64{-1, 0, MaxQuantity + 1, MaxInteger + 1, -1 << 63, 1<<63 - 1}).Draw(f.t, name)
	default:
		*p = rapid.Int64Range(1, MaxQuantity).Draw(f.t, name)
	}
}

func (f *filler) Uint(name string, p *uint64) { *p = rapid.Uint64Range(0, MaxInteger).Draw(f.t, name) }

func (f *filler) Bool(name string, p *bool) { *p = rapid.Bool().Draw(f.t, name) }

var someText = rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_./:#-]{1,20}`), rapid.StringMatching(`[ "\\é店👓a-z/]{1,12}`))

func (f *filler) String(name string, p *string) {
	if f.bad() {
		*p = rapid.SampledFrom([]string{"", "\n", "fax", "null"}).Draw(f.t, name)
		return
	}
	if f.list != "" && name == "" {
		name = f.list
	}
	switch {
	case name == "type":
		*p = rapid.SampledFrom([]string{"phone", "Email", "loyalty", "device"}).Draw(f.t, name)
	case classOf(name) == classChannel:
		*p = rapid.SampledFrom(event.ChannelClasses).Draw(f.t, name)
	case classOf(name) == classCurrency:
		*p = rapid.SampledFrom([]string{"CNY", "GBP", "EUR"}).Draw(f.t, name)
	case classOf(name) == classGTIN:
		*p = rapid.SampledFrom([]string{"4006381333931", "06901234567892"}).Draw(f.t, name)
	default:
		*p = someText.Draw(f.t, name)
	}
}

func (f *filler) Bytes(name string, p *[]byte) { *p = rapid.SliceOf(rapid.Byte()).Draw(f.t, name) }

func (f *filler) Time(name string, p *state.Time) {
	*p = state.Time(rapid.Int64Range(1, int64(maxDuration)).Draw(f.t, name))
}

func (f *filler) Decimal(name string, p *state.Decimal) {
	limit, _ := measured(name)
	switch {
	case f.bad():
		*p = rapid.SampledFrom([]state.Decimal{0, -1, -500 * state.One, 1_000_000_000_000 * state.One}).Draw(f.t, name)
	case limit > 0:
		*p = state.Decimal(rapid.Int64Range(-int64(limit), int64(limit)).Draw(f.t, name))
	default:
		*p = state.Decimal(rapid.Int64Range(1, 1_000_000_000).Draw(f.t, name))
	}
}

func (f *filler) Nested(string, state.Visitable, *[]byte) {}
func (f *filler) BeginStruct(string)                      {}
func (f *filler) EndStruct()                              {}
func (f *filler) EndOptional()                            {}

func (f *filler) BeginOptional(name string, _ bool) bool { return rapid.Bool().Draw(f.t, name) }

func (f *filler) BeginList(name string, _ int) int {
	f.list, f.line = name, 0
	least := 0
	if name == "lines" || name == "identifiers" {
		least = 2
	}
	return rapid.IntRange(least, 3).Draw(f.t, name)
}

func (f *filler) EndList() { f.list = "" }

// inAllForms are an event's records in all forms in which it may come in.
func inAllForms(t failer, e *operators.Event) map[string]connectors.RawRecord {
	t.Helper()
	plain, err := MarshalEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := MarshalJSON(e.Payload.Value)
	if err != nil {
		t.Fatal(err)
	}
	packed, fine := pack(t, string(plain))
	packedPayload, fineToo := pack(t, string(payload))
	if !fine || !fineToo {
		t.Fatalf("%s can't be packed", plain)
	}
	at := string(appendWall(nil, e.Time))
	structured, err := json.Marshal(map[string]any{"specversion": "1.0", "id": e.ID, "source": e.Source, "type": e.Type, "time": at,
		"datacontenttype": "application/json", "traceparent": e.Trace, "data": json.RawMessage(payload)})
	if err != nil {
		t.Fatal(err)
	}
	trace := header("traceparent", e.Trace)
	binary := []connectors.Header{header("ce_specversion", "1.0"), header("ce_id", e.ID), header("ce_source", e.Source),
		header("ce_type", e.Type), header("ce_time", at), header("ce_traceparent", e.Trace)}
	content := func(v string) connectors.Header { return header("content-type", v) }
	return map[string]connectors.RawRecord{
		"JSON":                {Value: plain, Headers: []connectors.Header{trace}},
		"MessagePack":         {Value: packed, Headers: []connectors.Header{trace, content("application/x-msgpack")}},
		"binary":              {Value: payload, Headers: append(binary, content("application/json; charset=utf-8"))},
		"binary, MessagePack": {Value: packedPayload, Headers: append(binary, content("application/msgpack"))},
		"structured":          {Value: structured, Headers: []connectors.Header{content("application/cloudevents+json; charset=UTF-8")}},
	}
}

// The same event decodes to the same event in every form, and what is refused
// in one is refused in all, with one code at one field.
func TestEveryFormSaysTheSame(t *testing.T) {
	d := newDecoder(t)
	accepted, refused := map[string]int{}, 0
	for _, k := range kinds {
		rapid.Check(t, func(t *rapid.T) {
			f := &filler{t: t, faults: rapid.Bool().Draw(t, "faults")}
			e := operators.Event{ID: someText.Draw(t, "id"), Source: someText.Draw(t, "source"), Type: k.name,
				Time:    state.Time(rapid.Int64Range(1, int64(maxDuration)).Draw(t, "time")),
				Trace:   "00-0af7651916cd43dd8448eb211c80319c-" + strconv.Itoa(rapid.IntRange(1e15, 9e15).Draw(t, "span")) + "-01",
				Payload: state.Nested{Value: k.make()}}
			e.Payload.Value.Visit(f)
			if saysTheSame(t, d, inAllForms(t, &e)) {
				accepted[k.name]++
			} else {
				refused++
			}
		})
	}
	for _, k := range kinds {
		if accepted[k.name] == 0 {
			t.Errorf("%s: no event was accepted", k.name)
		}
	}
	if refused == 0 {
		t.Error("no event was refused")
	}
}

// saysTheSame fails if the records don't all decode to the same, and returns
// whether they are accepted.
func saysTheSame(t failer, d *Decoder, all map[string]connectors.RawRecord) bool {
	t.Helper()
	want := decode(t, d, all["JSON"])
	for name, r := range all {
		got := decode(t, d, r)
		if want.Reject == nil || got.Reject == nil {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %+v %+v %+v; want, as in JSON, %+v %+v %+v", name, got, got.Payload.Value, got.Reject, want, want.Payload.Value, want.Reject)
			}
			continue
		}
		at, wantAt := fieldOf(got.Reject.Fields, FieldAtFault), fieldOf(want.Reject.Fields, FieldAtFault)
		if got.Reject.Code != want.Reject.Code || at != wantAt {
			t.Fatalf("%s: refused with %s at %q; want %s at %q, as in JSON", name, got.Reject.Code, at, want.Reject.Code, wantAt)
		}
	}
	return want.Reject == nil
}
