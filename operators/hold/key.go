package hold

import "strings"

// Key joins parts into a row key: different parts give different keys, no key
// is a prefix of another with as many parts, and keys sort as their parts do.
// Each part ends in a zero byte; one inside a part is escaped.
func Key(parts ...string) string {
	size := len(parts)
	for _, p := range parts {
		size += len(p) + strings.Count(p, "\x00")
	}
	b := make([]byte, 0, size)
	for _, p := range parts {
		for i := range len(p) {
			b = append(b, p[i])
			if p[i] == 0 {
				b = append(b, 0xff)
			}
		}
		b = append(b, 0)
	}
	return string(b)
}

// Key is the place as the beginning of a row key.
func (p Place) Key() string { return Key(p.Location, p.Pool) }

// Number is n as 16 hex digits, for row keys that sort by number.
func Number(n uint64) string {
	const hex = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = hex[n>>(60-4*i)&15]
	}
	return string(b[:])
}
