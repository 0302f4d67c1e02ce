package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// FuzzDecodeMessagePack: any bytes give one event or a mark, the same every
// time; what we take, a general decoder takes too; and it says what the same in
// JSON says.
func FuzzDecodeMessagePack(f *testing.F) {
	for _, text := range append(examples(f), placed, counted, `{"type":"replay.mark","time":"2026-11-21T09:00:00Z"}`) {
		if packed, ok := pack(f, text); ok {
			f.Add(packed)
		}
	}
	for _, c := range refusals(f) {
		if packed, ok := pack(f, c.value); ok && len(packed) < 1_000 {
			f.Add(packed)
		}
	}
	for _, value := range []string{"\xdd\xff\xff\xff\xff", "\x81\xa1a\xc7\x01\x05a", "\x81\xa1a\xd6\xff\x00\x00\x00\x01", "\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "\x81\x01\x01"} {
		f.Add([]byte(value))
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		if value == nil {
			return
		}
		r := asMessagePack(value)
		got, mark := collect(d, r)
		if again, _ := collect(d, r); !reflect.DeepEqual(got, again) {
			t.Fatalf("Decode twice = %+v, %+v; want the same", got, again)
		}
		wellFormed(t, got, mark)
		var doc document
		if !doc.unpack(value) {
			return
		}
		if in := bytes.NewReader(value); msgpack.NewDecoder(in).Skip() != nil || in.Len() > 0 {
			t.Fatalf("%x is taken; a general decoder does not", value)
		}
		text, ok := doc.appendJSON(nil, 0)
		if !ok || len(text) > MaxRecordBytes {
			return
		}
		want, wantMark := collect(d, connectors.RawRecord{Value: text})
		if mark != wantMark || len(got) != len(want) {
			t.Fatalf("%s: mark %v and %d events; want, as in JSON, %v and %d", text, mark, len(got), wantMark, len(want))
		}
		if len(got) > 0 {
			sameButHash(t, text, got[0], want[0])
		}
	})
}

// wellFormed fails unless a record gave one event, with a payload or a reject,
// or a mark.
func wellFormed(t *testing.T, events []operators.Event, mark operators.Mark) {
	t.Helper()
	if (mark.Time == 0) != (len(events) == 1) || len(events) > 1 {
		t.Fatalf("Decode = %d events and mark %v; want one of the two", len(events), mark)
	}
	for _, e := range events {
		if (e.Reject == nil) == (e.Payload.Value == nil) {
			t.Fatalf("Decode = %+v; want either a payload or a reject", e)
		}
		outside(t, e)
	}
}

func sameButHash(t *testing.T, text []byte, got, want operators.Event) {
	t.Helper()
	if got.Reject != nil && want.Reject != nil {
		got.Reject.Hash, want.Reject.Hash = nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %+v %+v %+v; want, as in JSON, %+v %+v %+v", text, got, got.Payload.Value, got.Reject, want, want.Payload.Value, want.Reject)
	}
}

// appendJSON writes a document as JSON. It is false if JSON can't say it.
func (d *document) appendJSON(b []byte, i uint32) ([]byte, bool) {
	n, ok := &d.nodes[i], true
	switch n.kind {
	case kindString:
		return appendQuoted(b, string(d.bytes(n))), true
	case kindNumber:
		return append(b, d.bytes(n)...), true
	case kindTrue, kindFalse, kindNull:
		return append(b, map[nodeKind]string{kindTrue: "true", kindFalse: "false", kindNull: "null"}[n.kind]...), true
	case kindOpaque:
		return b, false
	}
	open, end := byte('{'), byte('}')
	if n.kind == kindArray {
		open, end = '[', ']'
	}
	b = append(b, open)
	child := i + 1
	for k := range n.size {
		c := &d.nodes[child]
		if k > 0 {
			b = append(b, ',')
		}
		if n.kind == kindObject {
			b = append(appendQuoted(b, string(d.src[c.nameFrom:c.nameTo])), ':')
		}
		var fine bool
		b, fine = d.appendJSON(b, child)
		ok = ok && fine
		child = c.next
	}
	return append(b, end), ok
}

