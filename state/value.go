package state

import "time"

// Time is a point in time in microseconds since the Unix epoch, UTC. The zero
// value means "not set".
type Time int64

// Units of [Time] differences.
const (
	Millisecond Time = 1_000
	Second      Time = 1_000_000
	Minute           = 60 * Second
	Hour             = 60 * Minute
	Day              = 24 * Hour
)

// TimeOf converts a wall time, dropping what is below a microsecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// Wall converts t back into a UTC wall time.
func (t Time) Wall() time.Time { return time.UnixMicro(int64(t)).UTC() }

// String formats t as RFC 3339 with microseconds, "-" when not set.
func (t Time) String() string {
	if t == 0 {
		return "-"
	}
	return t.Wall().Format("2006-01-02T15:04:05.999999Z07:00")
}

// Decimal is a decimal number in millionths (10⁻⁶): money, scores and degrees.
// Integers make results the same on every machine.
type Decimal int64

// One is the Decimal 1.
const One Decimal = 1_000_000

// String formats d without trailing zeros but with at least two places.
func (d Decimal) String() string {
	var buf [32]byte
	return string(d.Append(buf[:0]))
}

// Append appends the text form of d, as in [Decimal.String], to b.
func (d Decimal) Append(b []byte) []byte {
	u := uint64(d)
	if d < 0 {
		b = append(b, '-')
		u = -u
	}
	whole, frac := u/uint64(One), u%uint64(One)
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + whole%10)
		whole /= 10
		if whole == 0 {
			break
		}
	}
	b = append(b, digits[i:]...)
	b = append(b, '.')
	var places [6]byte
	for j := 5; j >= 0; j-- {
		places[j] = byte('0' + frac%10)
		frac /= 10
	}
	n := 6
	for n > 2 && places[n-1] == '0' {
		n--
	}
	return append(b, places[:n]...)
}
