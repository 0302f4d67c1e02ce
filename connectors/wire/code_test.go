package wire

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// edit replaces one part of the order.
func edit(t testing.TB, old, new string) string {
	t.Helper()
	if strings.Count(placed, old) != 1 {
		t.Fatalf("%q stands %d times in the order; want once", old, strings.Count(placed, old))
	}
	return strings.Replace(placed, old, new, 1)
}

// stock is a stock event with a quantity.
func stock(typ, quantity string) string {
	return `{"id":"1","source":"s","type":"` + typ + `","time":"2026-11-21T09:00:00Z","sku":"a","location":"l","to":"m","quantity":` + quantity + `}`
}

// ping is a beacon's ping with a strength.
func ping(rssi string) string {
	return `{"id":"1","source":"s","type":"beacon.ping","time":"2026-11-21T09:00:00Z","device":"d","beacon":{"uuid":"u"},"rssi_dbm":` + rssi + `}`
}

// link is a link of identifiers.
func link(identifiers string) string {
	return `{"id":"1","source":"s","type":"identity.linked","time":"2026-11-21T09:00:00Z","identifiers":[` + identifiers + `]}`
}

// refused is a record that must be refused.
type refused struct {
	code, field, value string
	headers            []connectors.Header
}

func refusals(t testing.TB) []refused {
	order := func(code, field, old, new string) refused {
		return refused{code: code, field: field, value: edit(t, old, new)}
	}
	const line = `{"line":1,"sku":"85123A","quantity":6,"unit_price":"2.55"}`
	return []refused{
		{code: CodeTooLarge, value: strings.Repeat(" ", MaxRecordBytes) + "{}"},
		{code: CodeContentType, value: placed, headers: []connectors.Header{header("content-type", "application/octet-stream")}},
		{code: CodeContentType, value: placed, headers: []connectors.Header{header("content-type", "application/cloudevents-batch+json")}},
		{code: CodeMalformedRow, value: rees46View + ",", headers: []connectors.Header{header("content-type", "text/csv")}},
		{code: CodeInvalidUTF8, value: edit(t, "85123A", "\xff")},
		{code: CodeInvalidUTF8, value: edit(t, "85123A", `\ud800`)},
		{code: CodeInvalidUTF8, value: edit(t, "85123A", `\ud800\u0041`)},
		{code: CodeInvalidUTF8, value: edit(t, "85123A", "\xed\xa0\x80")},
		{code: CodeMalformedJSON, value: ""},
		{code: CodeMalformedJSON, value: placed + "{}"},
		{code: CodeMalformedJSON, value: placed[:len(placed)-1]},
		{code: CodeMalformedJSON, value: "\xef\xbb\xbf" + placed},
		{code: CodeMalformedJSON, value: edit(t, `"quantity":6`, `"quantity":NaN`)},
		{code: CodeMalformedJSON, value: edit(t, `"quantity":6`, `"quantity":-Infinity`)},
		{code: CodeMalformedJSON, value: edit(t, `"quantity":6`, `"quantity":06`)},
		{code: CodeMalformedJSON, value: edit(t, `"quantity":6`, `"quantity":6,`)},
		{code: CodeMalformedJSON, value: edit(t, "85123A", "85\n")},
		{code: CodeTooDeep, value: strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)},
		{code: CodeTooDeep, value: edit(t, `"staff":""`, `"extra":`+strings.Repeat(`{"a":`, MaxDepth)+"1"+strings.Repeat("}", MaxDepth))},
		{code: CodeTooManyValues, value: "[1" + strings.Repeat(",1", MaxValues) + "]"},
		{code: CodeNotAnObject, value: `[` + placed + `]`},
		{code: CodeNotAnObject, value: `"order.placed"`},
		order(CodeIDMissing, "id", `"id":"o-536365",`, ""),
		order(CodeIDMissing, "id", `"o-536365"`, `""`),
		order(CodeIDMissing, "id", `"o-536365"`, "null"),
		order(CodeWrongType, "id", `"o-536365"`, "536365"),
		order(CodeMissingField, "source", `"web-uk","type"`, `"","type"`),
		order(CodeMissingField, "type", `"type":"order.placed",`, ""),
		order(CodeUnknownType, "type", `order.placed`, "order.paid"),
		order(CodeMissingField, "time", `"time"`, `"when"`),
		order(CodeTimeInvalid, "time", `09:00:00.123Z`, "9:00"),
		order(CodeTimeInvalid, "time", `2026-11-21T09:00:00.123Z`, "1970-01-01T00:00:00Z"),
		order(CodeTimeInvalid, "promised_by", `18:00:00Z`, "25:00:00Z"),
		order(CodeMissingField, "order", `"order":"536365"`, `"order":""`),
		order(CodeMissingField, "currency", `"currency":"GBP",`, ""),
		order(CodeDuplicateField, "order", `"order":"536365"`, `"order":"536365","\u006frder":"1"`),
		order(CodeWrongType, "order", `"order":"536365"`, `"order":536365`),
		order(CodeWrongType, "lines[0].sku", `"85123A"`, `{"a":1}`),
		order(CodeWrongType, "lines", `[`+line+`]`, `{"0":`+line+`}`),
		order(CodeWrongType, "lines[1]", line, line+",7"),
		order(CodeWrongType, "destination", `{"lat":51.5,"lon":-0.12,"region":"UK-LDN"}`, `"London"`),
		order(CodeWrongType, "customer[1].authenticated", `"authenticated":true`, `"authenticated":"yes"`),
		order(CodeStringTooLong, "lines[0].sku", `85123A`, strings.Repeat("x", MaxStringBytes+1)),
		order(CodeStringInvalid, "lines[0].sku", `85123A`, `85\u0000`),
		order(CodeStringInvalid, "order", `"order":"536365"`, "\"order\":\"5\u0085\""),
		order(CodeIntegerInvalid, "lines[0].line", `"line":1`, `"line":1.5`),
		order(CodeIntegerInvalid, "lines[0].line", `"line":1`, `"line":-1`),
		order(CodeIntegerInvalid, "lines[0].line", `"line":1`, `"line":99999999999999999999`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, `"2.5500001"`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, "1e3"),
		order(CodePriceNotPositive, "lines[0].unit_price", `"2.55"`, `"\u002d2.55"`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, `"NaN"`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, `" 2.55"`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, `"2,55"`),
		order(CodeMoneyInvalid, "lines[0].unit_price", `"2.55"`, "9999999999999"),
		order(CodePriceNotPositive, "lines[0].unit_price", `"2.55"`, `"0.00"`),
		order(CodePriceNotPositive, "lines[0].unit_price", `"2.55"`, `-11062.06`),
		order(CodeMissingField, "lines[0].unit_price", `,"unit_price":"2.55"`, ""),
		order(CodeAmountAbsurd, "lines[0]", `"2.55"`, `"10000000000.00"`),
		order(CodeCurrencyInvalid, "currency", "GBP", "gbp"),
		order(CodeCurrencyInvalid, "currency", "GBP", "QQQ"),
		order(CodeQuantityInvalid, "lines[0].quantity", `"quantity":6`, `"quantity":0`),
		order(CodeQuantityInvalid, "lines[0].quantity", `"quantity":6`, `"quantity":-6`),
		order(CodeQuantityInvalid, "lines[0].quantity", `"quantity":6`, `"quantity":0.5`),
		order(CodeWrongType, "lines[0].quantity", `"quantity":6`, `"quantity":"6"`),
		order(CodeQuantityAbsurd, "lines[0].quantity", `"quantity":6`, `"quantity":1000001`),
		order(CodeQuantityAbsurd, "lines[0].quantity", `"quantity":6`, `"quantity":-1000001`),
		order(CodeQuantityAbsurd, "lines[0].quantity", `"quantity":6`, `"quantity":`+strings.Repeat("9", 400)),
		{code: CodeQuantityInvalid, field: "quantity", value: stock("stock.counted", "-1")},
		{code: CodeQuantityInvalid, field: "quantity", value: stock("stock.received", "0")},
		{code: CodeQuantityInvalid, field: "quantity", value: stock("stock.transferred", "-2")},
		{code: CodeQuantityInvalid, field: "quantity", value: stock("stock.adjusted", "0")},
		{code: CodeQuantityAbsurd, field: "quantity", value: stock("stock.adjusted", "-1000001")},
		{code: CodeMissingField, field: "quantity", value: stock("stock.counted", "null")},
		order(CodeChannelUnknown, "channel", "own_online", "phone"),
		order(CodePositionInvalid, "destination.lat", "51.5", "90.000001"),
		order(CodePositionInvalid, "destination.lon", "-0.12", `"west"`),
		{code: CodeSignalInvalid, field: "rssi_dbm", value: ping(`-200.5`)},
		{code: CodeSignalInvalid, field: "rssi_dbm", value: ping(`"loud"`)},
		{code: CodeIdentifiersMissing, field: "identifiers", value: link(`{"type":"phone","value":"1"},{"type":"device","value":"null"}`)},
		{code: CodeIdentifiersMissing, field: "identifiers", value: link("")},
		{code: CodeMalformedMessagePack, value: "\x81\xa2id", headers: []connectors.Header{header("content-type", "application/msgpack")}},
		order(CodeLinesMissing, "lines", line, ""),
		order(CodeLinesMissing, "lines", `"lines"`, `"items"`),
		order(CodeTooManyLines, "lines", line, "0"+strings.Repeat(",0", MaxLines)),
		order(CodeTooManyItems, "customer", `{"type":"loyalty","value":"17850"}`, "0"+strings.Repeat(",0", MaxIdentifiers)),
		{code: CodeTooManyItems, field: "pools", value: `{"id":"1","source":"s","type":"location","time":"2026-11-21T09:00:00Z","location":"l","pools":["p"` + strings.Repeat(`,"p"`, MaxItems) + `]}`},
		order(CodeTooManyItems, "", `"staff":""`, strings.Repeat(`"x":1,`, MaxItems)+`"y":1`),
		order(CodeLineInvalid, "lines[0].line", `"line":1`, `"line":0`),
		order(CodeLineDuplicate, "lines[2].line", line, strings.Join([]string{line, strings.Replace(line, ":1,", ":7,", 1), line}, ",")),
		order(CodeGTINInvalid, "gtin", placed, `{"id":"1","source":"s","type":"product","time":"2026-11-21T09:00:00Z","sku":"a","gtin":"06901234567893"}`),
		order(CodeIdentifierInvalid, "customer[0].type", `"loyalty"`, `"no word"`),
		order(CodeMissingField, "customer[0].type", `"type":"loyalty",`, ""),
		order(CodeWrongType, "customer[0].value", `"17850"`, "17850"),
	}
}

