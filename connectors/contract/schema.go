package contract

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/state"
)

// Of is the JSON Schema of a visitable as connectors/wire writes it: every field
// is always there.
func Of(v state.Visitable) *huma.Schema {
	w := &walker{leaf: written{}}
	w.open()
	v.Visit(w)
	return w.close()
}

// leaf describes fields that hold one value. path names what is around the field.
type leaf interface {
	text(path []string, name string) *huma.Schema
	integer(path []string, name string) *huma.Schema
	boolean(path []string, name string) *huma.Schema
	bytes(path []string, name string) *huma.Schema
	time(path []string, name string) *huma.Schema
	decimal(path []string, name string) *huma.Schema
	// list and object complete what holds other values; absent describes an
	// object that need not be there.
	list(path []string, name string, l *huma.Schema) *huma.Schema
	object(path []string, name string, o *huma.Schema) *huma.Schema
	absent(path []string, name string, o *huma.Schema) *huma.Schema
}

// walker is the visitor that collects fields; stack holds what is being
// described and path the names of it, "" for items.
type walker struct {
	leaf  leaf
	stack []*huma.Schema
	path  []string
}

var _ state.Visitor = (*walker)(nil)

func (w *walker) open() {
	w.stack = append(w.stack, &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}})
}

// close ends the innermost object or list.
func (w *walker) close() *huma.Schema {
	top := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	name, path := "", w.path
	if n := len(w.path); n > 0 {
		name, path = w.path[n-1], w.path[:n-1]
	}
	if top.Type == huma.TypeArray {
		return w.leaf.list(path, name, top)
	}
	return w.leaf.object(path, name, top)
}

// add puts a field into the innermost object or makes it the item of the
// innermost list.
func (w *walker) add(name string, f *huma.Schema) {
	top := w.stack[len(w.stack)-1]
	if top.Type == huma.TypeArray {
		top.Items = f
		return
	}
	top.Properties[name] = f
}

func (w *walker) Level() uint8 { return 255 }

func (w *walker) Int(name string, _ *int64) { w.add(name, w.leaf.integer(w.path, name)) }

func (w *walker) Uint(name string, _ *uint64) {
	s := w.leaf.integer(w.path, name)
	if s.Minimum == nil {
		s.Minimum = number(0)
	}
	w.add(name, s)
}

func (w *walker) Bool(name string, _ *bool)              { w.add(name, w.leaf.boolean(w.path, name)) }
func (w *walker) String(name string, _ *string)          { w.add(name, w.leaf.text(w.path, name)) }
func (w *walker) Bytes(name string, _ *[]byte)           { w.add(name, w.leaf.bytes(w.path, name)) }
func (w *walker) Time(name string, _ *state.Time)        { w.add(name, w.leaf.time(w.path, name)) }
func (w *walker) Decimal(name string, _ *state.Decimal)  { w.add(name, w.leaf.decimal(w.path, name)) }
func (w *walker) BeginStruct(name string)                { w.path = append(w.path, name); w.open() }
func (w *walker) BeginOptional(name string, _ bool) bool { w.BeginStruct(name); return true }
func (w *walker) EndStruct()                             { w.end(w.close()) }
func (w *walker) EndList()                               { w.end(w.close()) }

func (w *walker) EndOptional() {
	o := w.close()
	at := len(w.path) - 1
	w.end(w.leaf.absent(w.path[:at], w.path[at], o))
}

func (w *walker) end(s *huma.Schema) {
	name := w.path[len(w.path)-1]
	w.path = w.path[:len(w.path)-1]
	w.add(name, s)
}

// BeginList asks for one item, which describes all.
func (w *walker) BeginList(name string, _ int) int {
	w.path = append(w.path, name)
	w.stack = append(w.stack, &huma.Schema{Type: huma.TypeArray})
	return 1
}

// Nested values are of any type; one that was never decoded is hex digits.
func (w *walker) Nested(name string, _ state.Visitable, _ *[]byte) {
	w.add(name, &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeObject, AdditionalProperties: true},
		{Type: huma.TypeString, Pattern: "^[0-9a-f]*$"}, {Type: "null"}}})
}

func number(f float64) *float64 { return &f }

func whole(n int) *int { return &n }

// isDuration says whether a time is a length of time.
func isDuration(name string) bool { return strings.HasSuffix(name, "_us") }
