package rule

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Facts are the values of a vocabulary's variables, by position: at first empty
// texts, zeroes and false.
type Facts struct {
	v       *Vocabulary
	values  []ref.Val
	tooLong []bool
}

// NewFacts makes facts to be filled in, and used again.
func (v *Vocabulary) NewFacts() *Facts {
	f := &Facts{v: v, values: make([]ref.Val, len(v.variables)), tooLong: make([]bool, len(v.variables))}
	zero := [...]ref.Val{Text: types.String(""), Number: types.Int(0), Flag: types.False}
	for i, x := range v.variables {
		f.values[i] = zero[x.Kind]
	}
	return f
}

// SetText sets a text; what it holds already costs nothing.
func (f *Facts) SetText(variable int, text string) {
	f.tooLong[variable] = len(text) > MaxTextBytes
	if old, same := f.values[variable].(types.String); !same || string(old) != text {
		f.values[variable] = types.String(text)
	}
}

// SetNumber sets a whole number.
func (f *Facts) SetNumber(variable int, n int64) {
	if old, same := f.values[variable].(types.Int); !same || int64(old) != n {
		f.values[variable] = types.Int(n)
	}
}

// SetFlag sets a truth value.
func (f *Facts) SetFlag(variable int, set bool) { f.values[variable] = types.Bool(set) }

// ResolveName implements the library's Activation.
func (f *Facts) ResolveName(name string) (any, bool) {
	i, known := f.v.index[name]
	if !known {
		return nil, false
	}
	return f.values[i], true
}

// Parent implements the library's Activation.
func (f *Facts) Parent() interpreter.Activation { return nil }

// Holds says whether the condition holds for facts of its vocabulary. A code
// other than "" says that it could not be worked out.
func (e *Expression) Holds(f *Facts) (holds bool, code string) {
	for i, long := range f.tooLong {
		if long && e.uses[i] {
			return false, CodeTextTooLong
		}
	}
	value, _, err := e.program.Eval(f)
	if err != nil {
		return false, CodeOverflow
	}
	return value == types.True, ""
}