func TestRefusals(t *testing.T) {
	d := newDecoder(t)
	for _, c := range refusals(t) {
		name := fmt.Sprintf("%s %s %.60q", c.code, c.field, c.value)
		e := decode(t, d, connectors.RawRecord{Offset: 3, Value: []byte(c.value), Headers: c.headers})
		if e.Reject == nil || e.Reject.Code != c.code {
			t.Errorf("%s: Decode gave %+v; want code %s", name, e.Reject, c.code)
			continue
		}
		if hash := sha256.Sum256([]byte(c.value)); string(e.Reject.Hash) != string(hash[:]) {
			t.Errorf("%s: hash is %x; want %x", name, e.Reject.Hash, hash)
		}
		if e.Offset != 3 || e.Payload.Value != nil {
			t.Errorf("%s: event = %+v; want offset 3 and no payload", name, e)
		}
		if got := fieldOf(e.Reject.Fields, FieldAtFault); got != c.field {
			t.Errorf("%s: field at fault = %q; want %q", name, got, c.field)
		}
		again := decode(t, newDecoder(t), connectors.RawRecord{Offset: 3, Value: []byte(c.value), Headers: c.headers})
		if !reflect.DeepEqual(again, e) {
			t.Errorf("%s: a fresh decoder gave %+v; want %+v", name, again, e)
		}
	}
}

