package wire

import (
	"slices"
	"unicode/utf8"
)

// nodeKind is the JSON type of a node.
type nodeKind uint8

const (
	kindObject nodeKind = iota
	kindArray
	kindString
	kindNumber
	kindTrue
	kindFalse
	kindNull
	kindOpaque // bytes or an extension of MessagePack: no field is read from it
)

// node is one value of a document. Positions are offsets in the source.
type node struct {
	nameFrom, nameTo uint32 // member name without quotes, in an object
	from, to         uint32 // the value; a string without its quotes
	next             uint32 // index of the node after this one and all inside it
	size             uint32 // number of values directly inside
	kind             nodeKind
	nameEscaped      bool // the name holds backslashes
	escaped          bool // the string holds backslashes
	packed           bool // the number is one of MessagePack, with its code
}

// document is a checked JSON text or MessagePack value, cut into nodes in the
// order of their beginnings: a container is followed by what is in it. It is
// reused from record to record and points into the source.
//
// One pass of our own, because a general parser needs three (validity, depth,
// fields) and says neither where nor what is wrong.
type document struct {
	src     []byte
	nodes   []node
	numbers []byte // texts of the packed numbers that were read
	code    string // why parsing failed
	at      int    // where
}

// begin starts with a new source.
func (d *document) begin(src []byte) {
	d.src, d.nodes, d.numbers, d.code, d.at = src, d.nodes[:0], d.numbers[:0], "", 0
}

// grow makes room for more nodes. It doubles, where append would grow by a
// quarter, again and again.
func (d *document) grow() { d.nodes = slices.Grow(d.nodes, len(d.nodes)+32) }

// parse checks src and cuts it up. It returns false with code and at set when
// src is not exactly one JSON value within the limits.
func (d *document) parse(src []byte) bool {
	d.begin(src)
	switch {
	case len(src) > MaxRecordBytes:
		d.fail(CodeTooLarge, MaxRecordBytes)
	case !utf8.Valid(src):
		d.fail(CodeInvalidUTF8, firstInvalid(src))
	default:
		i := d.value(d.space(0), 1)
		if i < 0 {
			break
		}
		if i = d.space(i); i != len(src) {
			d.fail(CodeMalformedJSON, i)
		}
	}
	return d.code == ""
}

func firstInvalid(src []byte) int {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(src)
}

// fail notes the first fault and returns -1, which every scanner passes on.
func (d *document) fail(code string, at int) int {
	d.code, d.at = code, at
	return -1
}

func (d *document) space(i int) int {
	for i < len(d.src) && (d.src[i] == ' ' || d.src[i] == '\n' || d.src[i] == '\t' || d.src[i] == '\r') {
		i++
	}
	return i
}

// value scans the value at i, which stands depth containers deep, and returns
// where it ends. Recursion is bounded by MaxDepth.
func (d *document) value(i, depth int) int {
	if i >= len(d.src) {
		return d.fail(CodeMalformedJSON, i)
	}
	if len(d.nodes) == MaxValues {
		return d.fail(CodeTooManyValues, i)
	}
	self := len(d.nodes)
	if self == cap(d.nodes) {
		d.grow()
	}
	d.nodes = append(d.nodes, node{from: uint32(i)})
	n := node{from: uint32(i)}
	var end int
	switch c := d.src[i]; c {
	case '{', '[':
		if depth > MaxDepth {
			return d.fail(CodeTooDeep, i)
		}
		n.kind = kindObject
		if c == '[' {
			n.kind = kindArray
		}
		end = d.container(i+1, depth, c, &n)
	case '"':
		n.kind = kindString
		n.from++
		end, n.escaped = d.text(i + 1)
	case 't':
		n.kind = kindTrue
		end = d.word(i, "true")
	case 'f':
		n.kind = kindFalse
		end = d.word(i, "false")
	case 'n':
		n.kind = kindNull
		end = d.word(i, "null")
	default:
		n.kind = kindNumber
		end = d.number(i)
	}
	if end < 0 {
		return -1
	}
	n.to, n.next = uint32(end), uint32(len(d.nodes))
	if n.kind == kindString {
		n.to--
	}
	d.nodes[self] = n
	return end
}

