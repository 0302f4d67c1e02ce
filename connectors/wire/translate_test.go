package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

const segmentViewed = `{"type":"track","event":"Product Viewed","messageId":"m-1","timestamp":"2026-11-21T09:00:00.5Z",
 "anonymousId":"anon-77","userId":"u-1","context":{"page":{"url":"https://shop.example/p/1?mail=a@b.example"},
 "traits":{"email":"wang@example.org","phone":"13800138000"},"device":{"id":"dev-9"}},
 "properties":{"product_id":507,"sku":"GLS-7","category":"eyewear","brand":"lens","name":"Seven","price":899.5,"currency":"CNY","quantity":1,"session_id":"s-4"}}`

func TestSegment(t *testing.T) {
	d := newDecoder(t)
	e := decode(t, d, connectors.RawRecord{Value: []byte(segmentViewed)})
	if e.Reject != nil {
		t.Fatalf("rejected: %+v", e.Reject)
	}
	if e.Type != "product.viewed" || e.ID != "m-1" || e.Source != "segment" || e.Time.String() != "2026-11-21T09:00:00.5Z" {
		t.Errorf("envelope = %s %s %s %s", e.Type, e.ID, e.Source, e.Time)
	}
	got := *e.Payload.Value.(*event.Click)
	who := got.Customer
	session := got.Session
	got.Customer, got.Session = nil, ""
	want := event.Click{Channel: "own_online", SKU: "GLS-7", Category: "eyewear", Brand: "lens", Price: 899*state.One + state.One/2,
		Currency: "CNY", Quantity: 1, URL: "https://shop.example/p/1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("payload = %+v\nwant %+v", got, want)
	}
	for i, one := range []struct{ typ, value string }{
		{"cookie", "anon-77"}, {"account", "u-1"}, {"device", "dev-9"}, {"email", "wang@example.org"}, {"phone", "+8613800138000"},
	} {
		p, _ := d.privacy.Pseudonym(one.typ, one.value)
		if i >= len(who) || who[i].Type != one.typ || who[i].Value != p {
			t.Fatalf("customer = %+v; want the pseudonym of %s at %d", who, one.typ, i)
		}
	}
	if p, _ := d.privacy.Pseudonym("session", "s-4"); session != p {
		t.Errorf("session = %q; want the pseudonym of s-4", session)
	}
}

func TestSegmentNames(t *testing.T) {
	d := newDecoder(t)
	for name, typ := range segmentEvents {
		doc := strings.Replace(segmentViewed, "Product Viewed", name, 1)
		doc = strings.Replace(doc, `"price"`, `"promotion_id":"p-1","query":"red","rating":4,"price"`, 1)
		if e := decode(t, d, connectors.RawRecord{Value: []byte(doc)}); e.Reject != nil || e.Type != typ {
			t.Errorf("%s: type %s, %+v; want %s", name, e.Type, e.Reject, typ)
		}
	}
}

func TestSegmentRefused(t *testing.T) {
	d := newDecoder(t)
	for what, c := range map[string]struct{ old, new, code, field string }{
		"an event nobody knows":  {"Product Viewed", "Coupon Entered", CodeUnknownType, "type"},
		"a track in a track":     {"Product Viewed", "track", CodeUnknownType, "type"},
		"no number":              {`"messageId":"m-1",`, "", CodeIDMissing, "id"},
		"no time":                {`"timestamp":"2026-11-21T09:00:00.5Z",`, "", CodeMissingField, "time"},
		"a time of somewhere":    {"2026-11-21T09:00:00.5Z", "yesterday", CodeTimeInvalid, "time"},
		"an article as a list":   {`"sku":"GLS-7"`, `"sku":["GLS-7"]`, CodeWrongType, "sku"},
		"a price below nothing":  {"899.5", "-1", CodeMoneyInvalid, "price"},
		"a channel of others":    {`"brand":"lens"`, `"channel":"fax"`, CodeChannelUnknown, "channel"},
		"properties as a number": {`"properties":{`, `"properties":7,"other":{`, CodeMissingField, "sku"},
	} {
		doc := strings.Replace(segmentViewed, c.old, c.new, 1)
		e := decode(t, d, connectors.RawRecord{Value: []byte(doc)})
		if e.Reject == nil || e.Reject.Code != c.code || e.Reject.Fields[0].Value != c.field {
			t.Errorf("%s: %+v; want %s at %s", what, e.Reject, c.code, c.field)
		}
	}
}

const rees46View = `2019-10-01 00:00:01 UTC,view,3900821,2053013552326770905,appliances.environment.water_heater,aqua,33.20,554748717,9333dfbd-b87a-4708-9857-6336556b0fcc`

