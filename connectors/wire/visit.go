package wire

import (
	"encoding/hex"
	"math"
	"strings"

	"anabranch.dev/state"
)

// reader as a state.Visitor. Documents carry no feature level: every field that
// this build knows is read.
var _ state.Visitor = (*reader)(nil)

func (r *reader) Level() uint8 { return math.MaxUint8 }

func (r *reader) Int(name string, p *int64) {
	if text := r.number(name, CodeIntegerInvalid); text != nil {
		*p = r.integer(name, text)
	}
}

func (r *reader) Uint(name string, p *uint64) {
	if text := r.number(name, CodeIntegerInvalid); text != nil {
		*p = uint64(r.integer(name, text))
	}
}

// number returns the text of a JSON number, or nil.
func (r *reader) number(name, code string) []byte {
	i := r.find(name)
	if i == none {
		return nil
	}
	n := &r.doc.nodes[i]
	if n.kind != kindNumber {
		r.fault(CodeWrongType, name)
		return nil
	}
	return r.doc.bytes(n)
}

// integer reads and checks a whole number.
func (r *reader) integer(name string, text []byte) int64 {
	n, ok, over := parseInteger(text)
	if name == "quantity" {
		switch {
		case over || ok && (n > MaxQuantity || n < -MaxQuantity):
			r.fault(CodeQuantityAbsurd, name)
		case !ok, n <= 0 && r.kind.quantity == positive, n < 0 && r.kind.quantity == notNegative,
			n == 0 && r.kind.quantity == notZero:
			r.fault(CodeQuantityInvalid, name)
		}
		r.lines.quantity = n
		return n
	}
	switch {
	case !ok || n < 0 || n > MaxInteger:
		r.fault(CodeIntegerInvalid, name)
	case r.frame.lines && name == "line":
		if n < 1 {
			r.fault(CodeLineInvalid, name)
		}
		r.lines.numbered(n)
	}
	return n
}

func (r *reader) Bool(name string, p *bool) {
	i := r.find(name)
	if i == none {
		return
	}
	switch r.doc.nodes[i].kind {
	case kindTrue:
		*p = true
	case kindFalse:
		*p = false
	default:
		r.fault(CodeWrongType, name)
	}
}

func (r *reader) Bytes(name string, p *[]byte) {
	text, ok := r.raw(name)
	if !ok {
		return
	}
	b, err := hex.DecodeString(string(text))
	if err != nil {
		r.fault(CodeStringInvalid, name)
	}
	*p = b
}

// maxDuration bounds fields that hold a length of time: a hundred years.
const maxDuration = 36_525 * state.Day

func (r *reader) Time(name string, p *state.Time) {
	if strings.HasSuffix(name, "_us") {
		if text := r.number(name, CodeIntegerInvalid); text != nil {
			n, ok, _ := parseInteger(text)
			if !ok || n < 0 || state.Time(n) > maxDuration {
				r.fault(CodeIntegerInvalid, name)
			}
			*p = state.Time(n)
		}
		return
	}
	if text, ok := r.raw(name); ok {
		var fine bool
		if *p, fine = parseTime(text); !fine {
			r.fault(CodeTimeInvalid, name)
		}
	}
}

func (r *reader) Decimal(name string, p *state.Decimal) {
	i := r.find(name)
	if i == none {
		return
	}
	n := &r.doc.nodes[i]
	if n.kind != kindNumber && n.kind != kindString {
		r.fault(CodeWrongType, name)
		return
	}
	limit, code := measured(name)
	d, ok := parseDecimal(r.doc.bytes(n), limit > 0)
	switch {
	case limit > 0:
		if !ok || d > limit || d < -limit {
			r.fault(code, name)
		}
	case !ok:
		r.fault(CodeMoneyInvalid, name)
	case name == "unit_price":
		if d < 0 || d == 0 && r.kind.priced {
			r.fault(CodePriceNotPositive, name)
		}
		r.lines.price = d
	case d < 0:
		r.fault(CodeMoneyInvalid, name)
	}
	*p = d
}

