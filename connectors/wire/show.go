package wire

import (
	"math"
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Fields returns what a dead letter may show of an event: the fields that
// field.go names, in the order of the type, and of these only values that look
// like codes and numbers. Fields of lines are called "lines[0].sku" and so on,
// and "lines" is their number.
func Fields(v state.Visitable) []operators.Field {
	s := shower{shown: shownFields}
	v.Visit(&s)
	return s.fields
}

// shower is the visitor behind Fields.
type shower struct {
	fields []operators.Field
	shown  []string // fields shown at this place; nil: none
	prefix string
	depth  int // containers around the fields at hand
	line   int // lines begun
	inList bool
}

var _ state.Visitor = (*shower)(nil)

func (s *shower) show(name, value string) {
	for _, f := range s.shown {
		if f == name && value != "" {
			s.fields = append(s.fields, operators.Field{Name: s.prefix + name, Value: value})
		}
	}
}

func (s *shower) Level() uint8 { return math.MaxUint8 }

func (s *shower) Int(name string, p *int64) { s.show(name, strconv.FormatInt(*p, 10)) }

func (s *shower) Uint(name string, p *uint64) { s.show(name, strconv.FormatUint(*p, 10)) }

func (s *shower) String(name string, p *string) {
	if *p != "" {
		s.show(name, showText(name, []byte(*p)))
	}
}

func (s *shower) Decimal(name string, p *state.Decimal) { s.show(name, p.String()) }

func (s *shower) Bool(string, *bool)                      {}
func (s *shower) Bytes(string, *[]byte)                   {}
func (s *shower) Time(string, *state.Time)                {}
func (s *shower) Nested(string, state.Visitable, *[]byte) {}

func (s *shower) BeginStruct(string) {
	s.depth++
	s.shown = nil
	if s.depth == 2 && s.inList && s.line < maxShownLines {
		s.shown, s.prefix = shownLineFields, "lines["+strconv.Itoa(s.line)+"]."
	}
	s.line++
}

func (s *shower) EndStruct() { s.leave() }

func (s *shower) BeginOptional(_ string, present bool) bool {
	if present {
		s.depth++
		s.shown = nil
	}
	return present
}

func (s *shower) EndOptional() { s.leave() }

func (s *shower) BeginList(name string, n int) int {
	s.depth++
	s.shown = nil
	if s.depth == 1 && name == "lines" {
		s.inList, s.line = true, 0
		if n > 0 {
			s.fields = append(s.fields, operators.Field{Name: name, Value: strconv.Itoa(n)})
		}
	}
	return n
}

func (s *shower) EndList() { s.leave() }

func (s *shower) leave() {
	s.depth--
	s.shown, s.prefix = nil, ""
	if s.depth == 0 {
		s.shown, s.inList = shownFields, false
	}
}

// appendShown appends what a dead letter may show of the object at a node, by
// the same rules as Fields.
func (d *document) appendShown(fields []operators.Field, object uint32) []operators.Field {
	fields = d.appendMembers(fields, object, "", shownFields)
	i, _ := d.find(object, "lines")
	if i == none || d.nodes[i].kind != kindArray {
		return fields
	}
	size := int(d.nodes[i].size)
	fields = append(fields, operators.Field{Name: "lines", Value: strconv.Itoa(size)})
	i++
	for k := range min(size, maxShownLines) {
		if d.nodes[i].kind == kindObject {
			fields = d.appendMembers(fields, i, "lines["+strconv.Itoa(k)+"].", shownLineFields)
		}
		i = d.nodes[i].next
	}
	return fields
}

func (d *document) appendMembers(fields []operators.Field, object uint32, prefix string, names []string) []operators.Field {
	for _, name := range names {
		i, _ := d.find(object, name)
		if i == none {
			continue
		}
		value := Hidden
		if n := &d.nodes[i]; n.kind == kindString || n.kind == kindNumber && numeric(name) {
			value = showText(name, d.bytes(n))
		}
		fields = append(fields, operators.Field{Name: prefix + name, Value: value})
	}
	return fields
}
