package operatortest

import (
	"fmt"
	"strconv"
	"strings"

	"anabranch.dev/state"
)

// Print writes the fields of v that are set as name=value. With only, it writes
// only the named fields, the parts of a struct or list being named with a dot; a
// name that ends in = is written even if it is not set.
func Print(v state.Visitable, only ...string) string {
	p := &printer{only: only, frames: []frame{{}}}
	v.Visit(p)
	return strings.Join(p.frames[0].parts, " ")
}

// printer is a reading visitor. The last of its frames is the struct or list
// at hand.
type printer struct {
	only   []string
	frames []frame
}

// frame is a struct or list with the text of its parts.
type frame struct {
	name  string
	parts []string
}

func (p *printer) path(name string) string {
	var path []string
	for _, f := range p.frames {
		if f.name != "" {
			path = append(path, f.name)
		}
	}
	if name != "" {
		path = append(path, name)
	}
	return strings.Join(path, ".")
}

// wanted says whether a field is to be written: it is named, or all of what it
// is a part of, and it is set or is always written.
func (p *printer) wanted(name string, set bool) bool {
	set = set || name == ""
	if len(p.only) == 0 {
		return set
	}
	path := p.path(name)
	for _, o := range p.only {
		if path+"=" == o || set && (path == o || strings.HasPrefix(path, o+".")) {
			return true
		}
	}
	return false
}

func (p *printer) add(text string) {
	top := &p.frames[len(p.frames)-1]
	top.parts = append(top.parts, text)
}

func (p *printer) field(name string, set bool, value string) {
	if !p.wanted(name, set) {
		return
	}
	if value == "" || strings.ContainsAny(value, " ;()\"\n\x00") {
		value = strconv.Quote(value)
	}
	if name != "" {
		value = name + "=" + value
	}
	p.add(value)
}

// Level implements [state.Visitor].
func (p *printer) Level() uint8 { return 255 }

// Int implements [state.Visitor].
func (p *printer) Int(name string, n *int64) { p.field(name, *n != 0, strconv.FormatInt(*n, 10)) }

// Uint implements [state.Visitor].
func (p *printer) Uint(name string, n *uint64) { p.field(name, *n != 0, strconv.FormatUint(*n, 10)) }

// Bool implements [state.Visitor].
func (p *printer) Bool(name string, b *bool) { p.field(name, *b, strconv.FormatBool(*b)) }

// String implements [state.Visitor].
func (p *printer) String(name string, s *string) { p.field(name, *s != "", *s) }

// Bytes implements [state.Visitor].
func (p *printer) Bytes(name string, b *[]byte) { p.field(name, len(*b) > 0, fmt.Sprintf("%x", *b)) }

// Time implements [state.Visitor].
func (p *printer) Time(name string, t *state.Time) { p.field(name, *t != 0, t.String()) }

// Decimal implements [state.Visitor].
func (p *printer) Decimal(name string, d *state.Decimal) { p.field(name, *d != 0, d.String()) }

// Nested implements [state.Visitor].
func (p *printer) Nested(name string, v state.Visitable, raw *[]byte) {
	if v == nil {
		p.field(name, len(*raw) > 0, fmt.Sprintf("<%d-bytes>", len(*raw)))
		return
	}
	p.BeginStruct(name)
	v.Visit(p)
	p.EndStruct()
}

// BeginStruct implements [state.Visitor].
func (p *printer) BeginStruct(name string) { p.frames = append(p.frames, frame{name: name}) }

// EndStruct implements [state.Visitor].
func (p *printer) EndStruct() { p.close(" ") }

// BeginOptional implements [state.Visitor].
func (p *printer) BeginOptional(name string, present bool) bool {
	if present {
		p.BeginStruct(name)
	}
	return present
}

// EndOptional implements [state.Visitor].
func (p *printer) EndOptional() { p.close(" ") }

// BeginList implements [state.Visitor].
func (p *printer) BeginList(name string, n int) int {
	p.BeginStruct(name)
	return n
}

// EndList implements [state.Visitor].
func (p *printer) EndList() { p.close("; ") }

// close ends the struct or list at hand; nothing is written of an empty one.
func (p *printer) close(separator string) {
	top := p.frames[len(p.frames)-1]
	p.frames = p.frames[:len(p.frames)-1]
	switch text := strings.Join(top.parts, separator); {
	case text == "":
	case top.name == "":
		p.add(text)
	default:
		p.add(top.name + "=(" + text + ")")
	}
}
