package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
	"anabranch.dev/topology/retail"
)

// bad is a record that can't be applied: a good document in which old is
// replaced by new, all of it where old is empty.
type bad struct {
	code     string
	topic    string
	document func(id string) string
	old, new string
	header   string // content type
}

func badInputs() []bad {
	sale := func(id string) string {
		return strings.Replace(strings.Replace(order(id, 1), `"order":`, `"receipt":`, 1), "order.placed", "sale.completed", 1)
	}
	placed := func(id string) string { return order(id, 1) }
	about := func(kind string, quantity int) func(id string) string {
		return func(id string) string { return after(kind, id, "first", "doc-"+id, quantity) }
	}
	stock := func(kind, fields string) func(id string) string {
		return func(id string) string { return envelope(kind, id) + fields + `,"document":"doc-` + id + `"}` }
	}
	count := stock("stock.counted", `"sku":"A","location":"shop","pool":"store","quantity":7`)
	product := func(id string) string {
		return envelope("product", id) + `"sku":"B","gtin":"4006381333931","currency":"CNY","price":"10.00"}`
	}
	place := func(id string) string { return strings.Replace(location("new", true), "location-new-true", id, 1) }
	const line = `{"line":1,"sku":"A","quantity":1,"unit_price":"10.00"}`
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(`2006-01-02T15:04:05Z`) }
	return []bad{
		// What is no event at all.
		{code: "malformed_json", topic: "sales", new: `{"id":"x",`},
		{code: "malformed_json", topic: "sales", document: placed, old: `"quantity":1`, new: `"quantity":NaN`},
		{code: "malformed_json", topic: "reference", new: "\x00\x01\x02"},
		{code: "invalid_utf8", topic: "sales", document: placed, old: `"web"`, new: "\"w\xffb\""},
		{code: "too_deep", topic: "sales", new: strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000)},
		{code: "too_large", topic: "stock", new: `{"id":"` + strings.Repeat("x", 1<<20) + `"}`},
		{code: "too_many_values", topic: "sales", document: placed, old: `"lines"`, new: `"bomb":[` + strings.Repeat("1,", 1<<18) + `1],"lines"`},
		{code: "not_an_object", topic: "stock", new: `["stock.counted"]`},
		{code: "content_type_unsupported", topic: "sales", document: placed, header: "application/xml"},
		{code: "malformed_row", topic: "sales", document: placed, header: "text/csv"},
		{code: "no_value", topic: "sales"},
		{code: "unknown_type", topic: "sales", document: placed, old: "order.placed", new: "order.teleported"},
		{code: "unknown_type", topic: "sales", document: stock("product.viewed", `"sku":"A","customer":[{"type":"phone","value":"`+phone+`"}]`)},
		{code: "malformed_msgpack", topic: "sales", document: placed, header: "application/msgpack"},
		{code: "signal_invalid", topic: "stock", document: stock("beacon.ping", `"device":"d","beacon":{"uuid":"u"},"rssi_dbm":-999`)},
		{code: "identifiers_missing", topic: "sales", document: stock("identity.linked", `"identifiers":[{"type":"phone","value":"`+phone+`"}]`)},
		{code: "id_missing", topic: "sales", document: placed, old: `"id":`, new: `"no":`},
		{code: "missing_field", topic: "sales", document: placed, old: `"order":`, new: `"ordre":`},
		{code: "missing_field", topic: "stock", document: count, old: `"sku":"A"`, new: `"sku":""`},
		{code: "missing_field", topic: "sales", document: placed, old: `"source":"acceptance",`},
		{code: "duplicate_field", topic: "sales", document: placed, old: `"channel":`, new: `"currency":"CNY","channel":`},
		{code: "wrong_type", topic: "sales", document: placed, old: `"web"`, new: `5`},
		{code: "wrong_type", topic: "sales", document: placed, old: "[" + line + "]", new: `"none"`},
		{code: "string_too_long", topic: "sales", document: placed, old: `"web"`, new: `"` + strings.Repeat("w", 2_000) + `"`},
		{code: "string_invalid", topic: "sales", document: placed, old: `"web"`, new: `"w\u0000b"`},
		{code: "time_invalid", topic: "sales", document: placed, old: `"time":"2`, new: `"time":"yesterday 2`},
		{code: "too_many_items", topic: "sales", document: placed, old: `"customer":[`, new: `"customer":[` + strings.Repeat(`{"type":"phone","value":"1"},`, 64)},
		{code: "identifier_invalid", topic: "sales", document: placed, old: `"phone"`, new: `"his phone"`},

		// What makes no sense.
		{code: "lines_missing", topic: "sales", document: placed, old: line},
		{code: "lines_missing", topic: "sales", document: sale, old: line},
		{code: "too_many_lines", topic: "sales", document: placed, old: line, new: line + strings.Repeat(","+line, 8_000)},
		{code: "line_duplicate", topic: "sales", document: placed, old: line, new: line + "," + line},
		{code: "line_duplicate", topic: "sales", document: sale, old: line, new: line + "," + line},
		{code: "line_invalid", topic: "sales", document: placed, old: `"line":1`, new: `"line":0`},
		{code: "quantity_invalid", topic: "sales", document: placed, old: `"quantity":1`, new: `"quantity":0`},
		{code: "quantity_invalid", topic: "sales", document: placed, old: `"quantity":1`, new: `"quantity":-3`},
		{code: "quantity_invalid", topic: "sales", document: placed, old: `"quantity":1`, new: `"quantity":1.5`},
		{code: "quantity_invalid", topic: "stock", document: count, old: `"quantity":7`, new: `"quantity":-7`},
		{code: "quantity_absurd", topic: "sales", document: placed, old: `"quantity":1`, new: `"quantity":1000001`},
		{code: "quantity_absurd", topic: "stock", document: count, old: `"quantity":7`, new: `"quantity":10000001`},
		{code: "price_not_positive", topic: "sales", document: placed, old: `"10.00"`, new: `"0.00"`},
		{code: "price_not_positive", topic: "sales", document: sale, old: `"10.00"`, new: `"-1"`},
		{code: "money_invalid", topic: "sales", document: placed, old: `"10.00"`, new: `"10.0000001"`},
		{code: "amount_absurd", topic: "sales", document: placed, old: `"quantity":1,"unit_price":"10.00"`, new: `"quantity":1000000,"unit_price":"1000000"`},
		{code: "channel_unknown", topic: "sales", document: placed, old: "own_online", new: "telepathy"},
		{code: "channel_unknown", topic: "reference", document: place, old: "own_store", new: "telepathy"},
		{code: "currency_invalid", topic: "sales", document: placed, old: "CNY", new: "cny"},
		{code: "currency_invalid", topic: "reference", document: product, old: "CNY", new: "RMB1"},
		{code: "position_invalid", topic: "sales", document: placed, old: `"lat":31`, new: `"lat":131`},
		{code: "position_invalid", topic: "reference", document: place, old: `121.5`, new: `181.5`},
		{code: "gtin_invalid", topic: "reference", document: product, old: "4006381333931", new: "4006381333932"},
		{code: "gtin_invalid", topic: "reference", document: product, old: "4006381333931", new: "40063813"},
		{code: "integer_invalid", topic: "reference", document: place, old: `"kind":`, new: `"daily_capacity":1.5,"kind":`},

		// What can't be true.
		{code: "clock_ahead", topic: "sales", document: placed, old: `"time":"`, new: `"time":"` + at(time.Hour) + `","was":"`},
		{code: "clock_behind", topic: "sales", document: placed, old: `"time":"`, new: `"time":"` + at(-40*24*time.Hour) + `","was":"`},
		{code: "clock_behind", topic: "stock", document: count, old: `"time":"`, new: `"time":"` + at(-40*24*time.Hour) + `","was":"`},
		{code: "missing_field", topic: "stock", document: stock("stock.adjusted", `"sku":"A","quantity":3`)},
		{code: "document_missing", topic: "stock", document: stock("stock.transferred", `"sku":"A","location":"shop","to":"kiosk","quantity":1`), old: `,"document":"doc-`, new: `,"paper":"doc-`},
		{code: "not_withheld", topic: "stock", document: stock("stock.released", `"sku":"A","location":"shop","pool":"store","quantity":3`)},
		{code: "line_unknown", topic: "sales", document: about("order.cancelled", 1), old: `"line":1`, new: `"line":2`},
		{code: "cancel_exceeds", topic: "sales", document: about("order.cancelled", 3)},
		{code: "ship_exceeds", topic: "sales", document: about("order.shipped", 9)},
		{code: "reject_exceeds", topic: "sales", document: about("order.rejected", 9)},
		{code: "return_exceeds", topic: "sales", document: about("return.received", 4)},
		{code: "returns_not_taken", topic: "sales", document: about("return.received", 1), old: `"shop"`, new: `"kiosk"`},
	}
}