// measured says how large a decimal can be that is measured, not counted, and
// the code for what is not so: degrees and dBm. It is rounded, has a sign, and
// is written as a number. For other decimals the limit is 0.
func measured(name string) (limit state.Decimal, code string) {
	switch {
	case name == "lat":
		return 90 * state.One, CodePositionInvalid
	case name == "lon":
		return 180 * state.One, CodePositionInvalid
	case strings.HasSuffix(name, "_dbm"):
		return MaxSignal * state.One, CodeSignalInvalid
	}
	return 0, ""
}

// Nested values have no type of their own in a document and are not read.
func (r *reader) Nested(string, state.Visitable, *[]byte) {}

func (r *reader) BeginStruct(name string) {
	if name == "" && r.frame.people {
		f := frame{node: none}
		if r.code == "" {
			f.person = &r.people[r.frame.item]
			f.node = f.person.node
			r.frame.item++
		}
		r.push(f)
		return
	}
	r.push(frame{node: r.object(name), name: name, lines: name == "" && r.frame.lines})
	r.lines.begin()
}

func (r *reader) EndStruct() {
	if r.frame.lines && r.code == "" && !r.lines.end() {
		r.fault(CodeAmountAbsurd, "")
	}
	r.pop()
}

// object finds a field that must be an object if it is there.
func (r *reader) object(name string) uint32 {
	i := r.find(name)
	if i != none && r.doc.nodes[i].kind != kindObject {
		r.fault(CodeWrongType, name)
		return none
	}
	return i
}

func (r *reader) BeginOptional(name string, _ bool) bool {
	i := r.object(name)
	if i == none {
		return false
	}
	r.push(frame{node: i, name: name})
	return true
}

func (r *reader) EndOptional() { r.pop() }

func (r *reader) BeginList(name string, _ int) int {
	i := r.find(name)
	f := frame{node: none, name: name, lines: name == "lines" && len(r.outer) == 0}
	size := 0
	switch {
	case i == none:
	case r.doc.nodes[i].kind != kindArray:
		r.fault(CodeWrongType, name)
	default:
		f.node, f.child = i, i+1
		size = int(r.doc.nodes[i].size)
	}
	people := classOf(name) == classIdentifiers
	r.listSize(name, size, f.lines, people)
	r.push(f)
	if r.code == "" && people {
		size = r.identifiers(size)
		r.frame.people = true
		if name == "identifiers" && size < r.kind.identifiers {
			r.fault(CodeIdentifiersMissing, "")
		}
	}
	if r.code != "" {
		return 0
	}
	if r.frame.lines {
		size = r.linesToVisit(size)
	}
	return size
}

// linesToVisit is how many of the lines at hand are visited: none after one with
// too few fields, which is refused. Otherwise thousands of empty ones would cost
// more than their bytes.
func (r *reader) linesToVisit(size int) int {
	i := r.frame.child
	for k := range size {
		n := &r.doc.nodes[i]
		if n.kind == kindObject && n.size < uint32(len(requiredInLine)) {
			return k + 1
		}
		i = n.next
	}
	return size
}

func (r *reader) listSize(name string, size int, isLines, isPeople bool) {
	switch {
	case isLines && size == 0 && r.kind.hasLines:
		r.fault(CodeLinesMissing, name)
	case isLines && size > MaxLines:
		r.fault(CodeTooManyLines, name)
	case !isLines && size > MaxItems, isPeople && size > MaxIdentifiers:
		r.fault(CodeTooManyItems, name)
	}
}

func (r *reader) EndList() {
	if r.frame.lines && r.code == "" {
		if at := r.lines.duplicate(); at >= 0 {
			r.frame.item = at + 1
			r.fault(CodeLineDuplicate, "line")
		}
	}
	r.pop()
}
