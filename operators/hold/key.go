package hold

import "strings"

// Key joins parts into a row key: different parts give different keys, no key
// is a prefix of another with as many parts, and keys sort as their parts do.
// Each part ends in a zero byte; one inside a part is escaped.
func Key(parts ...string) string {
	b := make([]byte, 0, usualKey)
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return string(b)
}

func appendPart(b []byte, part string) []byte {
	if strings.IndexByte(part, 0) < 0 {
		return append(append(b, part...), 0)
	}
	for i := range len(part) {
		b = append(b, part[i])
		if part[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0)
}

// Key is the place as the beginning of a row key.
func (p Place) Key() string { return string(p.append(make([]byte, 0, usualKey))) }

func (p Place) append(b []byte) []byte { return appendPart(appendPart(b, p.Location), p.Pool) }

// Number is n as 16 hex digits, for row keys that sort by number.
func Number(n uint64) string { return string(appendNumber(make([]byte, 0, 16), n)) }

func appendNumber(b []byte, n uint64) []byte {
	const hex = "0123456789abcdef"
	for i := range 16 {
		b = append(b, hex[n>>(60-4*i)&15])
	}
	return b
}
