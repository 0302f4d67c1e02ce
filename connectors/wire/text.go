package wire

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain marks bytes that stand for themselves inside a JSON string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// text scans a string whose opening quote lies before i and returns the place
// after its closing quote.
func (d *document) text(i int) (end int, escaped bool) {
	for {
		for i < len(d.src) && plain[d.src[i]] {
			i++
		}
		if i >= len(d.src) || d.src[i] < 0x20 {
			return d.fail(CodeMalformedJSON, i), false
		}
		if d.src[i] == '"' {
			return i + 1, escaped
		}
		escaped = true
		if i = d.escape(i); i < 0 {
			return -1, false
		}
	}
}

// escape checks the escape sequence at i. Half of a surrogate pair is no
// character and is refused, as bytes that are not UTF-8 are.
func (d *document) escape(i int) int {
	if i+1 >= len(d.src) {
		return d.fail(CodeMalformedJSON, i)
	}
	switch d.src[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		r, ok := hex4(d.src, i+2)
		switch {
		case !ok:
			return d.fail(CodeMalformedJSON, i)
		case !utf16.IsSurrogate(r):
			return i + 6
		}
		if i+7 < len(d.src) && d.src[i+6] == '\\' && d.src[i+7] == 'u' {
			low, ok := hex4(d.src, i+8)
			if ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				return i + 12
			}
		}
		return d.fail(CodeInvalidUTF8, i)
	}
	return d.fail(CodeMalformedJSON, i)
}

func hex4(src []byte, i int) (rune, bool) {
	if i+4 > len(src) {
		return 0, false
	}
	var r rune
	for _, c := range src[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the string that checked JSON text stands for.
func appendUnescaped(b, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b = append(b, text[i])
			continue
		}
		i++
		switch c := text[i]; c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, _ := hex4(text, i+1)
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(text, i+3)
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			b = utf8.AppendRune(b, r)
		default: // ", \ and /
			b = append(b, c)
		}
	}
	return b
}

// appendQuoted appends s as a JSON string. s must be valid UTF-8.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain[c] {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