func fieldOf(fields []operators.Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Every code has a record that is refused with it.
func TestEveryCodeIsTested(t *testing.T) {
	tested := map[string]bool{CodeNoValue: true} // in TestDecodeDeletion
	for _, c := range refusals(t) {
		tested[c.code] = true
	}
	for name, code := range constants(t) {
		if !tested[code] {
			t.Errorf("no record is refused with %s (%s)", name, code)
		}
		delete(tested, code)
	}
	for code := range tested {
		t.Errorf("code %s has no constant in code.go", code)
	}
}

// constants reads the codes from code.go.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{"CodeUnknownType": CodeUnknownType}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				codes[spec.Names[0].Name] = strings.Trim(lit.Value, `"`)
			}
		}
		return true
	})
	return codes
}

// A dead letter shows enough to add up what was refused, and nothing else.
func TestRejectFields(t *testing.T) {
	d := newDecoder(t)
	got := decode(t, d, connectors.RawRecord{Value: []byte(edit(t, `"2.55"`, "-2.55"))}).Reject.Fields
	want := []operators.Field{
		{Name: "field", Value: "lines[0].unit_price"}, {Name: "type", Value: "order.placed"}, {Name: "source", Value: "web-uk"},
		{Name: "id", Value: "o-536365"}, {Name: "order", Value: "536365"}, {Name: "location", Value: "web-uk"},
		{Name: "channel", Value: "own_online"}, {Name: "currency", Value: "GBP"}, {Name: "lines", Value: "1"},
		{Name: "lines[0].line", Value: "1"}, {Name: "lines[0].sku", Value: "85123A"}, {Name: "lines[0].quantity", Value: "6"},
		{Name: "lines[0].unit_price", Value: "-2.55"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields =\n%v\nwant\n%v", got, want)
	}
	for _, c := range []struct{ old, new, field, shown string }{
		{`"order":"536365"`, `"order":"wang@example.com"`, "order", Hidden},
		{`"order":"536365"`, `"order":"Wang Xiaoming"`, "order", Hidden},
		{`"order":"536365"`, `"order":{"phone":"13800138000"}`, "order", Hidden},
		{`"id":"o-536365"`, `"id":"wang@example.com"`, "id", ""},
		{`"quantity":6`, `"quantity":13800138000`, "lines[0].quantity", Hidden},
		{`"quantity":6`, `"quantity":80995`, "lines[0].quantity", "80995"},
	} {
		value := strings.Replace(edit(t, `"2.55"`, "-2.55"), c.old, c.new, 1)
		e := decode(t, d, connectors.RawRecord{Value: []byte(value)})
		if e.Reject == nil || fieldOf(e.Reject.Fields, c.field) != c.shown {
			t.Errorf("%s is shown in %+v; want %q", c.new, e.Reject, c.shown)
		}
		if strings.Contains(e.ID, "@") {
			t.Errorf("%s: the event's id is %q; want none", c.new, e.ID)
		}
	}
}

// A well decoded event that fails later shows the same as one that is refused.
func TestFields(t *testing.T) {
	d := newDecoder(t)
	e := decode(t, d, connectors.RawRecord{Value: []byte(placed)})
	want := []operators.Field{
		{Name: "order", Value: "536365"}, {Name: "channel", Value: "own_online"}, {Name: "location", Value: "web-uk"},
		{Name: "currency", Value: "GBP"}, {Name: "lines", Value: "1"}, {Name: "lines[0].line", Value: "1"},
		{Name: "lines[0].sku", Value: "85123A"}, {Name: "lines[0].quantity", Value: "6"}, {Name: "lines[0].unit_price", Value: "2.55"},
	}
	if got := Fields(e.Payload.Value); !reflect.DeepEqual(got, want) {
		t.Errorf("Fields(order) =\n%v\nwant\n%v", got, want)
	}
}
