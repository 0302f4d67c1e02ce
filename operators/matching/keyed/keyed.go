// Package keyed turns the fields of a description of a person into keyed hashes, as
// package matching compares them.
//
// A field is normalised (lower case, without marks over letters, without anything
// but letters and digits), then hashed whole, by how it sounds (American Soundex, as
// the National Archives describe it), and bigram by bigram into a filter: every
// bigram sets a few bits, chosen by its keyed hash.
package keyed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"anabranch.dev/operators/matching"
)

// bitsPerBigram is how many bits a bigram sets.
const bitsPerBigram = 8

const filterBits = 64 * matching.FilterWords

// Hasher makes values under a key. It belongs to one goroutine.
type Hasher struct{ mac hash.Hash }

// NewHasher makes a Hasher. Descriptions can be compared only if they were hashed
// under the same key.
func NewHasher(key []byte) *Hasher { return &Hasher{mac: hmac.New(sha256.New, key)} }

// Value hashes a field. The same text in two fields gives two different values. A
// text without a letter or digit gives none.
func (h *Hasher) Value(field, text string) (v matching.Value) {
	plain := Normal(text)
	if plain == "" {
		return v
	}
	v.Exact = h.number(field, "exact", plain)
	if sound := Soundex(plain); sound != "" {
		v.Sound = h.number(field, "sound", sound)
	}
	padded := []rune("_" + plain + "_")
	for i := 0; i+1 < len(padded); i++ {
		h.set(&v.Filter, field, string(padded[i:i+2]))
	}
	return v
}

// number is a keyed hash that is never 0.
func (h *Hasher) number(parts ...string) uint64 {
	sum := h.sum(parts...)
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}

func (h *Hasher) set(filter *[matching.FilterWords]uint64, field, bigram string) {
	sum := h.sum(field, "bigram", bigram)
	for i := range bitsPerBigram {
		bit := binary.BigEndian.Uint16(sum[2*i:]) % filterBits
		filter[bit/64] |= 1 << (bit % 64)
	}
}

func (h *Hasher) sum(parts ...string) [sha256.Size]byte {
	h.mac.Reset()
	for _, p := range parts {
		h.mac.Write([]byte(p))
		h.mac.Write([]byte{0})
	}
	var sum [sha256.Size]byte
	h.mac.Sum(sum[:0])
	return sum
}

// Normal is the spelling of a text that its spellings share.
func Normal(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// codes are the digits of the consonants in Soundex; vowels have none and part equal
// digits, h and w have none and don't.
const codes = "01230120022455012623010202"

// Soundex says how an English word sounds: its first letter and three digits. It is
// "" for a text that does not begin with one of its letters.
func Soundex(plain string) string {
	out := make([]byte, 0, 4)
	last := byte('0')
	for i := 0; i < len(plain) && len(out) < 4; i++ {
		c := plain[i]
		if c < 'a' || c > 'z' {
			if len(out) == 0 {
				return ""
			}
			continue
		}
		code := codes[c-'a']
		switch {
		case len(out) == 0:
			out = append(out, c)
		case code != '0' && code != last:
			out = append(out, code)
		}
		if c != 'h' && c != 'w' {
			last = code
		}
	}
	if len(out) == 0 {
		return ""
	}
	for len(out) < 4 {
		out = append(out, '0')
	}
	return string(out)
}
