package wire

import (
	"slices"
	"strconv"
	"strings"
)

// reader is the visitor that fills an event from a document. It looks every
// field up by name, checks it, and notes the first fault; after a fault nothing
// is found any more, so that the visit ends quickly.
//
// Strings are gathered in one buffer and become one string at the end, of which
// the fields are parts: nothing an event holds points into the record, where
// raw identifiers are.
type reader struct {
	doc     *document
	privacy *Pseudonymiser
	kind    *kind
	frame   frame
	outer   []frame
	people  []person // the identifiers of the list at hand
	texts   []text
	buffer  []byte
	lines   lines
	code    string // the first fault
	field   string // and where it is
}

// frame is the object or array whose fields are visited.
type frame struct {
	node   uint32 // none: it is not there, and so are its fields
	child  uint32 // array: the next item
	item   int    // array: number of the items begun
	name   string // as a member of the frame around it; "" for an item
	person *person
	people bool // array of identifiers
	lines  bool // array of lines, or a line
}

// person is one identifier that was not blocked, with its parts in the buffer.
type person struct {
	node     uint32
	typeFrom int
	typeTo   int // where the pseudonym begins
	valueTo  int
}

// text is a string to be set when the buffer is complete.
type text struct {
	to         *string
	from, upTo int
}

// begin starts a visit of the object at a node.
func (r *reader) begin(k *kind, root uint32) {
	r.kind = k
	r.frame = frame{node: root}
	r.outer = r.outer[:0]
	r.lines.reset()
	r.code, r.field = "", ""
}

// settle gives all strings their values.
func (r *reader) settle() {
	all := string(r.buffer)
	for _, t := range r.texts {
		*t.to = all[t.from:t.upTo]
	}
}

// release lets go of everything, for the next record.
func (r *reader) release() {
	clear(r.texts)
	clear(r.buffer)
	clear(r.outer[:cap(r.outer)])
	r.texts, r.buffer, r.people, r.frame = r.texts[:0], r.buffer[:0], r.people[:0], frame{}
	r.kind = nil
}

// fault notes the first fault.
func (r *reader) fault(code, field string) {
	if r.code == "" {
		r.code, r.field = code, r.path(field)
	}
}

// path names a field of the frame at hand from the document's root on.
func (r *reader) path(field string) string {
	var b strings.Builder
	frames := r.outer
	for i := range len(frames) + 1 {
		f := &r.frame
		if i < len(frames) {
			f = &frames[i]
		}
		if f.name != "" {
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(f.name)
		}
		if f.item > 0 {
			b.WriteString("[" + strconv.Itoa(f.item-1) + "]")
		}
	}
	if field != "" && b.Len() > 0 {
		b.WriteByte('.')
	}
	return b.String() + field
}

// find returns the node of a field, or none if it is not there.
func (r *reader) find(name string) uint32 {
	i := none
	switch {
	case r.code != "":
		return none
	case name == "":
		return r.nextItem()
	case r.frame.node != none:
		var twice bool
		if i, twice = r.doc.find(r.frame.node, name); twice {
			r.fault(CodeDuplicateField, name)
			return none
		}
	}
	if i == none && r.required(name) {
		r.fault(CodeMissingField, name)
	}
	return i
}

// nextItem steps to the next item of an array.
func (r *reader) nextItem() uint32 {
	i := r.frame.child
	r.frame.child = r.doc.nodes[i].next
	r.frame.item++
	return i
}

// required says whether a field of the frame at hand must be there.
func (r *reader) required(name string) bool {
	switch {
	case r.kind == nil:
		return false
	case len(r.outer) == 0:
		return slices.Contains(r.kind.required, name)
	case r.frame.lines && r.kind.priced:
		return slices.Contains(requiredInPricedLine, name)
	}
	return r.frame.lines && slices.Contains(requiredInLine, name)
}

func (r *reader) push(f frame) {
	r.outer = append(r.outer, r.frame)
	r.frame = f
}

func (r *reader) pop() {
	r.frame = r.outer[len(r.outer)-1]
	r.outer = r.outer[:len(r.outer)-1]
}