// container scans the inside of an object or array from i on.
func (d *document) container(i, depth int, open byte, n *node) int {
	end := open + 2 // '}' and ']' follow two places after '{' and '['
	i = d.space(i)
	if i < len(d.src) && d.src[i] == end {
		return i + 1
	}
	for {
		var nameFrom, nameTo int
		var escaped bool
		if open == '{' {
			if nameFrom, nameTo, escaped, i = d.name(i); i < 0 {
				return -1
			}
		}
		child := len(d.nodes)
		if i = d.value(i, depth+1); i < 0 {
			return -1
		}
		if open == '{' {
			c := &d.nodes[child]
			c.nameFrom, c.nameTo, c.nameEscaped = uint32(nameFrom), uint32(nameTo), escaped
		}
		n.size++
		if i = d.space(i); i >= len(d.src) {
			return d.fail(CodeMalformedJSON, i)
		}
		switch d.src[i] {
		case ',':
			i = d.space(i + 1)
		case end:
			return i + 1
		default:
			return d.fail(CodeMalformedJSON, i)
		}
	}
}

// name scans a member's name and colon and returns where the value begins.
func (d *document) name(i int) (from, to int, escaped bool, next int) {
	if i >= len(d.src) || d.src[i] != '"' {
		return 0, 0, false, d.fail(CodeMalformedJSON, i)
	}
	end, escaped := d.text(i + 1)
	if end < 0 {
		return 0, 0, false, -1
	}
	next = d.space(end)
	if next >= len(d.src) || d.src[next] != ':' {
		return 0, 0, false, d.fail(CodeMalformedJSON, next)
	}
	return i + 1, end - 1, escaped, d.space(next + 1)
}

func (d *document) word(i int, word string) int {
	end := i + len(word)
	if end > len(d.src) || string(d.src[i:end]) != word {
		return d.fail(CodeMalformedJSON, i)
	}
	return end
}

// number scans a number as RFC 8259 §6 has it.
func (d *document) number(i int) int {
	if i < len(d.src) && d.src[i] == '-' {
		i++
	}
	switch {
	case i >= len(d.src) || d.src[i] < '0' || d.src[i] > '9':
		return d.fail(CodeMalformedJSON, i)
	case d.src[i] == '0':
		i++
	default:
		i = d.digits(i)
	}
	if i < len(d.src) && d.src[i] == '.' {
		from := i + 1
		if i = d.digits(from); i == from {
			return d.fail(CodeMalformedJSON, i)
		}
	}
	if i < len(d.src) && (d.src[i] == 'e' || d.src[i] == 'E') {
		i++
		if i < len(d.src) && (d.src[i] == '+' || d.src[i] == '-') {
			i++
		}
		from := i
		if i = d.digits(from); i == from {
			return d.fail(CodeMalformedJSON, i)
		}
	}
	return i
}

func (d *document) digits(i int) int {
	for i < len(d.src) && d.src[i]-'0' <= 9 {
		i++
	}
	return i
}

// none stands for a value that is not there.
const none = ^uint32(0)

// find returns the member of an object with a name, and whether it stands there
// twice. A null and an empty string count as not there.
func (d *document) find(object uint32, name string) (member uint32, twice bool) {
	member = none
	i := object + 1
	for range d.nodes[object].size {
		n := &d.nodes[i]
		// Most names differ in length: that is seen without a call.
		if (n.nameTo-n.nameFrom == uint32(len(name)) || n.nameEscaped) && d.named(n, name) {
			if member != none {
				return member, true
			}
			member = i
		}
		i = n.next
	}
	if member == none || d.empty(&d.nodes[member]) {
		return none, false
	}
	return member, false
}

func (d *document) named(n *node, name string) bool {
	if n.nameEscaped {
		var short [128]byte // escaping makes a name at most six times longer
		size := int(n.nameTo - n.nameFrom)
		return size <= 6*len(name) && size <= len(short) &&
			string(appendUnescaped(short[:0], d.src[n.nameFrom:n.nameTo])) == name
	}
	return string(d.src[n.nameFrom:n.nameTo]) == name
}

func (d *document) empty(n *node) bool {
	return n.kind == kindNull || n.kind == kindString && n.from == n.to
}

// bytes is the value's text, a string without its quotes and escapes, a number
// as JSON writes it.
func (d *document) bytes(n *node) []byte {
	b := d.src[n.from:n.to]
	switch {
	case n.escaped:
		return appendUnescaped(nil, b)
	case n.packed:
		from := len(d.numbers)
		d.numbers = appendPacked(d.numbers, b)
		return d.numbers[from:]
	}
	return b
}
