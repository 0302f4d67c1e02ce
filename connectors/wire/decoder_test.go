package wire

import (
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// key of the tests.
const testKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func newDecoder(t testing.TB) *Decoder {
	t.Helper()
	key, err := ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPseudonymiser(Privacy{Key: key, Region: "CN"})
	if err != nil {
		t.Fatal(err)
	}
	return NewDecoder(p)
}

// failer is what a test or a property has to fail with.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// decode decodes one record that must give exactly one event.
func decode(t failer, d *Decoder, r connectors.RawRecord) operators.Event {
	t.Helper()
	var events []operators.Event
	mark := d.Decode("sales", &r, func(e operators.Event) { events = append(events, e) })
	if len(events) != 1 || mark.Time != 0 {
		t.Fatalf("Decode(%q) gave %d events and mark %v; want 1 and none", r.Value, len(events), mark)
	}
	return events[0]
}

const placed = `{"id":"o-536365","source":"web-uk","type":"order.placed","time":"2026-11-21T09:00:00.123Z",
 "order":"536365","channel":"own_online","location":"web-uk","staff":"","currency":"GBP",
 "customer":[{"type":"loyalty","value":"17850"},{"type":"phone","value":"+86 138 0013 8000","authenticated":true}],
 "payment_token":"tok_9","destination":{"lat":51.5,"lon":-0.12,"region":"UK-LDN"},"promised_by":"2026-11-23T18:00:00Z",
 "lines":[{"line":1,"sku":"85123A","quantity":6,"unit_price":"2.55"}]}`

func TestDecodeOrder(t *testing.T) {
	d := newDecoder(t)
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := decode(t, d, connectors.RawRecord{Offset: 7, Value: []byte(placed),
		Headers: []connectors.Header{{Key: "traceparent", Value: []byte(trace)}}})
	pseudonym := func(typ, value string) string {
		p, ok := d.privacy.Pseudonym(typ, value)
		if !ok {
			t.Fatalf("Pseudonym(%q, %q) is blocked", typ, value)
		}
		return p
	}
	want := operators.Event{Offset: 7, ID: "o-536365", Source: "web-uk", Type: "order.placed",
		Time: 1795251600_123000, Trace: trace,
		Payload: state.Nested{Value: &event.OrderPlaced{
			Order: "536365", Channel: "own_online", Location: "web-uk", Currency: "GBP",
			Customer: []event.Identifier{
				{Type: "loyalty", Value: pseudonym("loyalty", "17850")},
				{Type: "phone", Value: pseudonym("phone", "13800138000"), Authenticated: true},
			},
			PaymentToken: pseudonym("payment_token", "tok_9"),
			Destination:  &event.Destination{Lat: 51_500_000, Lon: -120_000, Region: "UK-LDN"},
			PromisedBy:   1795456800_000000,
			Lines:        []event.Line{{Line: 1, SKU: "85123A", Quantity: 6, UnitPrice: 2_550_000}},
		}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Decode(order) =\n%+v %+v\nwant\n%+v %+v", got, got.Payload.Value, want, want.Payload.Value)
	}
}

const counted = `{"id":"k-1","source":"wms","type":"stock.counted","time":"2026-11-21T09:00:00Z","sku":"glasses-7","location":"sanlitun","pool":"store","quantity":3,"document":"CNT-9"}`

func TestDecodeDeletion(t *testing.T) {
	d := newDecoder(t)
	const at = state.Time(1795251600_000000)
	for _, c := range []struct {
		key  string
		want state.Visitable
	}{
		{"location/web-uk", &event.Location{Location: "web-uk", Deleted: true}},
		{"product/a/b \"1\"", &event.Product{SKU: "a/b \"1\"", Deleted: true}},
		{"price/a/b/own_store", &event.Price{SKU: "a/b", Channel: "own_store", Deleted: true}},
		{"staff/g-12", &event.Staff{Staff: "g-12", Deleted: true}},
		{"reader/dock/a/12", &event.Reader{Reader: "dock/a", Antenna: 12, Deleted: true}},
		{"beacon/f7826da6/1/7", &event.Beacon{Beacon: "f7826da6/1/7", Deleted: true}},
		{"district/7", &event.District{District: "7", Deleted: true}},
		{"campaign/k", &event.Campaign{Campaign: "k", Deleted: true}},
	} {
		var got operators.Event
		d.Decode("reference", &connectors.RawRecord{Offset: 9, Key: []byte(c.key), Time: at}, func(e operators.Event) { got = e })
		want := operators.Event{Offset: 9, Source: "kafka/reference", ID: "delete/" + c.key + "@9", Time: at,
			Type: c.key[:strings.IndexByte(c.key, '/')], Payload: state.Nested{Value: c.want}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Decode(deletion of %s) = %+v %+v %+v; want %+v", c.key, got, got.Payload.Value, got.Reject, want)
		}
	}
	for key, code := range map[string]string{
		"": CodeNoValue, "order.placed/1": CodeNoValue, "location": CodeMissingField, "price/a": CodeMissingField,
		"reader/a": CodeMissingField, "reader/a/first": CodeWrongType,
		"price/a/web": CodeChannelUnknown, "product/\xff": CodeNoValue,
	} {
		if e := decode(t, d, connectors.RawRecord{Key: []byte(key), Time: at}); e.Reject == nil || e.Reject.Code != code {
			t.Errorf("Decode(deletion of %q) = %+v; want code %s", key, e.Reject, code)
		}
	}
	if e := decode(t, d, connectors.RawRecord{Key: []byte("location/a")}); e.Reject == nil || e.Reject.Code != CodeMissingField {
		t.Errorf("Decode(deletion without time) = %+v; want code %s", e.Reject, CodeMissingField)
	}
}

func TestDecodeMark(t *testing.T) {
	d := newDecoder(t)
	r := connectors.RawRecord{Value: []byte(`{"type":"replay.mark","time":"2026-11-21T09:00:00Z"}`)}
	mark := d.Decode("sales", &r, func(e operators.Event) { t.Errorf("Decode(mark) emitted %+v", e) })
	if mark.Time != 1795251600_000000 {
		t.Errorf("Decode(mark) = %v; want 2026-11-21T09:00:00Z", mark.Time)
	}
	control := connectors.RawRecord{Control: true}
	if mark := d.Decode("sales", &control, func(e operators.Event) { t.Errorf("Decode(control) emitted %+v", e) }); mark.Time != 0 {
		t.Errorf("Decode(control) = %v; want no mark", mark)
	}
	for _, value := range []string{`{"type":"replay.mark"}`, `{"type":"replay.mark","time":"soon"}`} {
		if e := decode(t, d, connectors.RawRecord{Value: []byte(value)}); e.Reject == nil {
			t.Errorf("Decode(%s) = %+v; want a reject", value, e)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	d := newDecoder(t)
	body := strings.Replace(counted, `"type":"stock.counted",`, "", 1)
	if got, want := d.Unmarshal("stock.counted", []byte(body)), d.Unmarshal("", []byte(counted)); want.Reject != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Unmarshal(without type) = %+v; want %+v", got, want)
	}
	for body, code := range map[string]string{`{"type":"replay.mark","time":"2026-11-21T09:00:00Z"}`: CodeUnknownType, "": CodeMalformedJSON, body: CodeMissingField} {
		if e := d.Unmarshal("", []byte(body)); e.Reject == nil || e.Reject.Code != code {
			t.Errorf("Unmarshal(%s) = %+v; want code %s", body, e.Reject, code)
		}
	}
	if e := d.Unmarshal("", nil); e.Reject == nil || e.Reject.Code != CodeMalformedJSON {
		t.Errorf("Unmarshal(nil) = %+v; want code %s", e.Reject, CodeMalformedJSON)
	}
}

// What decodes, written again and decoded again, is the same.
func TestRoundTrip(t *testing.T) {
	d := newDecoder(t)
	for _, body := range []string{counted,
		`{"id":"1","source":"s","type":"order.placed","time":"2026-11-21T09:00:00.000001Z","order":"Ünï\u0007-free \"q\" \ud83d\ude00","channel":"social","currency":"CNY","destination":{"lat":-89.999999,"lon":180},"backorder":true,"lines":[{"line":3,"sku":"a","quantity":1000000,"unit_price":"0.000001"},{"line":1,"sku":"b","quantity":1,"unit_price":12.5}]}`,
		`{"id":"l-1","source":"erp","type":"location","time":"2026-11-21T09:00:00+08:00","location":"sanlitun","kind":"store","channel":"own_store","lat":39.93,"lon":116.45,"region":"BJ","timezone":"Asia/Shanghai","opens":"10:00","closes":"22:00","daily_capacity":200,"handling_cost":"3.00","takes_returns":true,"pools":["store","web"]}`,
		`{"id":"p-1","source":"erp","type":"product","time":"2026-11-21T09:00:00Z","sku":"glasses-7","gtin":"06901234567892","brand":"b","attributes":[{"name":"colour","value":"red"}],"price":"899.00","currency":"CNY"}`,
		`{"id":"p-2","source":"cli","type":"policy.published","time":"2026-11-21T09:00:00Z","name":"allocation","comment":"free text","allocation":{"shipping_per_km":"0.001","order_timeout_us":5000000,"partial_orders":true,"pools":[{"rule":"r","pool":"web","channels":["social","own_store"]}]}}`,
	} {
		body = strings.Replace(body, `\u0007-`, "", 1)
		first := d.Unmarshal("", []byte(body))
		if first.Reject != nil {
			t.Errorf("Unmarshal(%s) is refused: %+v", body, first.Reject)
			continue
		}
		written, err := MarshalEvent(&first)
		if err != nil {
			t.Errorf("MarshalEvent(%s): %v", body, err)
		}
		if second := d.Unmarshal("", written); !reflect.DeepEqual(first, second) {
			t.Errorf("Unmarshal(%s) = %+v %+v; want %+v %+v", written, second.Payload.Value, second.Reject, first.Payload.Value, first)
		}
	}
}

// A lower limit refuses what would be taken otherwise.
func TestDecoderLimit(t *testing.T) {
	r := connectors.RawRecord{Value: []byte(`{"id":"1","source":"s","type":"order.shipped","time":"2026-11-21T09:00:00Z","order":"W-1"}`)}
	for limit, want := range map[int]bool{len(r.Value): false, len(r.Value) - 1: true} {
		d := newDecoder(t)
		d.Limit(limit)
		e := decode(t, d, r)
		if got := e.Reject != nil && e.Reject.Code == CodeTooLarge; got != want {
			t.Errorf("a record of %d bytes under a limit of %d: refused as too large = %v; want %v", len(r.Value), limit, got, want)
		}
	}
}
