package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// form is how a MessagePack value begins: what it is, and how the length of
// what follows its code is found.
type form struct {
	kind   nodeKind
	known  bool  // false: no value begins so
	length uint8 // bytes of a length that follow the code
	size   uint8 // without them, the length itself: bytes, items or members
	extra  uint8 // bytes that follow the length and are not counted in it
}

// forms holds the form of each code.
var forms = func() (t [256]form) {
	for c := range t {
		switch code := byte(c); {
		case msgpcode.IsFixedNum(code):
			t[c] = form{kind: kindNumber, known: true}
		case msgpcode.IsFixedMap(code):
			t[c] = form{kind: kindObject, known: true, size: code & msgpcode.FixedMapMask}
		case msgpcode.IsFixedArray(code):
			t[c] = form{kind: kindArray, known: true, size: code & msgpcode.FixedArrayMask}
		case msgpcode.IsFixedString(code):
			t[c] = form{kind: kindString, known: true, size: code & msgpcode.FixedStrMask}
		}
	}
	t[msgpcode.Nil] = form{kind: kindNull, known: true}
	t[msgpcode.True] = form{kind: kindTrue, known: true}
	t[msgpcode.False] = form{kind: kindFalse, known: true}
	t[msgpcode.Float] = form{kind: kindNumber, known: true, size: 4}
	t[msgpcode.Double] = form{kind: kindNumber, known: true, size: 8}
	for i := range byte(4) { // of 1, 2, 4 and 8 bytes
		t[msgpcode.Uint8+i] = form{kind: kindNumber, known: true, size: 1 << i}
		t[msgpcode.Int8+i] = form{kind: kindNumber, known: true, size: 1 << i}
	}
	for i := range byte(5) { // of 1, 2, 4, 8 and 16 bytes
		t[msgpcode.FixExt1+i] = form{kind: kindOpaque, known: true, size: 1 << i, extra: 1}
	}
	for i := range byte(3) { // with a length of 1, 2 and 4 bytes
		t[msgpcode.Str8+i] = form{kind: kindString, known: true, length: 1 << i}
		t[msgpcode.Bin8+i] = form{kind: kindOpaque, known: true, length: 1 << i}
		t[msgpcode.Ext8+i] = form{kind: kindOpaque, known: true, length: 1 << i, extra: 1}
	}
	for i := range byte(2) { // with a length of 2 and 4 bytes
		t[msgpcode.Array16+i] = form{kind: kindArray, known: true, length: 2 << i}
		t[msgpcode.Map16+i] = form{kind: kindObject, known: true, length: 2 << i}
	}
	return t
}()

// unpack is parse for MessagePack: it checks that src is exactly one value
// within the same limits, with strings for the names of all members, and cuts
// it into the same nodes. Numbers stay as they are until they are read.
//
// It believes no length: what src has no bytes for is refused before anything
// is allocated. A general decoder would allocate what a length announces.
func (d *document) unpack(src []byte) bool {
	d.begin(src)
	if len(src) > MaxRecordBytes {
		d.fail(CodeTooLarge, MaxRecordBytes)
	} else if i := d.packed(0, 1); i >= 0 && i != len(src) {
		d.fail(CodeMalformedMessagePack, i)
	}
	return d.code == ""
}

// packed scans the value at i, which stands depth containers deep, and returns
// where it ends. Recursion is bounded by MaxDepth.
func (d *document) packed(i, depth int) int {
	f, from, size := d.form(i)
	if from < 0 {
		return -1
	}
	if len(d.nodes) == MaxValues {
		return d.fail(CodeTooManyValues, i)
	}
	self := len(d.nodes)
	if self == cap(d.nodes) {
		d.grow()
	}
	n := node{kind: f.kind, from: uint32(from)}
	d.nodes = append(d.nodes, n)
	end := from + size
	switch f.kind {
	case kindObject, kindArray:
		if depth > MaxDepth {
			return d.fail(CodeTooDeep, i)
		}
		n.size = uint32(size)
		end = d.items(from, size, depth, f.kind == kindObject)
	case kindString:
		end = d.packedText(from, end)
	case kindNumber:
		n.from, n.packed = uint32(i), true
		if !finite(d.src[i:end]) {
			return d.fail(CodeMalformedMessagePack, i)
		}
	}
	if end < 0 {
		return -1
	}
	n.to, n.next = uint32(end), uint32(len(d.nodes))
	d.nodes[self] = n
	return end
}