// record makes the bad record.
func (b *bad) record(id string) connectors.OutRecord {
	r := connectors.OutRecord{Key: []byte("k")}
	text := b.new
	if b.document != nil {
		text = strings.Replace(b.document(id), b.old, b.new, 1)
	}
	if text != "" {
		r.Value = []byte(text)
	}
	if b.header != "" {
		r.Headers = []connectors.Header{{Key: "content-type", Value: []byte(b.header)}}
	}
	return r
}

// letter is a dead letter as the list shows it.
type letter struct {
	ID, Code string
	Cause    struct {
		Topic             string
		Partition, Offset int64
	}
}

// at names where it came from.
func (l *letter) at() string { return fmt.Sprintf("%s@%d", l.Cause.Topic, l.Cause.Offset) }

func listLetters(t *testing.T, d *process.Dev) (map[string]letter, string) {
	t.Helper()
	code, out := d.Client("dead-letters", "list", "-o", "json", "--limit", "1000")
	var list struct {
		DeadLetters []letter `json:"dead_letters"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		t.Fatalf("dead-letters list = %d: %s", code, out)
	}
	by := map[string]letter{}
	for _, l := range list.DeadLetters {
		if other, twice := by[l.at()]; twice {
			t.Errorf("%s is dead-lettered twice: %+v, %+v", l.at(), other, l)
		}
		by[l.at()] = l
	}
	return by, out
}

// Every kind of bad record is found with its reason, nothing else is lost, and
// what has been mended can be applied after all.
func TestBadInput(t *testing.T) {
	d := process.StartDev(t, "--no-sample", "--quiet")
	s := newShop(t, d.Kafka)
	s.opening(1_000)
	settle(t, d, s.sent())
	s.send("sales", order("first", 5))
	s.flush()
	settle(t, d, s.sent())
	s.send("sales", after("order.shipped", "ship-first", "first", "ship-1", 3))
	s.flush()
	settle(t, d, s.sent())

	inputs := badInputs()
	want := map[string]string{}
	for i := range inputs {
		produce := s.queue
		if inputs[i].code == "too_large" {
			produce = s.packed
		}
		offset, err := produce(t.Context(), inputs[i].topic, inputs[i].record(fmt.Sprintf("bad-%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("%s@%d", inputs[i].topic, offset)] = inputs[i].code
		s.send("sales", order(fmt.Sprintf("good-%d", i), 1))
	}
	s.send("sales", order("good-0", 1)) // again: a duplicate
	s.flush()
	status := settle(t, d, s.sent())
	events, dead := accounted(t, &status)
	if events != s.sent() || dead != int64(len(inputs)) {
		t.Errorf("%d events, %d dead letters; want %d and %d", events, dead, s.sent(), len(inputs))
	}

	log := newDecisions(t)
	log.tail(d.Kafka).toEnd()
	log.good()
	if n := log.out.Orders(); n != len(inputs)+1 {
		t.Errorf("orders decided = %d; want the %d good ones", n, len(inputs)+1)
	}
	found, text := listLetters(t, d)
	for at, code := range want {
		if found[at].Code != code {
			t.Errorf("dead letter of %s = %q; want %s", at, found[at].Code, code)
		}
	}
	if len(found) != len(want) {
		t.Errorf("dead letters = %d; want %d", len(found), len(want))
	}
	if strings.Contains(text, strings.TrimPrefix(phone, "+")) {
		t.Error("a dead letter shows a raw identifier")
	}
	onTopic := readLetters(t, d.Kafka)
	if onTopic.count != int64(len(want)) {
		t.Errorf("dead letters on %s = %d; want %d", retail.DefaultTopics()[retail.TopicDeadLetters], onTopic.count, len(want))
	}
	redrive(t, d, s, found)
}

// redrive mends one cause and not the other, and tries both again.
func redrive(t *testing.T, d *process.Dev, s *shop, found map[string]letter) {
	t.Helper()
	by := map[string]letter{}
	for _, l := range found {
		by[l.Code] = l
	}
	before := d.Status()
	s.send("reference", location("kiosk", true))
	s.flush()
	settle(t, d, s.sent())

	mended, left := by["returns_not_taken"], by["ship_exceeds"]
	code, out := d.Client("dead-letters", "redrive", mended.ID, "-o", "json")
	if results := redriven(t, out); code != 0 || results[0].Outcome != "applied" {
		t.Errorf("redrive of what was mended = %d: %s", code, out)
	}
	code, out = d.Client("dead-letters", "redrive", left.ID, "-o", "json")
	if results := redriven(t, out); code != 1 || results[0].Outcome != "dead_letter" || results[0].Code != left.Code {
		t.Errorf("redrive of what was not = %d: %s", code, out)
	}
	again, _ := listLetters(t, d)
	if l, still := again[mended.at()]; still {
		t.Errorf("dead letter %+v is still there", l)
	}
	if l := again[left.at()]; l.Code != left.Code || l.ID == left.ID {
		t.Errorf("dead letter = %+v; want a new one for %+v", l, left)
	}
	if len(again) != len(found)-1 {
		t.Errorf("dead letters = %d; want %d", len(again), len(found)-1)
	}
	status := d.Status()
	_, deadBefore := accounted(t, &before)
	if _, dead := accounted(t, &status); dead != deadBefore-1 {
		t.Errorf("dead letters counted = %d; want %d", dead, deadBefore-1)
	}
	var stock struct {
		Places []struct {
			Location string
			OnHand   int64 `json:"on_hand"`
		}
	}
	if err := d.Get("/v1/stock/A", &stock); err != nil {
		t.Fatal(err)
	}
	for _, p := range stock.Places {
		if p.Location == "kiosk" && p.OnHand == 1 {
			return
		}
	}
	t.Errorf("stock = %+v; want the returned unit at the kiosk", stock)
}

type redriveResult struct{ ID, Outcome, Code string }

// redriven reads the command's JSON, which a line on stderr may follow.
func redriven(t *testing.T, out string) []redriveResult {
	t.Helper()
	var results []redriveResult
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&results); err != nil || len(results) != 1 {
		t.Fatalf("redrive: %s", out)
	}
	return results
}
