package wire

import (
	"bytes"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// asMessagePack is a record with a value in MessagePack.
func asMessagePack(value []byte) connectors.RawRecord {
	return connectors.RawRecord{Value: value, Headers: []connectors.Header{header("content-type", "application/msgpack")}}
}

// pack writes a document as MessagePack, whole numbers as integers and others as
// floating-point numbers. It is false if MessagePack can't say what JSON does.
func pack(t failer, text string) ([]byte, bool) {
	t.Helper()
	var d document
	if !d.parse([]byte(text)) {
		return nil, false
	}
	var b bytes.Buffer
	ok := d.pack(t, msgpack.NewEncoder(&b), 0)
	return b.Bytes(), ok
}

func (d *document) pack(t failer, e *msgpack.Encoder, i uint32) bool {
	n, err, ok := &d.nodes[i], error(nil), true
	switch n.kind {
	case kindObject:
		err = e.EncodeMapLen(int(n.size))
	case kindArray:
		err = e.EncodeArrayLen(int(n.size))
	case kindString:
		err = e.EncodeString(string(d.bytes(n)))
	case kindNumber:
		ok, err = packNumber(e, string(d.bytes(n)))
	case kindTrue, kindFalse:
		err = e.EncodeBool(n.kind == kindTrue)
	default:
		err = e.EncodeNil()
	}
	if err != nil {
		t.Fatal(err)
	}
	child := i + 1
	for range n.size {
		if c := &d.nodes[child]; n.kind == kindObject {
			name := d.src[c.nameFrom:c.nameTo]
			if err := e.EncodeString(string(appendUnescaped(nil, name))); err != nil {
				t.Fatal(err)
			}
		}
		ok = d.pack(t, e, child) && ok
		child = d.nodes[child].next
	}
	return ok
}

func packNumber(e *msgpack.Encoder, text string) (bool, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n%2 == 0 { // in the widest form, which others use too
			return true, e.EncodeInt64(n)
		}
		return true, e.EncodeInt(n)
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "eE") {
		return false, e.EncodeNil()
	}
	return true, e.EncodeFloat64(x)
}

// examples are the events in the documents.
func examples(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/topics.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, rest := range strings.Split(string(text), "```json input\n")[1:] {
		one, _, _ := strings.Cut(rest, "```")
		all = append(all, one)
	}
	return all
}

// Every type has an example in the documents, and says the same in MessagePack.
func TestMessagePackExamples(t *testing.T) {
	d, missing := newDecoder(t), map[string]bool{}
	for _, name := range Types() {
		missing[name] = true
	}
	for _, text := range examples(t) {
		want := d.Unmarshal("", []byte(text))
		delete(missing, want.Type)
		packed, ok := pack(t, text)
		if want.Reject != nil || !ok {
			t.Errorf("example %s: %+v, can be packed = %v; want a good event", text, want.Reject, ok)
		}
		if got := decode(t, d, asMessagePack(packed)); !reflect.DeepEqual(got, want) {
			t.Errorf("Decode(%s in MessagePack) = %+v %+v %+v; want %+v %+v", text, got, got.Payload.Value, got.Reject, want, want.Payload.Value)
		}
	}
	for name := range missing {
		t.Errorf("topics.md has no example of %s", name)
	}
}

// What is refused in JSON is refused in MessagePack with the same code and
// field, unless it is a fault of JSON itself.
func TestMessagePackIsAsStrict(t *testing.T) {
	d, same := newDecoder(t), 0
	for _, c := range refusals(t) {
		packed, ok := pack(t, c.value)
		if !ok || c.headers != nil || len(c.value) > MaxRecordBytes {
			continue
		}
		got := decode(t, d, asMessagePack(packed)).Reject
		if got == nil || got.Code != c.code || fieldOf(got.Fields, FieldAtFault) != c.field {
			t.Errorf("Decode(%.80q in MessagePack) = %+v; want code %s at %s", c.value, got, c.code, c.field)
		}
		same++
	}
	if same < 60 {
		t.Errorf("only %d refusals compared", same)
	}
}

