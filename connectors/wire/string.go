package wire

import (
	"slices"

	"golang.org/x/text/currency"

	"anabranch.dev/operators/event"
)

// String reads a string field as its class allows.
func (r *reader) String(name string, p *string) {
	if who := r.frame.person; who != nil {
		switch name {
		case "type":
			r.keep(p, who.typeFrom, who.typeTo)
			return
		case "value":
			r.keep(p, who.typeTo, who.valueTo)
			return
		}
	}
	field := name
	if name == "" {
		field = r.frame.name
	}
	switch c := r.classOf(field); c {
	case classUnknown:
		if name == "" {
			r.nextItem()
		}
	case classToken:
		r.token(name, p)
	default:
		b, ok := r.raw(name)
		if c == classURL {
			b = withoutQuery(b)
		}
		if ok && r.check(c, name, b) {
			r.set(p, b)
		}
	}
}

// classOf classifies a field of the kind at hand.
func (r *reader) classOf(field string) class {
	if r.kind != nil && slices.Contains(r.kind.codes, field) {
		return classCode
	}
	return classOf(field)
}

// raw finds a field that must be a string if it is there, and returns what it
// says.
func (r *reader) raw(name string) ([]byte, bool) {
	i := r.find(name)
	if i == none {
		return nil, false
	}
	n := &r.doc.nodes[i]
	if n.kind != kindString {
		r.fault(CodeWrongType, name)
		return nil, false
	}
	b := r.doc.bytes(n)
	return b, r.text(name, b)
}

// text checks what holds for every string.
func (r *reader) text(name string, b []byte) bool {
	switch {
	case len(b) > MaxStringBytes:
		r.fault(CodeStringTooLong, name)
	case hasControl(b):
		r.fault(CodeStringInvalid, name)
	default:
		return true
	}
	return false
}

// hasControl looks for the control characters of ASCII and Latin-1.
func hasControl(b []byte) bool {
	for i, c := range b {
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(b) && b[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// check says whether a string of a class is kept.
func (r *reader) check(c class, name string, b []byte) bool {
	switch c {
	case classReason:
		return looksLikeCode(b, 64)
	case classQuery:
		return looksLikeQuery(b)
	case classURL:
		return looksLikeCode(b, MaxStringBytes)
	case classChannel:
		if !slices.Contains(event.ChannelClasses, string(b)) {
			r.fault(CodeChannelUnknown, name)
		}
	case classCurrency:
		if !isCurrency(b) {
			r.fault(CodeCurrencyInvalid, name)
		}
	case classGTIN:
		if !isGTIN(b) {
			r.fault(CodeGTINInvalid, name)
		}
	}
	return true
}

func isCurrency(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	_, err := currency.ParseISO(string(b))
	return err == nil
}

// isGTIN checks length and check digit (GS1 General Specifications §7.9).
func isGTIN(b []byte) bool {
	if len(b) != 8 && (len(b) < 12 || len(b) > 14) {
		return false
	}
	sum, weight := 0, 1
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < '0' || b[i] > '9' {
			return false
		}
		sum += weight * int(b[i]-'0')
		weight = 4 - weight // 1, 3, 1, 3 … from the check digit on
	}
	return sum%10 == 0
}

func (r *reader) set(p *string, b []byte) {
	from := len(r.buffer)
	r.buffer = append(r.buffer, b...)
	r.keep(p, from, len(r.buffer))
}

func (r *reader) keep(p *string, from, to int) {
	if from < to {
		r.texts = append(r.texts, text{p, from, to})
	}
}

// token reads a field that holds one identifier.
func (r *reader) token(name string, p *string) {
	b, ok := r.raw(name)
	if !ok {
		return
	}
	from := len(r.buffer)
	if r.buffer, ok = r.privacy.appendPseudonym(r.buffer, name, string(b)); ok {
		r.keep(p, from, len(r.buffer))
	}
}

// identifiers reads the list of identifiers at hand into people, leaving out
// those that are blocked, and returns how many there are.
func (r *reader) identifiers(size int) int {
	r.people = r.people[:0]
	for ; size > 0 && r.code == ""; size-- {
		i := r.object("")
		r.push(frame{node: i})
		typ, ok := r.raw("type")
		if !ok {
			r.fault(CodeMissingField, "type")
		}
		value, given := r.raw("value")
		if r.code == "" {
			r.identifier(i, typ, value, given)
		}
		r.pop()
	}
	r.frame.item = 0
	return len(r.people)
}

// identifier adds one identifier to people, unless it is blocked.
func (r *reader) identifier(i uint32, typ, value []byte, given bool) {
	who := person{node: i, typeFrom: len(r.buffer)}
	var ok bool
	if r.buffer, ok = appendType(r.buffer, typ); !ok {
		r.fault(CodeIdentifierInvalid, "type")
		return
	}
	who.typeTo = len(r.buffer)
	if given {
		r.buffer, ok = r.privacy.appendPseudonym(r.buffer, string(r.buffer[who.typeFrom:who.typeTo]), string(value))
	}
	if !given || !ok {
		r.buffer = r.buffer[:who.typeFrom]
		return
	}
	who.valueTo = len(r.buffer)
	r.people = append(r.people, who)
}
