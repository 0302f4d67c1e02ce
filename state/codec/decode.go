package codec

import (
	"fmt"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"anabranch.dev/state"
)

// decoder is a visitor that writes what it reads. After its first error it
// reads nothing more and leaves every field as it is.
type decoder struct {
	b     []byte
	pos   int
	level uint8
	err   error
	left  int // values not yet read in the open array
	depth int
	outer [maxDepth]int // left of the arrays around it
	words *words        // nil where no strings are read
}

func (d *decoder) reset() {
	d.b, d.err, d.pos, d.left, d.depth = nil, nil, 0, 0, 0
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: byte %d: %s", ErrCorrupt, d.pos, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) value(v state.Visitable) {
	d.openValue()
	if d.err == nil {
		v.Visit(d)
	}
	d.close()
}

// openValue reads the beginning of a whole value: its header and level.
func (d *decoder) openValue() {
	d.left = 1
	if !d.open() {
		return
	}
	var level uint64
	d.Uint("", &level)
	if level > math.MaxUint8 {
		d.fail("level %d", level)
	}
	d.level = uint8(level)
}

// open enters an array.
func (d *decoder) open() bool {
	if !d.next() {
		return false
	}
	n := d.arrayLen()
	if d.err != nil {
		return false
	}
	return d.push(n)
}

func (d *decoder) push(n int) bool {
	if d.depth == maxDepth {
		d.fail("nested too deep")
		return false
	}
	d.outer[d.depth] = d.left
	d.depth++
	d.left = n
	return true
}

// close leaves an array, all values of which must have been read.
func (d *decoder) close() {
	if d.err != nil {
		return
	}
	if d.left != 0 {
		d.fail("%d more fields than level %d has", d.left, d.level)
		return
	}
	d.depth--
	d.left = d.outer[d.depth]
}

// next says whether the open array has another value, and counts it.
func (d *decoder) next() bool {
	if d.err != nil {
		return false
	}
	if d.left == 0 {
		d.fail("too few fields for level %d", d.level)
		return false
	}
	if d.pos >= len(d.b) {
		d.fail("cut short")
		return false
	}
	d.left--
	return true
}

// Level implements [state.Visitor], as do the methods below.
func (d *decoder) Level() uint8 { return d.level }

func (d *decoder) Int(_ string, p *int64) {
	if n := d.int(); d.err == nil {
		*p = n
	}
}

func (d *decoder) Uint(_ string, p *uint64) {
	if !d.next() {
		return
	}
	code := d.b[d.pos]
	d.pos++
	n := uint64(code)
	if code > msgpcode.PosFixedNumHigh {
		n = d.unsigned(code)
	}
	if d.err == nil {
		*p = n
	}
}

func (d *decoder) Bool(_ string, p *bool) {
	if !d.next() {
		return
	}
	switch code := d.b[d.pos]; code {
	case msgpcode.True:
		*p = true
	case msgpcode.False:
		*p = false
	default:
		d.fail("code %#x is not a bool", code)
		return
	}
	d.pos++
}

func (d *decoder) String(_ string, p *string) {
	if !d.next() {
		return
	}
	code := d.b[d.pos]
	d.pos++
	var n uint64
	switch {
	case msgpcode.IsFixedString(code):
		n = uint64(code & msgpcode.FixedStrMask)
	case code == msgpcode.Str8:
		n = d.shortest(1, 31)
	case code == msgpcode.Str16:
		n = d.shortest(2, math.MaxUint8)
	case code == msgpcode.Str32:
		n = d.shortest(4, math.MaxUint16)
	default:
		d.fail("code %#x is not a string", code)
	}
	if t := d.text(n); d.err == nil {
		*p = d.words.of(t)
	}
}

func (d *decoder) Bytes(_ string, p *[]byte) {
	if !d.next() {
		return
	}
	code := d.b[d.pos]
	d.pos++
	var n uint64
	switch code {
	case msgpcode.Bin8:
		n = d.big(1)
	case msgpcode.Bin16:
		n = d.shortest(2, math.MaxUint8)
	case msgpcode.Bin32:
		n = d.shortest(4, math.MaxUint16)
	default:
		d.fail("code %#x is not a byte string", code)
	}
	t := d.text(n)
	if d.err != nil {
		return
	}
	*p = nil
	if len(t) > 0 {
		*p = append(make([]byte, 0, len(t)), t...)
	}
}

func (d *decoder) Time(_ string, p *state.Time) {
	if n := d.int(); d.err == nil {
		*p = state.Time(n)
	}
}

func (d *decoder) Decimal(_ string, p *state.Decimal) {
	if n := d.int(); d.err == nil {
		*p = state.Decimal(n)
	}
}

func (d *decoder) Nested(_ string, _ state.Visitable, raw *[]byte) { d.Bytes("", raw) }

func (d *decoder) BeginStruct(string) { d.open() }
func (d *decoder) EndStruct()         { d.close() }

func (d *decoder) BeginOptional(string, bool) bool {
	if d.err == nil && d.left > 0 && d.pos < len(d.b) && d.b[d.pos] == msgpcode.Nil {
		d.left--
		d.pos++
		return false
	}
	return d.open()
}

func (d *decoder) EndOptional() { d.close() }

func (d *decoder) BeginList(string, int) int {
	if !d.open() {
		return 0
	}
	return d.left
}

func (d *decoder) EndList() { d.close() }
