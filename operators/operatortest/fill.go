package operatortest

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/state"
)

// fields are key=value pairs that were not used yet.
type fields map[string][]string

func (f fields) take(name string) ([]string, bool) {
	v, ok := f[name]
	delete(f, name)
	return v, ok
}

func (f fields) clone() fields {
	c := make(fields, len(f))
	for k, v := range f {
		c[k] = v
	}
	return c
}

// names lists what was not used.
func (f fields) names() string {
	var all []string
	for name := range f {
		all = append(all, name)
	}
	sort.Strings(all)
	return strings.Join(all, ", ")
}

func fieldsOf(args []datadriven.CmdArg) fields {
	f := fields{}
	for _, a := range args {
		f[a.Key] = a.Vals
	}
	return f
}

// itemsOf reads the lines under a directive, one item a line.
func itemsOf(input string) ([]fields, error) {
	var items []fields
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		if line == "" {
			continue
		}
		_, args, err := datadriven.ParseLine("item " + line)
		if err != nil {
			return nil, err
		}
		items = append(items, fieldsOf(args))
	}
	return items, nil
}

// fill sets the fields of what makes from key=value pairs and items. Items
// belong to the list of structs that has all their fields; without items, pairs
// that are no field of the whole are the list's one item.
func fill(make func() state.Visitable, given fields, items []fields, now state.Time) (state.Visitable, error) {
	v := make()
	plain := &filler{now: now, given: given.clone()}
	v.Visit(plain)
	if plain.err != nil {
		return nil, plain.err
	}
	if len(plain.given) == 0 && len(items) == 0 {
		return v, nil
	}
	if len(items) == 0 {
		items = []fields{plain.given}
	} else if len(plain.given) > 0 {
		return nil, fmt.Errorf("unknown field %s", plain.given.names())
	}
	for _, list := range plain.lists {
		v := make()
		f := &filler{now: now, given: given.clone(), list: list}
		for name := range plain.given {
			delete(f.given, name)
		}
		for _, item := range items {
			f.items = append(f.items, item.clone())
		}
		v.Visit(f)
		if f.err != nil {
			return nil, f.err
		}
		if f.used() {
			return v, nil
		}
	}
	return nil, fmt.Errorf("unknown field %s", items[0].names())
}

// filler is a decoding visitor over key=value pairs.
type filler struct {
	now   state.Time
	given fields
	list  string   // the list that items are for
	items []fields // its items

	lists []string // every list of structs that was met without a value
	path  string   // prefix of the fields at hand
	outer []string // the prefixes around it
	item  int      // of the list at hand, -1 outside
	in    []fields // items of the list at hand
	words []string // values of the list of strings at hand
	err   error
}

func (f *filler) used() bool {
	for _, item := range f.items {
		if len(item) > 0 {
			return false
		}
	}
	return true
}

func (f *filler) value(name string) (string, bool) {
	if name == "" && len(f.words) > 0 {
		w := f.words[0]
		f.words = f.words[1:]
		return w, true
	}
	from := f.given
	if f.in != nil {
		from = f.in[f.item]
	}
	v, ok := from.take(f.path + name)
	return strings.Join(v, ","), ok
}

func (f *filler) parse(name string, set func(text string) error) {
	text, ok := f.value(name)
	if !ok || f.err != nil {
		return
	}
	if err := set(text); err != nil {
		f.err = fmt.Errorf("field %s: %w", f.path+name, err)
	}
}

// Level implements [state.Visitor].
func (f *filler) Level() uint8 { return 255 }

// Int implements [state.Visitor].
func (f *filler) Int(name string, p *int64) {
	f.parse(name, func(s string) (err error) { *p, err = strconv.ParseInt(s, 10, 64); return err })
}

// Uint implements [state.Visitor].
func (f *filler) Uint(name string, p *uint64) {
	f.parse(name, func(s string) (err error) { *p, err = strconv.ParseUint(s, 10, 64); return err })
}

