package wire

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// normalise gives the one spelling of an identifier that all its spellings
// share.
//
//   - phone: E.164 (ITU-T), numbers without a country code taken from region;
//     an extension is not part of it
//   - email: lower case, the domain in its ASCII form (IDNA 2008)
//   - any other: NFC, as typed, without white space around it
//
// What does not parse as what its type says, such as a phone number that came
// already hashed, is kept in lower case.
func normalise(typ, value, region string) string {
	value = strings.TrimSpace(norm.NFC.String(value))
	switch typ {
	case "phone":
		if len(value) > maxPhoneBytes {
			break
		}
		if n, err := phonenumbers.Parse(value, region); err == nil {
			return phonenumbers.Format(n, phonenumbers.E164)
		}
	case "email":
		return normaliseEmail(lower(value))
	default:
		return value
	}
	return lower(value)
}

// lower is the lower case of value, composed again: Y̊ has no single character,
// ẙ has.
func lower(value string) string { return norm.NFC.String(strings.ToLower(value)) }

// maxPhoneBytes bounds what is tried as a phone number: the expressions behind
// it are slow on long text, and no number has more than 15 digits.
const maxPhoneBytes = 64

func normaliseEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	domain, err := idna.Lookup.ToASCII(strings.TrimRight(address[at+1:], "."))
	if err != nil {
		return address
	}
	return address[:at+1] + domain
}

// says reports whether a value says anything: whether it holds a letter or a
// digit other than 0. "", "-" and "000-0000" do not.
func says(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) && r != '0' && r != '０'
	})
}

// appendType appends the name of an identifier's type in lower case. It has 1
// to 32 letters, digits, - and _, and begins with a letter.
func appendType(b, text []byte) ([]byte, bool) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > 32 {
		return b, false
	}
	for i, c := range text {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '_' || c == '-'):
		default:
			return b, false
		}
		b = append(b, c)
	}
	return b, true
}