// FuzzCloudEvents: whatever stands in the headers and in the value, a record
// gives one event or a mark, the same every time; an accepted one has a whole
// envelope, and is the same with that in its value, in plain or structured mode.
func FuzzCloudEvents(f *testing.F) {
	const payload = `{"sku":"glasses-7","location":"sanlitun","quantity":3}`
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f.Add("k-1", "wms", "stock.counted", "2026-11-21T09:00:00Z", "application/json; charset=utf-8", trace, []byte(payload))
	f.Add("", "", "", "", "application/cloudevents+json", trace, []byte(structured))
	f.Add("k-1", "", "", "", "application/cloudevents+json", "", []byte(strings.Replace(structured, `"id":"k-1",`, "", 1)))
	f.Add("k-1", "wms", "stock.counted", "2026-11-21T09:00:00Z", "application/msgpack", "", []byte("\x83\xa3sku\xa1a\xa8location\xa1l\xa8quantity\x03"))
	f.Add("", "", "replay.mark", "2026-11-21T09:00:00Z", "", "", []byte(`{}`))
	f.Add("\xff", "\n", "stock.eaten", "soon", "application/cloudevents-batch+json", "00-", []byte(`[`+structured+`]`))
	f.Add("k-1", "wms", "stock.counted", "2026-11-21T09:00:00Z", "", trace, []byte(`{"id":null,"source":"","type":"order.placed","time":7}`))
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, id, source, typ, at, content, trace string, value []byte) {
		if value == nil {
			return
		}
		r := connectors.RawRecord{Value: value, Headers: []connectors.Header{header("ce_id", id), header("ce_source", source),
			header("ce_type", typ), header("ce_time", at), header("content-type", content), header("ce_traceparent", trace)}}
		got, mark := collect(d, r)
		if again, _ := collect(d, r); !reflect.DeepEqual(got, again) {
			t.Fatalf("Decode twice = %+v, %+v; want the same", got, again)
		}
		wellFormed(t, got, mark)
		if len(got) == 0 || got[0].Reject != nil {
			return
		}
		e := got[0]
		if e.ID == "" || e.Source == "" || e.Type == "" || e.Time <= 0 || e.Trace != "" && !isTrace([]byte(e.Trace)) {
			t.Fatalf("Decode = %+v; want a whole envelope", e)
		}
		e.Payload.Value.Visit(&equator{writer: writer{b: []byte{'{'}}})
		otherwise(t, d, e)
	})
}

// otherwise decodes an event whose identifiers are all the same in plain and in
// structured mode.
func otherwise(t *testing.T, d *Decoder, e operators.Event) {
	t.Helper()
	payload, err := MarshalJSON(e.Payload.Value)
	if err != nil {
		t.Fatal(err)
	}
	envelope := map[string]any{"id": e.ID, "source": e.Source, "type": e.Type, "time": string(appendWall(nil, e.Time)),
		"traceparent": e.Trace, "data": json.RawMessage(payload)}
	value, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	plain := d.Unmarshal("", equated(t, &e))
	inside, _ := collect(d, connectors.RawRecord{Value: value, Headers: []connectors.Header{header("content-type", "application/cloudevents+json")}})
	plain.Trace = e.Trace
	if len(inside) != 1 || !reflect.DeepEqual(inside[0], plain) {
		t.Fatalf("structured: %+v; want, as in plain mode, %+v", inside, plain)
	}
	plain.Payload.Value.Visit(&equator{writer: writer{b: []byte{'{'}}})
	if again := equated(t, &plain); !bytes.Equal(again, equated(t, &e)) || state.Time(0) == plain.Time {
		t.Fatalf("plain: %s; want %+v", again, e)
	}
}
