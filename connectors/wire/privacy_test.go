package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ typ, value, want string }{
		{"phone", "+86 138 0013 8000", "+8613800138000"},
		{"phone", "138-0013-8000", "+8613800138000"},
		{"phone", "００８６ 138 0013 8000", "+8613800138000"},
		{"phone", "tel:+86-138-0013-8000", "+8613800138000"},
		{"phone", "+44 (0)20 7946 0958 ext. 12", "+442079460958"},
		{"phone", "5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"},
		{"email", " Wang.Xiaoming@Example.COM ", "wang.xiaoming@example.com"},
		{"email", "info@Bücher.example", "info@xn--bcher-kva.example"},
		{"email", "info@xn--bcher-kva.example.", "info@xn--bcher-kva.example"},
		{"email", "no address", "no address"},
		{"loyalty", "\t17850\u00a0", "17850"},
		{"wechat_openid", "oX-aB", "oX-aB"},
		{"loyalty", "Cafe\u0301", "Caf\u00e9"},
	} {
		if got := normalise(c.typ, c.value, "CN"); got != c.want {
			t.Errorf("normalise(%q, %q) = %q; want %q", c.typ, c.value, got, c.want)
		}
	}
}

func TestPseudonym(t *testing.T) {
	p := newDecoder(t).privacy
	one, _ := p.Pseudonym("phone", "+86 138 0013 8000")
	same, _ := p.Pseudonym(" Phone", "13800138000")
	if one != same || len(one) != 32 {
		t.Errorf("pseudonyms of one phone are %q and %q; want one of 32 digits", one, same)
	}
	// HMAC-SHA-256 of "phone", 0, "+8613800138000", computed apart.
	if want := "d481af058531bccca43dda11229939ed"; one != want {
		t.Errorf("Pseudonym(phone) = %q; want %q", one, want)
	}
	if other, _ := p.Pseudonym("loyalty", "+8613800138000"); other == one {
		t.Errorf("a loyalty number has the pseudonym of a phone number")
	}
	for _, value := range []string{"", " ", "-", "null", "NULL ", "N/A", "000-0000", "+00 00", "anonymous", "Guest", "no-reply@shop.example", "０００"} {
		for _, typ := range []string{"phone", "email", "loyalty"} {
			if got, ok := p.Pseudonym(typ, value); ok {
				t.Errorf("Pseudonym(%s, %q) = %q; want blocked", typ, value, got)
			}
		}
	}
	for _, typ := range []string{"", "two words", "9", "a@b", strings.Repeat("x", 33), "ж"} {
		if got, ok := p.Pseudonym(typ, "1"); ok {
			t.Errorf("Pseudonym(%q, 1) = %q; want none", typ, got)
		}
	}
}

func TestBlockedPatterns(t *testing.T) {
	key, err := ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPseudonymiser(Privacy{Key: key, Region: "CN", Blocked: []string{"KIOSK-*", "+8610*"}})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{"kiosk-7": false, "010 1234 5678": false, "kiosk": true, "anonymous": true} {
		if _, ok := p.Pseudonym("phone", value); ok != want {
			t.Errorf("Pseudonym(phone, %q) passes = %v; want %v", value, ok, want)
		}
	}
	if _, err := NewPseudonymiser(Privacy{Region: "XX", Blocked: []string{"["}}); err == nil ||
		strings.Count(err.Error(), "\n") != 2 || !errors.Is(err, ErrKey) {
		t.Errorf("NewPseudonymiser(three faults) = %v; want all of them", err)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	made, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := LoadKey(path)
	if err != nil || read.Fingerprint() != made.Fingerprint() || len(made.Fingerprint()) != 16 {
		t.Errorf("LoadKey = %q, %v; want %q", read.Fingerprint(), err, made.Fingerprint())
	}
	if _, err := CreateKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateKey(existing) = %v; want ErrExist", err)
	}
	secret, err := hex.DecodeString(testKey)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.ToUpper(testKey) + "\n", base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
		if key, err := ParseKey(text); err != nil || key.Fingerprint() != want.Fingerprint() {
			t.Errorf("ParseKey(%q) = %q, %v; want %q", text, key.Fingerprint(), err, want.Fingerprint())
		}
	}
	for _, text := range []string{"", testKey[:62], "not a key!"} {
		if _, err := ParseKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("ParseKey(%q) = %v; want ErrKey", text, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("LoadKey(readable by others) = %v; want advice", err)
	}
	if _, err := LoadKey(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadKey(missing) = %v; want ErrNotExist", err)
	}
}

