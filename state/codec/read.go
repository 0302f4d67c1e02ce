package codec

import (
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// big reads an unsigned number of n bytes in big-endian order.
func (d *decoder) big(n int) uint64 {
	if len(d.b)-d.pos < n {
		d.fail("cut short")
		return 0
	}
	var x uint64
	for _, c := range d.b[d.pos : d.pos+n] {
		x = x<<8 | uint64(c)
	}
	d.pos += n
	return x
}

// shortest reads an unsigned number of n bytes that would not fit a shorter
// form, the largest of which holds most.
func (d *decoder) shortest(n int, most uint64) uint64 {
	x := d.big(n)
	if x <= most {
		d.fail("number or length not in its shortest form")
	}
	return x
}

// unsigned reads the rest of an unsigned number after its code.
func (d *decoder) unsigned(code byte) uint64 {
	switch code {
	case msgpcode.Uint8:
		return d.shortest(1, math.MaxInt8)
	case msgpcode.Uint16:
		return d.shortest(2, math.MaxUint8)
	case msgpcode.Uint32:
		return d.shortest(4, math.MaxUint16)
	case msgpcode.Uint64:
		return d.shortest(8, math.MaxUint32)
	}
	d.fail("code %#x is not a number", code)
	return 0
}

// negative reads the rest of a negative number after its code.
func (d *decoder) negative(code byte) int64 {
	var n, least int64
	switch code {
	case msgpcode.Int8:
		n, least = int64(int8(d.big(1))), -32
	case msgpcode.Int16:
		n, least = int64(int16(d.big(2))), math.MinInt8
	case msgpcode.Int32:
		n, least = int64(int32(d.big(4))), math.MinInt16
	default:
		n, least = int64(d.big(8)), math.MinInt32
	}
	if n >= least {
		d.fail("number not in its shortest form")
	}
	return n
}

func (d *decoder) int() int64 {
	if !d.next() {
		return 0
	}
	code := d.b[d.pos]
	d.pos++
	switch {
	case msgpcode.IsFixedNum(code):
		return int64(int8(code))
	case code >= msgpcode.Int8 && code <= msgpcode.Int64:
		return d.negative(code)
	}
	n := d.unsigned(code)
	if n > math.MaxInt64 {
		d.fail("number out of range")
	}
	return int64(n)
}

func (d *decoder) arrayLen() int {
	code := d.b[d.pos]
	d.pos++
	var n uint64
	switch {
	case msgpcode.IsFixedArray(code):
		n = uint64(code & msgpcode.FixedArrayMask)
	case code == msgpcode.Array16:
		n = d.shortest(2, 15)
	case code == msgpcode.Array32:
		n = d.shortest(4, math.MaxUint16)
	default:
		d.fail("code %#x is not an array", code)
	}
	if n > uint64(len(d.b)-d.pos) { // each value takes at least a byte
		d.fail("array of %d values in %d bytes", n, len(d.b)-d.pos)
		return 0
	}
	return int(n)
}

// text returns the next n bytes.
func (d *decoder) text(n uint64) []byte {
	if n > uint64(len(d.b)-d.pos) {
		d.fail("%d bytes announced, %d left", n, len(d.b)-d.pos)
	}
	if d.err != nil {
		return nil
	}
	t := d.b[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return t
}
