package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

func newEncoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder(EncoderConfig{Cluster: "retail", Program: "v0.1.0", Topics: map[string]string{
		"sales": "retail.sales", "allocations": "retail.allocations", "dead-letters": "retail.dead-letters"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// decision is the record of docs/topics.md.
func decision() *operators.Record {
	return &operators.Record{Topic: "allocations", Type: "allocation.decided", Key: "536365", ID: "d-0012", Number: 1, Time: 1795251600_123000,
		Cause: operators.Cause{Topic: "sales", Partition: 2, Offset: 1234, Source: "web-uk", ID: "o-536365",
			Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		Payload: state.Nested{Value: &event.AllocationDecided{
			Order: "536365", Attempt: 1,
			Lines: []event.DecidedLine{{Line: 1, SKU: "85123A", Quantity: 6, Outcome: event.Allocated,
				Parts: []event.Part{{Location: "sanlitun", Pool: "store", Quantity: 6}}}},
			Origin: event.Origin{Channel: "own_online", Location: "web-uk"},
			Cost: event.Cost{Currency: "GBP", Total: 4_200_000,
				Terms: event.CostTerms{Shipping: 3_000_000, Handling: 1_200_000}},
			Because: `nearest with stock, "no split"`, Candidate: 3, Policy: event.PolicyRef{Name: "allocation", Version: 3}}}}
}

const decisionJSON = `{"id":"d-0012","source":"anabranch/retail","type":"allocation.decided","time":"2026-11-21T09:00:00.123Z","key":"536365","number":1,` +
	`"order":"536365","attempt":1,` +
	`"lines":[{"line":1,"sku":"85123A","quantity":6,"outcome":"allocated","reason":"","parts":[{"location":"sanlitun","pool":"store","quantity":6}]}],` +
	`"origin":{"channel":"own_online","location":"web-uk","staff":""},` +
	`"cost":{"currency":"GBP","total":"4.20","terms":{"shipping":"3.00","handling":"1.20","split":"0.00","capacity":"0.00","opportunity":"0.00","markdown":"0.00","acceptance":"0.00","rules":"0.00"}},` +
	`"because":"nearest with stock, \"no split\"","candidates":3,"policy":{"name":"allocation","version":3},` +
	`"cause":{"topic":"retail.sales","partition":2,"offset":1234,"id":"o-536365"}}`

func TestEncodeDecision(t *testing.T) {
	got, err := newEncoder(t).Encode(decision())
	if err != nil {
		t.Fatal(err)
	}
	want := connectors.OutRecord{Topic: "retail.allocations", Key: []byte("536365"), Value: []byte(decisionJSON), Headers: []connectors.Header{
		header("ce_specversion", "1.0"), header("ce_id", "d-0012"), header("ce_source", "anabranch/retail"),
		header("ce_type", "allocation.decided"), header("ce_time", "2026-11-21T09:00:00.123Z"), header("content-type", "application/json"),
		header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Encode(decision) =\n%s %s\n%s\nwant\n%s %s\n%s", got.Topic, got.Headers, got.Value, want.Topic, want.Headers, want.Value)
	}
}

func TestEncodeCauseOfAPI(t *testing.T) {
	r := decision()
	r.Cause = operators.Cause{Source: "api", ID: "k-1"}
	got, err := newEncoder(t).Encode(r)
	if want := `"cause":{"source":"api","id":"k-1"}}`; err != nil || !strings.HasSuffix(string(got.Value), want) {
		t.Errorf("Encode = %s, %v; want …%s", got.Value, err, want)
	}
	for _, h := range got.Headers {
		if h.Key == headerTrace {
			t.Errorf("Encode wrote traceparent %q; want none", h.Value)
		}
	}
}

func TestEncodeDeadLetter(t *testing.T) {
	e := newDecoder(t).Unmarshal("order.placed", []byte(edit(t, `"2.55"`, "-2.55")))
	r := &operators.Record{Topic: "dead-letters", Type: "message.dead_lettered", Key: "dl-1", ID: "dl-1", Number: 1, Time: 1795251600_000000,
		Payload: state.Nested{Value: &operators.DeadLetter{ID: "dl-1", Code: e.Reject.Code, Stage: "source", Type: e.Type,
			Cause: operators.Cause{Topic: "sales", Partition: 2, Offset: 7, Source: e.Source, ID: e.ID, Time: e.Time}, TopicID: "ab",
			Hash: []byte{1, 0xff}, Fields: e.Reject.Fields, LogTime: 1795251600_000000, External: true}}}
	got, err := newEncoder(t).Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"dl-1","source":"anabranch/retail","type":"message.dead_lettered","time":"2026-11-21T09:00:00Z","key":"dl-1","number":1,` +
		`"reason":"price_not_positive","stage":"source","failed":"order.placed","failed_key":"",` +
		`"origin":{"topic":"retail.sales","partition":2,"offset":7,"id":"o-536365","topic_id":"ab","source":"web-uk","index":0,"time":"2026-11-21T09:00:00.123Z"},` +
		`"hash":"01ff","fields":{"field":"lines[0].unit_price","type":"order.placed","source":"web-uk","id":"o-536365","order":"536365","location":"web-uk",` +
		`"channel":"own_online","currency":"GBP","lines":"1","lines[0].line":"1","lines[0].sku":"85123A","lines[0].quantity":"6","lines[0].unit_price":"-2.55"},` +
		`"versions":{"wire":2,"program":"v0.1.0"}}`
	if string(got.Value) != want {
		t.Errorf("Encode(dead letter) =\n%s\nwant\n%s", got.Value, want)
	}
}

func TestEncodeErrors(t *testing.T) {
	e := newEncoder(t)
	for name, change := range map[string]func(r *operators.Record){
		"no Kafka name": func(r *operators.Record) { r.Topic = "alerts" },
		"not decoded":   func(r *operators.Record) { r.Payload = state.Nested{Raw: []byte{1}} },
		"not UTF-8":     func(r *operators.Record) { r.Payload.Value.(*event.AllocationDecided).Because = "\xff" },
	} {
		r := decision()
		change(r)
		if _, err := e.Encode(r); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), r.ID) {
			t.Errorf("Encode(%s) = %v; want an error that says so", name, err)
		}
	}
	if _, err := NewEncoder(EncoderConfig{Topics: map[string]string{"sales": ""}}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("NewEncoder(two faults) = %v; want both", err)
	}
}

// No payload field takes the place of an envelope field.
func TestEnvelopeIsFree(t *testing.T) {
	taken := []string{"id", "source", "type", "time", "key", "number", "cause"}
	for _, v := range []state.Visitable{&event.AllocationDecided{}, &event.AllocationReleased{}, &event.StockLevel{}, &event.StockAlert{}} {
		body, err := MarshalJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("MarshalJSON(%T) = %s: %v", v, body, err)
		}
		for _, name := range taken {
			if _, ok := fields[name]; ok {
				t.Errorf("%T has a field %q, which the envelope has too", v, name)
			}
		}
	}
	for _, k := range kinds {
		body, err := MarshalJSON(k.make())
		if err != nil || strings.Contains(string(body), `"id":`) || strings.Contains(string(body), `"source":`) {
			t.Errorf("MarshalJSON(%s) = %s, %v; want no field of the envelope", k.name, body, err)
		}
	}
}

// everything has a field of each sort that a visitor knows.
type everything struct{}

func (everything) Visit(v state.Visitor) {
	u, bytes, raw, none := uint64(1<<63), []byte{0xab}, []byte{0xcd}, []byte(nil)
	us, unset, lat, text, no := state.Time(1500), state.Time(0), state.Decimal(-120_000), "<é\x01\u2028>", false
	v.Uint("uint", &u)
	v.Bool("bool", &no)
	v.String("text", &text)
	v.Bytes("bytes", &bytes)
	v.Time("wait_us", &us)
	v.Time("unset", &unset)
	v.Decimal("lat", &lat)
	v.Nested("raw", nil, &raw)
	v.Nested("none", nil, &none)
	v.Nested("value", &event.Part{Location: "a"}, &none)
	absent := (*event.Part)(nil)
	state.VisitOptional(v, "absent", &absent)
	list := []string{"a", ""}
	state.VisitStrings(v, "list", &list)
}

func TestMarshalJSON(t *testing.T) {
	got, err := MarshalJSON(everything{})
	want := `{"uint":9223372036854775808,"bool":false,"text":"<é\u0001` + "\u2028" + `>","bytes":"ab","wait_us":1500,"unset":null,"lat":-0.12,"raw":"cd","none":null,` +
		`"value":{"location":"a","pool":"","quantity":0},"absent":null,"list":["a",""]}`
	if err != nil || string(got) != want {
		t.Errorf("MarshalJSON =\n%s, %v\nwant\n%s", got, err, want)
	}
	if got, err := MarshalJSON(nil); err == nil {
		t.Errorf("MarshalJSON(nil) = %s; want an error", got)
	}
}
