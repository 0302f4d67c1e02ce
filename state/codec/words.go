package codec

import "encoding/binary"

// words remembers recently read short strings, so that those which come again
// and again (types, channels, locations, currencies, SKUs) are not allocated
// each time. A slot is overwritten by the next string that falls on it.
type words [wordSlots]string

const (
	wordSlots   = 512
	maxWordSize = 24
)

// of returns b as a string.
func (w *words) of(b []byte) string {
	n := len(b)
	if n == 0 {
		return ""
	}
	if n > maxWordSize {
		return string(b)
	}
	slot := &w[wordSlot(b)]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}

// wordSlot hashes the length, the first and the last bytes.
func wordSlot(b []byte) uint64 {
	n := uint64(len(b))
	var head, tail uint64
	switch {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	default:
		head, tail = uint64(b[0])<<8|uint64(b[n/2]), uint64(b[n-1])
	}
	const odd = 0x9E3779B97F4A7C15
	h := (head ^ n) * odd
	h = (h ^ h>>29 ^ tail) * odd
	return h >> 32 % wordSlots
}