// outside is everything that an event can become: log bytes, row bytes, JSON.
func outside(t testing.TB, e operators.Event) []byte {
	t.Helper()
	b, err := codec.New().Append(nil, 1, &e)
	if err != nil {
		t.Fatal(err)
	}
	written, err := MarshalEvent(&e)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, written...)
	if e.Payload.Value != nil {
		b = fmt.Append(b, Fields(e.Payload.Value))
	}
	return fmt.Append(b, e.Reject)
}

// No raw identifier is in anything that leaves Decode, whether the event is
// fine or refused.
func TestNothingRawLeaves(t *testing.T) {
	d := newDecoder(t)
	secrets := []string{"13800138000", "138 0013 8000", "secret-17850", "tok_secret", "wang.secret@example.com", "Secret Wang", "secret remark"}
	order := `{"id":"1","source":"s","type":"TYPE","time":"2026-11-21T09:00:00Z","order":"1","receipt":"1","document":"1","channel":"social","currency":"CNY","location":"l","to":"m","staff":"g-1",
"customer":[{"type":"loyalty","value":"secret-17850"},{"type":"phone","value":"+86 138 0013 8000"},{"type":"phone","value":"13800138000"},{"type":"email","value":"wang.secret@example.com"}],
"own":[{"type":"card","value":"secret-17850"}],"identifiers":[{"type":"card","value":"secret-17850"},{"type":"phone","value":"13800138000"}],
"referrer":[{"type":"email","value":"wang.secret@example.com"}],"payment_token":"tok_secret","device":"secret-17850","session":"tok_secret",
"query":"glasses for wang.secret@example.com","url":"https://shop.example/me?name=secret-17850#tok_secret","sku":"a","quantity":QUANTITY,
"epc":"00","reader":"r","antenna":1,"beacon":BEACON,"rssi_dbm":-1,"campaign":"k","code":"c","case":"c","medium":"text","platform":"p",
"purpose":"marketing","granted":true,"available":true,"alert":"d-1","outcome":"bought","text":"secret remark","district":"d","name":"n","reason":"secret remark","remark":"secret remark","name of":"Secret Wang","gift":{"note":"secret remark"},
"lines":[{"line":1,"sku":"a","quantity":QUANTITY,"unit_price":"1.00","engraving":"Secret Wang"}]}`
	for _, k := range kinds {
		beacon := `{"uuid":"u"}`
		if k.name == "beacon" {
			beacon = `"b"`
		}
		for _, quantity := range []string{"1", "0", `"Secret Wang"`} {
			value := strings.NewReplacer("TYPE", k.name, "QUANTITY", quantity, "BEACON", beacon).Replace(order)
			e := decode(t, d, connectors.RawRecord{Value: []byte(value)})
			if e.Reject != nil && quantity == "1" {
				t.Errorf("%s is refused: %+v", k.name, e.Reject)
			}
			got := outside(t, e)
			for _, secret := range secrets {
				if bytes.Contains(bytes.ToLower(got), bytes.ToLower([]byte(secret))) {
					t.Errorf("%s, quantity %s: %q is in %s", k.name, quantity, secret, got)
				}
			}
			if k.name == "order.placed" && quantity == "1" && (e.Reject != nil || len(e.Payload.Value.(*event.OrderPlaced).Customer) != 4) {
				t.Errorf("order = %+v %+v; want four identifiers", e.Payload.Value, e.Reject)
			}
		}
	}
}

