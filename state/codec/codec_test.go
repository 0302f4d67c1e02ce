package codec_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// order is a typical small order.
func order() *event.OrderPlaced {
	return &event.OrderPlaced{
		Order: "536365", Channel: "own_online", Location: "web-uk", Currency: "GBP",
		Customer: []event.Identifier{
			{Type: "loyalty", Value: "3f9a5c1e77b20d4488aa6b1c0f2e9d55"},
			{Type: "phone", Value: "91c2b7d0aa5544e1b6f0c3d2e1a09876", Authenticated: true},
		},
		PaymentToken: "tok_9", Destination: &event.Destination{Lat: 51_500_000, Lon: -120_000, Region: "UK-LDN"},
		PromisedBy: 1_795_000_000_000_000,
		Lines:      []event.Line{{Line: 1, SKU: "85123A", Quantity: 6, UnitPrice: 2_550_000}},
	}
}

// level is a typical small row.
func level() *event.StockLevel {
	return &event.StockLevel{SKU: "85123A", Location: "sanlitun", Pool: "store", OnHand: 120, Reserved: 7, ATP: 110,
		SafetyStock: 3, Confidence: 980_000}
}

func encode(t testing.TB, v state.Visitable) []byte {
	t.Helper()
	b, err := codec.New().Append(nil, 1, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	payload := encode(t, order())
	long := &event.OrderPlaced{Order: "long"}
	for i := range int64(1114) {
		long.Lines = append(long.Lines, event.Line{Line: i, SKU: "85123A", Quantity: i, UnitPrice: state.Decimal(i)})
	}
	for _, v := range []state.Visitable{
		order(), level(), long, &event.OrderPlaced{},
		&operators.Event{Offset: 7, Source: "pos-7", ID: "s-1", Type: "order.placed", Payload: state.Nested{Raw: payload}},
		&operators.Event{Reject: &operators.Reject{Code: "bad_json", Hash: []byte{0, 1, 255}, Fields: []operators.Field{{Name: "a", Value: "b"}}}},
	} {
		b := encode(t, v)
		got := reflect.New(reflect.TypeOf(v).Elem()).Interface().(state.Visitable)
		if err := codec.New().Decode(b, got); err != nil {
			t.Fatalf("Decode(%T) = %v", v, err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("Decode(Append(%+v)) = %+v", v, got)
		}
		if n := codec.New().Size(1, v); n != len(b) {
			t.Errorf("Size(%T) = %d; want %d", v, n, len(b))
		}
		if l, err := codec.Level(b); l != 1 || err != nil {
			t.Errorf("Level(%T) = %d, %v; want 1", v, l, err)
		}
	}
}

// A nested value and its bytes are the same to whoever reads them.
func TestNestedValueOrRaw(t *testing.T) {
	for _, n := range []int{1, 8, 400, 3000} {
		o := order()
		for range n {
			o.Lines = append(o.Lines, o.Lines[0])
		}
		value := encode(t, &operators.Event{ID: "x", Payload: state.Nested{Value: o}})
		raw := encode(t, &operators.Event{ID: "x", Payload: state.Nested{Raw: encode(t, o)}})
		if !bytes.Equal(value, raw) {
			t.Errorf("event with %d lines: encodings of payload as value and as bytes differ", n)
		}
	}
}

// Nil and empty must not differ in bytes: one replica has what it stored in
// memory, another what it read back.
func TestNilAndEmptyAreEqual(t *testing.T) {
	a := encode(t, &operators.Reject{})
	b := encode(t, &operators.Reject{Hash: []byte{}, Fields: []operators.Field{}})
	if !bytes.Equal(a, b) {
		t.Errorf("Append(empty) = %x; want %x", b, a)
	}
}

// Our bytes are ordinary MessagePack: the library writes and reads the same.
func TestAgreesWithLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &operators.Event{
			Offset:  rapid.Int64().Draw(t, "offset"),
			Index:   rapid.SampledFrom([]int64{0, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, -1, -32, -33, -128, -129, -32768, -32769, math.MinInt32, math.MinInt32 - 1}).Draw(t, "index"),
			Source:  rapid.String().Draw(t, "source"),
			ID:      rapid.StringN(0, 300, -1).Draw(t, "id"),
			Time:    state.Time(rapid.Int64().Draw(t, "time")),
			Payload: state.Nested{Raw: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "payload")},
		}
		got, err := codec.New().Append(nil, 1, e)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		enc := msgpack.NewEncoder(&want)
		if err := errors.Join(enc.EncodeArrayLen(10), enc.EncodeUint(1), enc.EncodeInt(e.Offset), enc.EncodeInt(e.Index),
			enc.EncodeString(e.Source), enc.EncodeString(e.ID), enc.EncodeString(""), enc.EncodeInt(int64(e.Time)),
			enc.EncodeString(""), enc.EncodeBytes(e.Payload.Raw), enc.EncodeNil()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("Append = %x; the library writes %x", got, want.Bytes())
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(t, order())
	cases := map[string][]byte{
		"nothing":            {},
		"trailing byte":      append(bytes.Clone(good), 0),
		"not an array":       {0xa1, 'x'},
		"a level only":       {0x91, 0x01},
		"huge array":         {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01},
		"level above 255":    {0x92, 0xcd, 0x01, 0x00, 0x00},
		"level not shortest": {0x92, 0xcc, 0x01, 0x00},
	}
	for i := range good {
		cases["cut"] = good[:i]
		for name, b := range cases {
			if err := codec.New().Decode(b, &event.OrderPlaced{}); !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("Decode(%s, %d bytes) = %v; want ErrCorrupt", name, len(b), err)
			}
		}
	}
	list := []byte{0x95, 0x01, 0xa0, 0xc4, 0x00, 0xdd, 0x7f, 0xff, 0xff, 0xff}
	if err := codec.New().Decode(list, &operators.Reject{}); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("Decode(list of 2³¹ items in no bytes) = %v; want ErrCorrupt", err)
	}
}

