package wire

import (
	"bytes"
	"unicode"
)

// class says what may happen to a string field. It goes by the field's name,
// which means the same in every type.
type class uint8

const (
	// classUnknown fields are dropped: nobody has said that they hold nothing
	// personal.
	classUnknown class = iota
	// classCode fields name things of the business and are kept as given.
	classCode
	// classRemark fields are free text about the business, written by staff
	// for its history, and kept.
	classRemark
	// classReason fields are meant to be codes but invite stories about
	// people: what does not look like a code is dropped.
	classReason
	// classChannel and classCurrency fields are closed lists.
	classChannel
	classCurrency
	// classGTIN fields are GS1 numbers with a check digit.
	classGTIN
	// classQuery fields are what people type into a search: kept for counting,
	// unless it could be the address or number of a person.
	classQuery
	// classURL fields are cut where their query or fragment begins, and dropped
	// if the rest does not look like a code.
	classURL
	// classToken fields are identifiers whose type is the field's name.
	classToken
	// classIdentifiers fields are lists of typed identifiers.
	classIdentifiers
)

// classOf classifies a field. A new event type adds its names here; a test
// fails for a string field that has no class.
func classOf(field string) class {
	switch field {
	case "order", "document", "receipt", "transfer", "sku", "brand", "category",
		"location", "pool", "to", "to_pool", "owner", "kind", "format", "region", "city",
		"timezone", "opens", "closes", "pools", "staff", "role", "manager",
		"name", "value", "rule", "returns_to", "depletion_alerts", "effect":
		return classCode
	case "epc", "reader", "zone", "uuid", "namespace", "instance", "beacon", "district", "districts",
		"campaign", "brands", "locations", "purpose", "medium", "platform", "post", "case", "code",
		"skill", "skills", "alert", "outcome":
		return classCode
	case "author", "comment", "when":
		return classRemark
	case "reason":
		return classReason
	case "channel", "channels":
		return classChannel
	case "currency":
		return classCurrency
	case "gtin":
		return classGTIN
	case "query":
		return classQuery
	case "url":
		return classURL
	case "payment_token", "device", "session":
		return classToken
	case "customer", "own", "identifiers", "referrer":
		return classIdentifiers
	}
	return classUnknown
}

// FieldAtFault is the name of the reject field that names the field at fault.
const FieldAtFault = "field"

// FaultAt is the name of the reject field that says at which byte a value is no
// JSON any more.
const FaultAt = "at"

// Hidden stands in a dead letter for a value that is there, but does not look
// like a code or a number and could be anything.
const Hidden = "(hidden)"

// Fields of a document that dead letters show, apart from its lines, and those
// of each of the first maxShownLines lines.
var (
	shownFields = []string{
		"order", "document", "receipt", "transfer", "sku", "location", "pool", "to", "to_pool",
		"channel", "currency", "quantity", "price", "resource", "attempt", "round",
		"epc", "reader", "antenna", "campaign", "case", "alert",
	}
	shownLineFields = []string{"line", "sku", "quantity", "unit_price"}
)

const maxShownLines = 16

// numeric says whether a shown field holds a number.
func numeric(field string) bool {
	switch field {
	case "line", "quantity", "unit_price", "price", "attempt", "round", "antenna":
		return true
	}
	return false
}

// showText returns what a dead letter shows of a field's text. A code has 1 to
// 64 letters, digits and - _ . : / #: nothing that an e-mail address or a name
// with its blank passes. A number has at most nine digits before its point,
// which is less than a phone number.
func showText(field string, text []byte) string {
	if numeric(field) {
		if !looksNumeric(text) {
			return Hidden
		}
	} else if !looksLikeCode(text, 64) {
		return Hidden
	}
	return string(text)
}

// maxQueryBytes bounds what is kept of a search: longer ones are told, not
// searched for.
const maxQueryBytes = 128

// looksLikeQuery says whether a search names no person by address or number: it
// has no @ and fewer than seven digits.
func looksLikeQuery(text []byte) bool {
	digits := 0
	for _, r := range string(text) {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	return len(text) <= maxQueryBytes && digits < 7 && !bytes.ContainsAny(text, "@＠")
}

// withoutQuery cuts a URL where its query or fragment begins.
func withoutQuery(url []byte) []byte {
	if i := bytes.IndexAny(url, "?#"); i >= 0 {
		return url[:i]
	}
	return url
}

func looksNumeric(text []byte) bool {
	_, ok := parseDecimal(text, false)
	if !ok || len(text) > 17 {
		return false
	}
	whole := 0
	for whole < len(text) && text[whole] != '.' {
		whole++
	}
	return whole <= 10 && (whole <= 9 || text[0] == '-')
}

func looksLikeCode(text []byte, longest int) bool {
	if len(text) == 0 || len(text) > longest {
		return false
	}
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '#':
		default:
			return false
		}
	}
	return true
}