// namer collects the names of string fields, with those of lists' items.
type namer struct {
	writer
	list  []string
	names map[string]bool
}

func (n *namer) String(name string, p *string) {
	if name == "" {
		name = n.list[len(n.list)-1]
	}
	n.names[name] = true
}

func (n *namer) BeginList(name string, _ int) int {
	n.list = append(n.list, name)
	if classOf(name) == classIdentifiers {
		return 0
	}
	return 1
}

func (n *namer) EndList()                                { n.list = n.list[:len(n.list)-1] }
func (n *namer) BeginOptional(string, bool) bool         { return true }
func (n *namer) Nested(string, state.Visitable, *[]byte) {}

// Every string that an event type can hold has been judged.
func TestEveryFieldIsClassified(t *testing.T) {
	for _, k := range kinds {
		n := namer{writer: writer{b: []byte{'{'}}, names: map[string]bool{}}
		k.make().Visit(&n)
		if len(n.names) == 0 {
			t.Errorf("%s has no string field", k.name)
		}
		for name := range n.names {
			if classOf(name) == classUnknown {
				t.Errorf("%s: string field %q has no class in field.go", k.name, name)
			}
		}
	}
}

// A reason that is a story is dropped.
func TestReasonIsCodeOnly(t *testing.T) {
	d := newDecoder(t)
	for reason, want := range map[string]string{"not_found": "not_found", "Mr Wang called": ""} {
		e := d.Unmarshal("order.rejected", []byte(`{"id":"1","source":"s","time":"2026-11-21T09:00:00Z","order":"1","location":"l","reason":"`+reason+`"}`))
		if e.Reject != nil || e.Payload.Value.(*event.OrderRejected).Reason != want {
			t.Errorf("reason %q = %+v %+v; want %q", reason, e.Payload.Value, e.Reject, want)
		}
	}
}

// A search is kept for counting unless it could be a person's address or number,
// and a URL without what programs hang on to it.
func TestQueryAndURL(t *testing.T) {
	d := newDecoder(t)
	for _, c := range []struct{ query, url, wantQuery, wantURL string }{
		{"red shoes 42", "https://shop.example/shoes/42", "red shoes 42", "https://shop.example/shoes/42"},
		{"太阳镜 7", "/shoes?ref=wang#top", "太阳镜 7", "/shoes"},
		{"wang@example.com", "/wang@example.com", "", ""},
		{"wang＠example.com", "/wang%40example.com", "", ""},
		{"+86 138-0013 8000", "?phone=13800138000", "", ""},
		{"１３８００１３８０００", "#x", "", ""},
		{strings.Repeat("a", maxQueryBytes+1), "/a b", "", ""},
	} {
		e := d.Unmarshal("product.searched", fmt.Appendf(nil, `{"id":"1","source":"s","time":"2026-11-21T09:00:00Z","query":%q,"url":%q}`, c.query, c.url))
		if e.Reject != nil {
			t.Fatalf("query %q, URL %q: %+v", c.query, c.url, e.Reject)
		}
		if got := e.Payload.Value.(*event.Click); got.Query != c.wantQuery || got.URL != c.wantURL {
			t.Errorf("query %q, URL %q = %q, %q; want %q, %q", c.query, c.url, got.Query, got.URL, c.wantQuery, c.wantURL)
		}
	}
}

// A device is the same person's wherever it is named.
func TestDeviceHasOnePseudonym(t *testing.T) {
	d := newDecoder(t)
	heard := d.Unmarshal("", []byte(ping("-60"))).Payload.Value.(*event.BeaconPing)
	linked := d.Unmarshal("", []byte(link(`{"type":"phone","value":"13800138000"},{"type":"Device","value":" d"}`))).Payload.Value.(*event.IdentityLinked)
	if got := linked.Identifiers[1].Value; heard.Device == "" || got != heard.Device {
		t.Errorf("device is %q in a ping and %q in a link; want the same", heard.Device, got)
	}
}