// form reads the beginning of the value at i. What it consists of begins at
// from, or from is -1. For all of it there are bytes left: at least one for
// each item and two for each member.
func (d *document) form(i int) (f *form, from, size int) {
	if i >= len(d.src) {
		return nil, d.fail(CodeMalformedMessagePack, i), 0
	}
	f = &forms[d.src[i]]
	from = i + 1 + int(f.length)
	if !f.known || from+int(f.extra) > len(d.src) {
		return nil, d.fail(CodeMalformedMessagePack, i), 0
	}
	size = int(f.size)
	for _, c := range d.src[i+1 : from] {
		size = size<<8 | int(c)
	}
	from += int(f.extra)
	needed := size
	if f.kind == kindObject {
		needed = 2 * size
	}
	if needed > len(d.src)-from {
		return nil, d.fail(CodeMalformedMessagePack, i), 0
	}
	return f, from, size
}

// items scans the inside of a container from i on.
func (d *document) items(i, size, depth int, named bool) int {
	for range size {
		var nameFrom, nameTo int
		if named {
			f, from, length := d.form(i)
			switch {
			case from < 0:
				return -1
			case f.kind != kindString:
				return d.fail(CodeMalformedMessagePack, i)
			}
			if i = d.packedText(from, from+length); i < 0 {
				return -1
			}
			nameFrom, nameTo = from, i
		}
		child := len(d.nodes)
		if i = d.packed(i, depth+1); i < 0 {
			return -1
		}
		if named {
			c := &d.nodes[child]
			c.nameFrom, c.nameTo = uint32(nameFrom), uint32(nameTo)
		}
	}
	return i
}

// packedText checks a string and returns where it ends.
func (d *document) packedText(from, to int) int {
	if text := d.src[from:to]; !utf8.Valid(text) {
		return d.fail(CodeInvalidUTF8, from+firstInvalid(text))
	}
	return to
}

// finite says whether a number is one: not NaN and not infinite.
func finite(value []byte) bool {
	switch value[0] {
	case msgpcode.Float:
		return binary.BigEndian.Uint32(value[1:])>>23&0xff != 0xff
	case msgpcode.Double:
		return binary.BigEndian.Uint64(value[1:])>>52&0x7ff != 0x7ff
	}
	return true
}

// appendPacked appends a number as JSON would write it. A floating-point number
// stands for the shortest decimal that it is the nearest to, with an exponent
// where JavaScript and Go write one, and has a point, so that it is no integer.
func appendPacked(b, value []byte) []byte {
	code, rest := value[0], value[1:]
	switch {
	case msgpcode.IsFixedNum(code):
		return strconv.AppendInt(b, int64(int8(code)), 10)
	case code == msgpcode.Float:
		return appendFloat(b, float64(math.Float32frombits(binary.BigEndian.Uint32(rest))), 32)
	case code == msgpcode.Double:
		return appendFloat(b, math.Float64frombits(binary.BigEndian.Uint64(rest)), 64)
	}
	var n uint64
	for _, c := range rest {
		n = n<<8 | uint64(c)
	}
	if code < msgpcode.Int8 {
		return strconv.AppendUint(b, n, 10)
	}
	unused := 64 - 8*len(rest)
	return strconv.AppendInt(b, int64(n<<unused)>>unused, 10)
}

func appendFloat(b []byte, x float64, bits int) []byte {
	format := byte('f')
	if size := math.Abs(x); size >= 1e21 || size < 1e-6 && size != 0 {
		format = 'e'
	}
	from := len(b)
	b = strconv.AppendFloat(b, x, format, -1, bits)
	if format == 'f' && !bytes.Contains(b[from:], []byte{'.'}) {
		b = append(b, ".0"...)
	}
	return b
}
