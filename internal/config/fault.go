package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin is where a setting came from: a place in the file, or a variable of
// the environment. The zero Origin is the default.
type Origin struct {
	File         string
	Line, Column int
	Variable     string
}

func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return o.Variable
	case o.Line > 0:
		return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
	case o.File != "":
		return o.File
	}
	return "default"
}

// Fault is one thing that is wrong.
type Fault struct {
	At   Origin
	Text string
}

func (f Fault) String() string { return f.At.String() + ": " + f.Text }

// Faults is everything that is wrong with a configuration.
type Faults struct {
	File string
	List []Fault
}

// Error implements error: one line per fault, in the order of the file.
func (f *Faults) Error() string {
	if len(f.List) == 1 {
		return f.List[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d faults:", f.File, len(f.List))
	for _, one := range f.List {
		b.WriteString("\n  " + one.String())
	}
	return b.String()
}

func (f *Faults) add(at Origin, format string, args ...any) {
	f.List = append(f.List, Fault{at, fmt.Sprintf(format, args...)})
}

// sort orders by place: the file from its top, then the environment.
func (f *Faults) sort() {
	slices.SortStableFunc(f.List, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.At.Variable, b.At.Variable), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
}