func TestREES46(t *testing.T) {
	d := newDecoder(t)
	for _, header := range [][]connectors.Header{nil, {{Key: "content-type", Value: []byte("text/csv; charset=utf-8")}}} {
		e := decode(t, d, connectors.RawRecord{Value: []byte(rees46View + "\n"), Headers: header})
		if e.Reject != nil {
			t.Fatalf("rejected: %+v", e.Reject)
		}
		c := e.Payload.Value.(*event.Click)
		user, _ := d.privacy.Pseudonym("account", "554748717")
		if e.Type != "product.viewed" || e.Source != "rees46" || len(e.ID) != 32 || e.Time.String() != "2019-10-01T00:00:01Z" ||
			c.SKU != "3900821" || c.Category != "appliances.environment.water_heater" || c.Brand != "aqua" ||
			c.Price != 33*state.One+state.One/5 || c.Channel != "own_online" || c.Session == "" ||
			len(c.Customer) != 1 || c.Customer[0].Value != user {
			t.Errorf("%+v %+v", e, c)
		}
	}
	bought := decode(t, d, connectors.RawRecord{Value: []byte(strings.Replace(rees46View, "view", "purchase", 1))})
	sale, ok := bought.Payload.Value.(*event.SaleCompleted)
	if !ok || bought.Type != "sale.completed" || len(sale.Lines) != 1 || sale.Lines[0].UnitPrice != 33*state.One+state.One/5 ||
		sale.Receipt != "rees46-"+bought.ID || len(sale.Customer) != 2 {
		t.Errorf("a purchase = %+v %+v", bought, sale)
	}
}

func TestREES46Refused(t *testing.T) {
	d := newDecoder(t)
	csv := []connectors.Header{{Key: "content-type", Value: []byte("text/csv")}}
	for what, c := range map[string]struct{ row, code string }{
		"the header":       {strings.Join(rees46Columns, ","), CodeMalformedRow},
		"two rows":         {rees46View + "\n" + rees46View, CodeMalformedRow},
		"a column missing": {strings.Replace(rees46View, "aqua,", "", 1), CodeMalformedRow},
		"half a quote":     {strings.Replace(rees46View, "aqua", `"aqua`, 1), CodeMalformedRow},
		"another zone":     {strings.Replace(rees46View, "UTC", "CET", 1), CodeMalformedRow},
		"no time":          {strings.Replace(rees46View, "00:00:01", "25:00:01", 1), CodeTimeInvalid},
		"an unknown type":  {strings.Replace(rees46View, "view", "stare", 1), CodeUnknownType},
		"no article":       {strings.Replace(rees46View, "3900821", "", 1), CodeMissingField},
		"no price":         {strings.Replace(strings.Replace(rees46View, "view", "purchase", 1), "33.20", "", 1), CodeMissingField},
		"nothing":          {"", CodeMalformedRow},
		"not UTF-8":        {strings.Replace(rees46View, "aqua", "a\xff", 1), CodeInvalidUTF8},
	} {
		e := decode(t, d, connectors.RawRecord{Value: []byte(c.row), Headers: csv})
		if e.Reject == nil || e.Reject.Code != c.code {
			t.Errorf("%s: %+v; want %s", what, e.Reject, c.code)
		}
	}
}

// TestForeignFormsShowNobody: what leaves Decode names people by pseudonyms only.
func TestForeignFormsShowNobody(t *testing.T) {
	d := newDecoder(t)
	for _, value := range []string{segmentViewed, rees46View, strings.Replace(rees46View, "view", "purchase", 1), strings.Replace(rees46View, "33.20", "x", 1)} {
		out := outside(t, decode(t, d, connectors.RawRecord{Value: []byte(value)}))
		for _, secret := range []string{"anon-77", "u-1\"", "dev-9", "wang@example.org", "13800138000", "a@b.example", "s-4", "554748717", "9333dfbd"} {
			if bytes.Contains(out, []byte(secret)) {
				t.Errorf("%s is in %s", secret, out)
			}
		}
	}
}

// FuzzForeignForms: rows and Segment documents give one event or mark, the same
// each time.
func FuzzForeignForms(f *testing.F) {
	f.Add([]byte(rees46View))
	f.Add([]byte(strings.Replace(rees46View, "view", "purchase", 1)))
	f.Add([]byte(segmentViewed))
	f.Add([]byte(`{"type":"track","event":"track","properties":{"products":[{"sku":1}]},"context":{"page":[],"traits":3}}`))
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, header := range [][]connectors.Header{nil, {{Key: "content-type", Value: []byte("text/csv")}}} {
			r := connectors.RawRecord{Value: value, Headers: header}
			first, mark := collect(d, r)
			again, _ := collect(d, r)
			if !reflect.DeepEqual(first, again) || (mark.Time == 0) != (len(first) == 1) {
				t.Fatalf("Decode = %+v, %v, then %+v", first, mark, again)
			}
		}
	})
}