// Bool implements [state.Visitor]. A name without a value is true.
func (f *filler) Bool(name string, p *bool) {
	f.parse(name, func(s string) (err error) {
		if *p = s == ""; !*p {
			*p, err = strconv.ParseBool(s)
		}
		return err
	})
}

// String implements [state.Visitor].
func (f *filler) String(name string, p *string) {
	f.parse(name, func(s string) error { *p = s; return nil })
}

// Bytes implements [state.Visitor].
func (f *filler) Bytes(name string, p *[]byte) {
	f.parse(name, func(s string) error { *p = []byte(s); return nil })
}

// Time implements [state.Visitor].
func (f *filler) Time(name string, p *state.Time) {
	f.parse(name, func(s string) (err error) { *p, err = parseTime(s, f.now); return err })
}

// Decimal implements [state.Visitor].
func (f *filler) Decimal(name string, p *state.Decimal) {
	f.parse(name, func(s string) (err error) { *p, err = parseDecimal(s); return err })
}

// Nested implements [state.Visitor].
func (f *filler) Nested(name string, _ state.Visitable, _ *[]byte) {
	f.parse(name, func(string) error { return fmt.Errorf("can't be written in a story") })
}

// BeginStruct implements [state.Visitor].
func (f *filler) BeginStruct(name string) {
	f.outer = append(f.outer, f.path)
	if name == "" {
		f.item++
		return
	}
	f.path += name + "."
}

// EndStruct implements [state.Visitor].
func (f *filler) EndStruct() { f.leave() }

func (f *filler) leave() {
	last := len(f.outer) - 1
	f.path, f.outer = f.outer[last], f.outer[:last]
}

// BeginOptional implements [state.Visitor]. It is there if a field of it is.
func (f *filler) BeginOptional(name string, _ bool) bool {
	from := f.given
	if f.in != nil {
		from = f.in[f.item]
	}
	for given := range from {
		if strings.HasPrefix(given, f.path+name+".") {
			f.outer = append(f.outer, f.path)
			f.path += name + "."
			return true
		}
	}
	return false
}

// EndOptional implements [state.Visitor].
func (f *filler) EndOptional() { f.leave() }

// BeginList implements [state.Visitor].
func (f *filler) BeginList(name string, _ int) int {
	from := f.given
	if f.in != nil {
		from = f.in[f.item]
	}
	if words, ok := from.take(f.path + name); ok {
		f.words = words
		return len(words)
	}
	f.lists = append(f.lists, f.path+name)
	if f.list != f.path+name || f.in != nil {
		return 0
	}
	f.in, f.item = f.items, -1
	return len(f.items)
}

// EndList implements [state.Visitor].
func (f *filler) EndList() { f.in, f.words = nil, nil }

// parseTime reads an RFC 3339 time, one relative to now, or (without a sign) a
// span of time.
func parseTime(s string, now state.Time) (state.Time, error) {
	if s == "now" {
		return now, nil
	}
	if s != "" && (s[0] == '+' || s[0] == '-') {
		d, err := parseSpan(s[1:])
		if s[0] == '-' {
			d = -d
		}
		return now + d, err
	}
	if span, err := parseSpan(s); err == nil {
		return span, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return state.TimeOf(t), err
}

// parseSpan reads a Go duration, or whole days such as 2d.
func parseSpan(s string) (state.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		return state.Time(n) * state.Day, err
	}
	d, err := time.ParseDuration(s)
	return state.Time(d.Microseconds()), err
}

// parseDecimal reads a decimal number with up to six places.
func parseDecimal(s string) (state.Decimal, error) {
	whole, places, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(places) > 6 {
		return 0, fmt.Errorf("%q has more than six places", s)
	}
	n, err := strconv.ParseInt(whole+places+strings.Repeat("0", 6-len(places)), 10, 64)
	if strings.HasPrefix(s, "-") {
		n = -n
	}
	return state.Decimal(n), err
}
