package wire

import (
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// orderOf makes an order with n lines.
func orderOf(n int) string {
	var b strings.Builder
	b.WriteString(placed[:strings.Index(placed, `"lines"`)] + `"lines":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"line":` + strconv.Itoa(i+1) + `,"sku":"85123A","quantity":6,"unit_price":"2.55"}`)
	}
	return b.String() + "]}"
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder(b)
	for _, c := range []struct{ name, value string }{
		{"order", strings.Replace(placed, `,{"type":"phone","value":"+86 138 0013 8000","authenticated":true}`, "", 1)},
		{"order with phone", placed},
		{"order of 1114 lines", orderOf(1114)},
		{"stock", counted},
		{"refused order", strings.Replace(placed, `"2.55"`, `"-1"`, 1)},
		{"malformed order", placed[:len(placed)-1]},
	} {
		b.Run(c.name, func(b *testing.B) { decodes(b, d, &connectors.RawRecord{Value: []byte(c.value)}) })
		if packed, ok := pack(b, c.value); ok {
			r := asMessagePack(packed)
			b.Run(c.name+", MessagePack", func(b *testing.B) { decodes(b, d, &r) })
		}
	}
}

func decodes(b *testing.B, d *Decoder, r *connectors.RawRecord) {
	b.SetBytes(int64(len(r.Value)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode("sales", r, func(operators.Event) {})
	}
}

func BenchmarkEncode(b *testing.B) {
	e, r := newEncoder(b), decision()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}

// hostile are records made to cost as much as they can. All but the last are
// refused.
func hostile() map[string]string {
	good := orderOf(3)
	return map[string]string{
		"malformed":         good[:len(good)-1],
		"negative price":    strings.Replace(good, `"2.55"`, `"-2.55"`, 1),
		"unknown type":      strings.Replace(good, "order.placed", "order.paid", 1),
		"invalid UTF-8":     strings.Replace(good, "85123A", "85\xff", 1),
		"nesting":           strings.Repeat("[", len(good)),
		"hundred thousand":  `{"a":[` + strings.Repeat("1,", 100_000) + `1]}`,
		"one long string":   `{"a":"` + strings.Repeat("x", 500_000) + `"}`,
		"escapes":           `{"order":"` + strings.Repeat(`\u00e9`, 50_000) + `"}`,
		"escaped names":     `{` + strings.Repeat(`"\u006frder":1,`, 30_000) + `"a":1}`,
		"too large":         strings.Repeat("x", MaxRecordBytes+1),
		"lines of nothing":  strings.Replace(good, `"lines":[`, `"lines":[`+strings.Repeat("{},", MaxLines-3), 1),
		"many identifiers":  strings.Replace(good, `"customer":[`, `"customer":[`+strings.Repeat(`{"type":"loyalty","value":"1"},`, MaxIdentifiers), 1),
		"hostile arguments": strings.Replace(good, `"staff":""`, strings.Repeat(`"\u006ftherwise":1,`, MaxItems-20)+`"staff":""`, 1),
	}
}

// Bad records between good ones cost less than twice the time of as many good
// ones, byte for byte.
func TestBadRecordsAreCheap(t *testing.T) {
	d, good := newDecoder(t), connectors.RawRecord{Value: []byte(orderOf(3))}
	run := func(records ...*connectors.RawRecord) float64 {
		size := 0
		start := time.Now()
		for size < 200_000 {
			for _, r := range records {
				d.Decode("sales", r, func(operators.Event) {})
				size += len(r.Value)
			}
		}
		return float64(time.Since(start)) / float64(size)
	}
	for name, bad := range hostileRecords(t) {
		if e := decode(t, d, bad); e.Reject == nil && !strings.HasPrefix(name, "hostile arguments") {
			t.Errorf("%s: not refused", name)
		}
		alone, mixed := math.Inf(1), math.Inf(1)
		for range 20 { // in turn, and the best of each: other programs run too
			alone, mixed = min(alone, run(&good)), min(mixed, run(&good, &bad))
			if mixed <= 2*alone {
				break
			}
		}
		if mixed > 2*alone {
			t.Errorf("%s: %.1f ns per byte; want less than twice %.1f", name, mixed, alone)
		}
	}
}

// hostileRecords are the hostile ones in JSON and in MessagePack.
func hostileRecords(t testing.TB) map[string]connectors.RawRecord {
	all := map[string]connectors.RawRecord{}
	for name, value := range hostile() {
		all[name] = connectors.RawRecord{Value: []byte(value)}
	}
	for name, value := range hostilePacked(t) {
		all[name+", MessagePack"] = asMessagePack(value)
	}
	return all
}

// What decoding allocates is bounded by the record's size.
func TestAllocationIsBounded(t *testing.T) {
	for name, bad := range hostile() {
		d := newDecoder(t) // with nothing to reuse
		got := allocated(func() { d.Decode("sales", &connectors.RawRecord{Value: []byte(bad)}, func(operators.Event) {}) })
		if limit := uint64(1<<18 + 80*len(bad)); got > limit {
			t.Errorf("%s: %d bytes for a record of %d; want at most %d", name, got, len(bad), limit)
		}
	}
}

// allocated is how many bytes a function allocates.
func allocated(run func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
