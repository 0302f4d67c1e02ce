package geo

import "math/bits"

// Angles are in radians times 2⁶¹; sines and other numbers up to one are times
// 2⁶², their squares (type wide) times 2¹²⁴.
const (
	one = uint64(1) << 62

	// perMicro converts millionths of a degree into an angle: π/180e6 · 2⁸⁸.
	perMicro      = 5_401_532_406_949_459_315
	perMicroShift = 88 - 61
	// rightAngle is π/2 · 2⁶¹.
	rightAngle = 3_622_009_729_038_561_421
)

func halfOf(micro int64) uint64 { return mulShift(uint64(micro), perMicro, perMicroShift+1) }

func cosine(micro int64) uint64 {
	return sine(mulShift(uint64(90*degree-apart(micro, 0)), perMicro, perMicroShift))
}

// sineTerms are 2⁶⁴ / (2n·(2n+1)), for n from 1.
var sineTerms = reciprocals(1, 13, func(n uint64) (above, below uint64) { return 1, 2 * n * (2*n + 1) })

// sine of an angle up to a right one: x − x³/3! + x⁵/5! − …
func sine(angle uint64) uint64 {
	squared := mulShift(angle, angle, 61)
	term, sum := angle, angle
	for n, r := range sineTerms {
		term = mulShift(mulShift(term, squared, 61), r, 64)
		if n%2 == 0 {
			sum -= term
		} else {
			sum += term
		}
	}
	return min(sum<<1, one)
}

// arcsineTerms are 2⁶³ · (2n−1)²/(2n·(2n+1)), for n from 1.
var arcsineTerms = reciprocals(2, 24, func(n uint64) (above, below uint64) {
	return (2*n - 1) * (2*n - 1), 2 * n * (2*n + 1)
})

// arcsine is the angle whose sine is x, up to one: x + x³/6 + 3x⁵/40 + …, for
// which x must not be above a half; above it the half-angle formula
// arcsin x = π/2 − 2 arcsin √((1−x)/2) makes it small.
func arcsine(x uint64) uint64 {
	if x > one/2 {
		half := (one - min(x, one)) / 2
		return rightAngle - 2*arcsine(root(wide{hi: half >> 2, lo: half << 62}))
	}
	squared := mulShift(x, x, 62)
	term := x >> 1
	sum := term
	for _, r := range arcsineTerms {
		term = mulShift(mulShift(term, squared, 62), r, 63)
		if term == 0 {
			break
		}
		sum += term
	}
	return sum
}

// reciprocals are 2⁶⁵⁻ˢ · above/below for n from 1 to count.
func reciprocals(s uint, count uint64, ratio func(n uint64) (above, below uint64)) []uint64 {
	r := make([]uint64, 0, count)
	for n := uint64(1); n <= count; n++ {
		above, below := ratio(n)
		q, _ := bits.Div64(above<<1>>s, above<<(65-s), below)
		r = append(r, q)
	}
	return r
}

// metresOf turns the sine of half an angle into the arc's length.
func metresOf(sineOfHalf uint64) int64 {
	hi, lo := bits.Mul64(arcsine(sineOfHalf), 2*Radius)
	lo, carry := bits.Add64(lo, 1<<60, 0) // round
	return int64((hi+carry)<<3 | lo>>61)
}

// wide is a number times 2¹²⁴.
type wide struct{ hi, lo uint64 }

func square(x uint64) wide {
	hi, lo := bits.Mul64(x, x)
	return wide{hi, lo}
}

func (a wide) plus(b wide) wide {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return wide{hi, lo}
}

// times multiplies by a fraction times 2⁶².
func (a wide) times(f uint64) wide {
	hi, mid := bits.Mul64(a.hi, f)
	low, _ := bits.Mul64(a.lo, f)
	mid, carry := bits.Add64(mid, low, 0)
	hi += carry
	return wide{hi<<2 | mid>>62, mid << 2}
}

// root is the square root, by Newton's method from above.
func root(a wide) uint64 {
	if a.hi == 0 && a.lo == 0 {
		return 0
	}
	size := bits.Len64(a.lo)
	if a.hi > 0 {
		size = 64 + bits.Len64(a.hi)
	}
	x := uint64(1) << ((size + 1) / 2)
	for {
		q, _ := bits.Div64(a.hi, a.lo, x)
		next := (x + q) / 2
		if next >= x {
			return x
		}
		x = next
	}
}

// fraction multiplies two numbers times 2⁶².
func fraction(a, b uint64) uint64 { return mulShift(a, b, 62) }

// mulShift is a·b / 2ⁿ, for n up to 64.
func mulShift(a, b uint64, n uint) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi<<(64-n) | lo>>n
}