func TestMessagePackRefusals(t *testing.T) {
	d := newDecoder(t)
	deep := strings.Repeat("\x91", MaxDepth)
	for _, c := range []struct{ name, value, code, at string }{
		{"nothing", "", CodeMalformedMessagePack, "0"},
		{"not used", "\xc1", CodeMalformedMessagePack, "0"},
		{"more than one value", "\x80\x80", CodeMalformedMessagePack, "1"},
		{"no object", "\x90", CodeNotAnObject, ""},
		{"array of 4 billion", "\xdd\xff\xff\xff\xff", CodeMalformedMessagePack, "0"},
		{"map of 4 billion", "\xdf\xff\xff\xff\xff\xa1a", CodeMalformedMessagePack, "0"},
		{"string of 4 GB", "\x81\xa1a\xdb\xff\xff\xff\xff", CodeMalformedMessagePack, "3"},
		{"bytes of 4 GB", "\x81\xa1a\xc6\xff\xff\xff\xffx", CodeMalformedMessagePack, "3"},
		{"extension of 4 GB", "\x81\xa1a\xc9\xff\xff\xff\xff\x01", CodeMalformedMessagePack, "3"},
		{"extension without its type", "\x81\xa1a\xc7\x00", CodeMalformedMessagePack, "3"},
		{"cut length", "\x81\xa1a\xdd\xff", CodeMalformedMessagePack, "3"},
		{"cut number", "\x81\xa1a\xcf\x00", CodeMalformedMessagePack, "3"},
		{"cut string", "\x81\xa1a\xa2b", CodeMalformedMessagePack, "3"},
		{"member without value", "\x82\xa1a\x01\xa1b", CodeMalformedMessagePack, "6"},
		{"name that is a number", "\x81\x01\x01", CodeMalformedMessagePack, "1"},
		{"name that is nil", "\x81\xc0\x01", CodeMalformedMessagePack, "1"},
		{"NaN", "\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", CodeMalformedMessagePack, "3"},
		{"infinity", "\x81\xa1a\xca\xff\x80\x00\x00", CodeMalformedMessagePack, "3"},
		{"text not UTF-8", "\x81\xa1a\xa2b\xff", CodeInvalidUTF8, "5"},
		{"name not UTF-8", "\x81\xa1\xff\x01", CodeInvalidUTF8, "2"},
		{"surrogate", "\x81\xa1a\xa3\xed\xa0\x80", CodeInvalidUTF8, "4"},
		{"too deep", deep + "\x90", CodeTooDeep, strconv.Itoa(MaxDepth)},
		{"nested without end", strings.Repeat("\x91", 500_000) + "\x90", CodeTooDeep, strconv.Itoa(MaxDepth)},
		{"too many values", "\xdd\x00\x04\x00\x00" + strings.Repeat("\x01", MaxValues), CodeTooManyValues, strconv.Itoa(MaxValues + 4)},
		{"too large", "\xdb\x00\x10\x00\x00" + strings.Repeat("x", MaxRecordBytes), CodeTooLarge, ""},
		{"id of bytes", "\x81\xa2id\xc4\x01a", CodeMissingField, ""},
	} {
		got := decode(t, d, asMessagePack([]byte(c.value))).Reject
		if got == nil || got.Code != c.code || fieldOf(got.Fields, FaultAt) != c.at {
			t.Errorf("%s: Decode = %+v; want code %s at %q", c.name, got, c.code, c.at)
		}
	}
	if s := "\x91" + deep[2:] + "\x90"; !new(document).unpack([]byte(s)) {
		t.Errorf("%d levels are refused", MaxDepth)
	}
}

// Bytes, extensions and timestamps are refused where a field is read, and
// ignored elsewhere.
func TestMessagePackOpaque(t *testing.T) {
	d := newDecoder(t)
	packed, _ := pack(t, counted)
	for name, value := range map[string]string{"bytes": "\xc4\x01a", "extension": "\xc7\x01\x05a", "timestamp": "\xd6\xff\x00\x00\x00\x01"} {
		unknown := append([]byte{packed[0] + 1}, "\xa7unknown"+value...)
		if e := decode(t, d, asMessagePack(append(unknown, packed[1:]...))); e.Reject != nil {
			t.Errorf("%s in an unknown field: %+v", name, e.Reject)
		}
		read := bytes.Replace(packed, []byte("\xa5CNT-9"), []byte(value), 1)
		if e := decode(t, d, asMessagePack(read)); e.Reject == nil || e.Reject.Code != CodeWrongType || fieldOf(e.Reject.Fields, FieldAtFault) != "document" {
			t.Errorf("%s as a document: %+v; want code %s", name, e.Reject, CodeWrongType)
		}
	}
}

func TestAppendPacked(t *testing.T) {
	encode := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		value []byte
		want  string
	}{
		{[]byte{0}, "0"}, {[]byte{0x7f}, "127"}, {[]byte{0xff}, "-1"}, {[]byte{0xe0}, "-32"},
		{encode(uint8(255)), "255"}, {encode(uint16(math.MaxUint16)), "65535"}, {encode(uint32(math.MaxUint32)), "4294967295"},
		{encode(uint64(math.MaxUint64)), "18446744073709551615"}, {encode(int8(-128)), "-128"}, {encode(int16(-129)), "-129"},
		{encode(int32(math.MinInt32)), "-2147483648"}, {encode(int64(math.MinInt64)), "-9223372036854775808"}, {encode(int64(5)), "5"},
		{encode(2.55), "2.55"}, {encode(float32(2.55)), "2.55"}, {encode(-0.12), "-0.12"}, {encode(6.0), "6.0"}, {encode(-61.5), "-61.5"},
		{encode(1e-6), "0.000001"}, {encode(1e-7), "1e-07"}, {encode(1e20), "100000000000000000000.0"}, {encode(1e21), "1e+21"},
		{encode(0.0), "0.0"}, {encode(0.30000000000000004), "0.30000000000000004"}, {encode(5e-324), "5e-324"},
	} {
		if got := string(appendPacked(nil, c.value)); got != c.want {
			t.Errorf("appendPacked(%x) = %s; want %s", c.value, got, c.want)
		}
	}
}

// hostilePacked are records in MessagePack made to cost as much as they can.
func hostilePacked(t testing.TB) map[string][]byte {
	all := map[string][]byte{
		"announced": []byte("\xdd\xff\xff\xff\xff"),
		"numbers":   []byte("\x81\xa1a\xdd\x00\x03\xff\xf0" + strings.Repeat("\x01", 0x3fff0)),
		"nesting":   []byte(strings.Repeat("\x91", 1000)),
		"maps":      []byte("\x81\xa1a\xdd\x00\x03\xff\xf0" + strings.Repeat("\x80", 0x3fff0)),
	}
	for name, text := range hostile() {
		if packed, ok := pack(t, text); ok {
			all[name] = packed
		}
	}
	return all
}

func TestMessagePackAllocationIsBounded(t *testing.T) {
	for name, bad := range hostilePacked(t) {
		d := newDecoder(t)
		got := allocated(func() {
			r := asMessagePack(bad)
			d.Decode("sales", &r, func(operators.Event) {})
		})
		if limit := uint64(1<<18 + 160*len(bad)); got > limit {
			t.Errorf("%s: %d bytes for a record of %d; want at most %d", name, got, len(bad), limit)
		}
	}
}
