package codec

import (
	"errors"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"anabranch.dev/state"
)

// maxDepth bounds how deep structs, lists and nested values may stand in each
// other.
const maxDepth = 32

var errDepth = errors.New("value nested too deep")

// encoder is a visitor that appends what it sees. How many fields a struct has
// is known only at its end, so its array header is reserved when it begins and
// written when it ends.
type encoder struct {
	b       []byte
	level   uint8
	err     error
	count   int // values written in the open array
	depth   int
	frames  [maxDepth]frame
	scratch []byte // buffer of Size
}

// frame is an open array: where its header is, and how many values the array
// around it has so far.
type frame struct {
	start int
	count int
}

func (e *encoder) reset() {
	e.b, e.err, e.count, e.depth = nil, nil, 0, 0
}

// value appends a whole value: [level, fields ...].
func (e *encoder) value(v state.Visitable) {
	if !e.open() {
		return
	}
	e.Uint("", ptr(uint64(e.level)))
	v.Visit(e)
	e.close()
}

func ptr(n uint64) *uint64 { return &n }

// open begins an array whose length is not known yet.
func (e *encoder) open() bool {
	if e.err != nil {
		return false
	}
	if e.depth == maxDepth {
		e.err = errDepth
		return false
	}
	e.frames[e.depth] = frame{start: len(e.b), count: e.count}
	e.depth++
	e.count = 0
	e.b = append(e.b, 0)
	return true
}

// close writes the header of the array that open began. Most have at most 15
// values and a header of the one byte reserved.
func (e *encoder) close() {
	if e.err != nil {
		return
	}
	e.depth--
	f := e.frames[e.depth]
	n := e.count
	e.count = f.count + 1
	if n < 16 {
		e.b[f.start] = msgpcode.FixedArrayLow | byte(n)
		return
	}
	var header [5]byte
	e.insert(f.start, appendArrayLen(header[:0], n))
}

// insert replaces the byte reserved at start by a header that is longer.
func (e *encoder) insert(start int, header []byte) {
	more := len(header) - 1
	e.b = append(e.b, header[:more]...) // grow; the content is overwritten
	copy(e.b[start+len(header):], e.b[start+1:len(e.b)-more])
	copy(e.b[start:], header)
}

func appendArrayLen(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Array16, byte(n>>8), byte(n))
	default:
		return append(b, msgpcode.Array32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func appendUint(b []byte, n uint64) []byte {
	switch {
	case n <= math.MaxInt8:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, msgpcode.Uint8, byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Uint16, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return append(b, msgpcode.Uint32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		return append(b, msgpcode.Uint64, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
			byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, msgpcode.Int8, byte(n))
	case n >= math.MinInt16:
		return append(b, msgpcode.Int16, byte(n>>8), byte(n))
	case n >= math.MinInt32:
		return append(b, msgpcode.Int32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		return append(b, msgpcode.Int64, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
			byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func appendStringLen(b []byte, n int) []byte {
	switch {
	case n < 32:
		return append(b, msgpcode.FixedStrLow|byte(n))
	case n <= math.MaxUint8:
		return append(b, msgpcode.Str8, byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Str16, byte(n>>8), byte(n))
	default:
		return append(b, msgpcode.Str32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func appendBytesLen(b []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, msgpcode.Bin8, byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Bin16, byte(n>>8), byte(n))
	default:
		return append(b, msgpcode.Bin32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// Level implements [state.Visitor], as do the methods below.
func (e *encoder) Level() uint8 { return e.level }

func (e *encoder) Int(_ string, p *int64) {
	e.b = appendInt(e.b, *p)
	e.count++
}

func (e *encoder) Uint(_ string, p *uint64) {
	e.b = appendUint(e.b, *p)
	e.count++
}

func (e *encoder) Bool(_ string, p *bool) {
	code := msgpcode.False
	if *p {
		code = msgpcode.True
	}
	e.b = append(e.b, code)
	e.count++
}

func (e *encoder) String(_ string, p *string) {
	e.b = append(appendStringLen(e.b, len(*p)), *p...)
	e.count++
}

func (e *encoder) Bytes(_ string, p *[]byte) {
	e.b = append(appendBytesLen(e.b, len(*p)), *p...)
	e.count++
}

func (e *encoder) Time(_ string, p *state.Time) {
	e.b = appendInt(e.b, int64(*p))
	e.count++
}

func (e *encoder) Decimal(_ string, p *state.Decimal) {
	e.b = appendInt(e.b, int64(*p))
	e.count++
}

func (e *encoder) Nested(_ string, value state.Visitable, raw *[]byte) {
	if value == nil {
		e.Bytes("", raw)
		return
	}
	if e.err != nil {
		return
	}
	start := len(e.b)
	e.b = append(e.b, 0)
	e.value(value) // counts as the one value that the byte string is
	if e.err != nil {
		return
	}
	var header [5]byte
	e.insert(start, appendBytesLen(header[:0], len(e.b)-start-1))
}

func (e *encoder) BeginStruct(string) { e.open() }
func (e *encoder) EndStruct()         { e.close() }

func (e *encoder) BeginOptional(_ string, present bool) bool {
	if present {
		return e.open()
	}
	e.b = append(e.b, msgpcode.Nil)
	e.count++
	return false
}

func (e *encoder) EndOptional() { e.close() }

func (e *encoder) BeginList(_ string, n int) int {
	e.b = appendArrayLen(e.b, n)
	e.count++
	if e.depth == maxDepth {
		e.err = errDepth
	}
	if e.err != nil {
		return n // VisitStructs keeps the list that is there
	}
	e.frames[e.depth] = frame{count: e.count}
	e.depth++
	return n
}

func (e *encoder) EndList() {
	if e.err != nil {
		return
	}
	e.depth--
	e.count = e.frames[e.depth].count
}
