package wire

import (
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// header makes one.
func header(key, value string) connectors.Header {
	return connectors.Header{Key: key, Value: []byte(value)}
}

func TestDecodeEnvelopeFromHeaders(t *testing.T) {
	d := newDecoder(t)
	want := decode(t, d, connectors.RawRecord{Value: []byte(counted)})
	binary := decode(t, d, connectors.RawRecord{
		Value: []byte(`{"sku":"glasses-7","location":"sanlitun","pool":"store","quantity":3,"document":"CNT-9"}`),
		Headers: []connectors.Header{header("ce_specversion", "1.0"), header("ce_id", "k-1"), header("ce_source", "wms"),
			header("ce_type", "stock.counted"), header("ce_time", "2026-11-21T09:00:00Z"), header("content-type", "application/json; charset=utf-8")},
	})
	structured := decode(t, d, connectors.RawRecord{
		Value:   []byte(`{"specversion":"1.0","id":"k-1","source":"wms","type":"stock.counted","time":"2026-11-21T09:00:00Z","data":{"sku":"glasses-7","location":"sanlitun","pool":"store","quantity":3,"document":"CNT-9"}}`),
		Headers: []connectors.Header{header("content-type", "application/cloudevents+json")},
	})
	inside := decode(t, d, connectors.RawRecord{Value: []byte(counted), Headers: []connectors.Header{header("ce_id", "other"), header("traceparent", "nonsense")}})
	for name, got := range map[string]operators.Event{"binary": binary, "structured": structured, "value before header": inside} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s mode = %+v; want %+v", name, got, want)
		}
	}
	if want.Reject != nil {
		t.Errorf("Decode(count) is refused: %+v", want.Reject)
	}
}

// structured is a count as a CloudEvent in structured mode.
const structured = `{"specversion":"1.0","id":"k-1","source":"wms","type":"stock.counted","time":"2026-11-21T09:00:00Z","data":{"sku":"glasses-7","location":"sanlitun","quantity":3}}`

// What is missing in a structured CloudEvent comes from headers, and only what
// is missing there too is at fault.
func TestStructuredFromHeaders(t *testing.T) {
	d := newDecoder(t)
	mode := header("content-type", "Application/CloudEvents+JSON; charset=utf-8")
	want := decode(t, d, connectors.RawRecord{Value: []byte(structured), Headers: []connectors.Header{mode}})
	if want.Reject != nil {
		t.Fatalf("Decode(structured) is refused: %+v", want.Reject)
	}
	for field, c := range map[string]struct{ text, header, value, code string }{
		"id":     {`"id":"k-1",`, "ce_id", "k-1", CodeIDMissing},
		"source": {`"source":"wms",`, "ce_source", "wms", CodeMissingField},
		"type":   {`"type":"stock.counted",`, "ce_type", "stock.counted", CodeMissingField},
		"time":   {`"time":"2026-11-21T09:00:00Z",`, "ce_time", "2026-11-21T09:00:00Z", CodeMissingField},
		"data":   {`,"data":{"sku":"glasses-7","location":"sanlitun","quantity":3}`, "", "", CodeMissingField},
	} {
		for _, without := range []string{"", c.text[:strings.IndexByte(c.text, ':')+1] + "null" + c.text[len(strings.TrimRight(c.text, ",")):]} {
			r := connectors.RawRecord{Value: []byte(strings.Replace(structured, c.text, without, 1)), Headers: []connectors.Header{mode}}
			if e := decode(t, d, r); e.Reject == nil || e.Reject.Code != c.code || fieldOf(e.Reject.Fields, FieldAtFault) != field {
				t.Errorf("without %s: %+v; want code %s at %s", field, e.Reject, c.code, field)
			}
			if c.header == "" {
				continue
			}
			r.Headers = append(r.Headers, header(c.header, c.value))
			if e := decode(t, d, r); !reflect.DeepEqual(e, want) {
				t.Errorf("%s from a header: %+v %+v; want %+v", field, e, e.Reject, want)
			}
		}
	}
}

// Headers are as strictly checked as values.
func TestEnvelopeHeaderRefusals(t *testing.T) {
	d := newDecoder(t)
	good := map[string]string{"ce_id": "k-1", "ce_source": "wms", "ce_type": "stock.counted", "ce_time": "2026-11-21T09:00:00Z"}
	for name, c := range map[string]struct{ header, value, code string }{
		"id not UTF-8":         {"ce_id", "\xff", CodeIDMissing},
		"id with control":      {"ce_id", "a\n", CodeStringInvalid},
		"long id":              {"ce_id", strings.Repeat("x", MaxStringBytes+1), CodeStringTooLong},
		"source not UTF-8":     {"ce_source", "\xff", CodeMissingField},
		"type nobody knows":    {"ce_type", "stock.eaten", CodeUnknownType},
		"time that is none":    {"ce_time", "yesterday", CodeTimeInvalid},
		"batch":                {"content-type", "application/cloudevents-batch+json", CodeContentType},
		"batch in MessagePack": {"content-type", "application/cloudevents-batch+msgpack", CodeContentType},
		"MessagePack, it says": {"content-type", "application/msgpack", CodeMalformedMessagePack},
	} {
		r := connectors.RawRecord{Value: []byte(`{"sku":"glasses-7","location":"sanlitun","quantity":3}`)}
		for key, value := range good {
			if key != c.header {
				r.Headers = append(r.Headers, header(key, value))
			}
		}
		if e := decode(t, d, r); e.Reject == nil && strings.HasPrefix(c.header, "ce_") {
			t.Errorf("%s: accepted without the header", name)
		}
		r.Headers = append(r.Headers, header(c.header, c.value))
		if e := decode(t, d, r); e.Reject == nil || e.Reject.Code != c.code {
			t.Errorf("%s: %+v; want code %s", name, e.Reject, c.code)
		}
	}
}

// A trace is carried through from wherever it stands, of good records and bad.
func TestTrace(t *testing.T) {
	d := newDecoder(t)
	const one, two = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	mode := header("content-type", "application/cloudevents+json")
	inside := strings.Replace(structured, `"specversion"`, `"traceparent":"`+one+`","specversion"`, 1)
	for name, c := range map[string]struct {
		value   string
		headers []connectors.Header
		want    string
	}{
		"header":                         {counted, []connectors.Header{header("traceparent", one)}, one},
		"event's header":                 {counted, []connectors.Header{header("ce_traceparent", one)}, one},
		"record's before event's":        {counted, []connectors.Header{header("ce_traceparent", two), header("traceparent", one)}, one},
		"event's if record's is none":    {counted, []connectors.Header{header("traceparent", "nonsense"), header("ce_traceparent", one)}, one},
		"structured":                     {inside, []connectors.Header{mode}, one},
		"header before structured":       {inside, []connectors.Header{mode, header("traceparent", two)}, two},
		"malformed in structured":        {strings.Replace(inside, "00-0a", "ff-0a", 1), []connectors.Header{mode}, ""},
		"of a plain event, in its value": {inside, nil, ""},
		"refused":                        {strings.Replace(inside, `"quantity":3`, `"quantity":-3`, 1), []connectors.Header{mode}, one},
		"not JSON":                       {"{", []connectors.Header{header("ce_traceparent", one)}, one},
	} {
		e := decode(t, d, connectors.RawRecord{Value: []byte(c.value), Headers: c.headers})
		if e.Trace != c.want {
			t.Errorf("%s: trace %q; want %q", name, e.Trace, c.want)
		}
	}
}
