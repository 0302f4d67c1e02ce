package wire

import (
	"bytes"
	"time"

	"anabranch.dev/state"
)

// parseInteger reads a whole number without a fraction or exponent. over is
// set when it is one, but does not fit.
func parseInteger(text []byte) (n int64, ok, over bool) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 {
		return 0, false, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false, false
		}
	}
	for _, c := range bytes.TrimLeft(digits, "0") {
		if n > (1<<63-1-9)/10 {
			return 0, false, true
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true, false
}

// parseDecimal reads [-]digits[.digits] in millionths. Digits beyond the sixth
// place must be zeros, unless round is set: then the sixth is rounded half away
// from zero. There is no exponent, no sign but a minus, no blank, and at least
// one digit before a point and after it. Numbers beyond ±10¹² are refused.
func parseDecimal(text []byte, round bool) (d state.Decimal, ok bool) {
	const limit = 1_000_000_000_000
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, frac, point := bytes.Cut(text, []byte{'.'})
	if len(whole) == 0 || point && len(frac) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range whole {
		if c < '0' || c > '9' || n >= limit {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if n > limit {
		return 0, false
	}
	for i := range 6 {
		n *= 10
		if i < len(frac) {
			if frac[i] < '0' || frac[i] > '9' {
				return 0, false
			}
			n += int64(frac[i] - '0')
		}
	}
	for i := 6; i < len(frac); i++ {
		if frac[i] < '0' || frac[i] > '9' || frac[i] != '0' && !round {
			return 0, false
		}
		if i == 6 && frac[i] >= '5' {
			n++
		}
	}
	if negative {
		n = -n
	}
	return state.Decimal(n), true
}

// appendNumber appends d as a JSON number without trailing zeros.
func appendNumber(b []byte, d state.Decimal) []byte {
	b = d.Append(b)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b
}

// parseTime reads an RFC 3339 time after 1970 began and before the year 10000.
func parseTime(text []byte) (state.Time, bool) {
	var t time.Time
	// Package time alone would take 9:00:00 and 09:00:00,5 too.
	if len(text) < 20 || text[13] != ':' || text[16] != ':' || text[19] == ',' {
		return 0, false
	}
	if err := t.UnmarshalText(text); err != nil || t.UTC().Year() > 9999 {
		return 0, false
	}
	us := state.TimeOf(t)
	return max(us, 0), us > 0
}

// appendTime appends t as a JSON string, or null when it is not set.
func appendTime(b []byte, t state.Time) []byte {
	if t == 0 {
		return append(b, "null"...)
	}
	return append(appendWall(append(b, '"'), t), '"')
}

func appendWall(b []byte, t state.Time) []byte {
	return t.Wall().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
}