// grown has a field that came with level 2.
type grown struct{ A, B int64 }

func (g *grown) Visit(v state.Visitor) {
	v.Int("a", &g.A)
	if v.Level() >= 2 {
		v.Int("b", &g.B)
	}
}

func TestLevels(t *testing.T) {
	c := codec.New()
	old, _ := c.Append(nil, 1, &grown{A: 1, B: 2})
	var g grown
	if err := c.Decode(old, &g); err != nil || g != (grown{A: 1}) {
		t.Errorf("Decode(level 1) = %+v, %v; want the fields of level 1", g, err)
	}
	now, _ := c.Append(nil, 2, &grown{A: 1, B: 2})
	g = grown{}
	if err := c.Decode(now, &g); err != nil || g != (grown{A: 1, B: 2}) {
		t.Errorf("Decode(level 2) = %+v, %v; want all fields", g, err)
	}
	if len(old) >= len(now) {
		t.Errorf("level 1 has %d bytes, level 2 %d", len(old), len(now))
	}
}

// deep nests without end.
type deep struct{ Next *deep }

func (d *deep) Visit(v state.Visitor) { state.VisitOptional(v, "next", &d.Next) }

func TestDepthIsBounded(t *testing.T) {
	d := &deep{}
	for range 100 {
		d = &deep{Next: d}
	}
	if b, err := codec.New().Append(nil, 1, d); err == nil {
		t.Errorf("Append(100 levels deep) = %d bytes; want an error", len(b))
	}
	bomb := append([]byte{0x92, 0x01}, bytes.Repeat([]byte{0x91}, 1<<16)...)
	if err := codec.New().Decode(bomb, &deep{}); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("Decode(nested 65,536 deep) = %v; want ErrCorrupt", err)
	}
}

func BenchmarkAppendOrder(b *testing.B) { benchmarkAppend(b, order()) }
func BenchmarkAppendRow(b *testing.B)   { benchmarkAppend(b, level()) }
func BenchmarkDecodeOrder(b *testing.B) {
	benchmarkDecode(b, order(), func() state.Visitable { return &event.OrderPlaced{} })
}
func BenchmarkDecodeRow(b *testing.B) {
	benchmarkDecode(b, level(), func() state.Visitable { return &event.StockLevel{} })
}
func BenchmarkSizeOrder(b *testing.B) {
	c, v := codec.New(), order()
	b.ReportAllocs()
	for b.Loop() {
		c.Size(1, v)
	}
}

func benchmarkAppend(b *testing.B, v state.Visitable) {
	c := codec.New()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(buf, 1, v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkDecode(b *testing.B, v state.Visitable, fresh func() state.Visitable) {
	c := codec.New()
	stored := encode(b, v)
	b.ReportMetric(float64(len(stored)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(stored, fresh()); err != nil {
			b.Fatal(err)
		}
	}
}
