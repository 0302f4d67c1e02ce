package matching

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"anabranch.dev/state"
)

// FilterWords is the length of a bigram filter in words of 64 bits.
const FilterWords = 8

// Value is one field of a description as keyed hashes; 0 everywhere if the field is
// not known.
type Value struct {
	Exact  uint64              // of the whole value
	Sound  uint64              // of how it sounds, for words
	Filter [FilterWords]uint64 // of its bigrams
}

// Known says whether there is a value at all.
func (v *Value) Known() bool { return v.Exact != 0 }

// Level is how well two values agree.
type Level uint8

// Levels of agreement, the best first. Unknown says nothing: one value is missing.
const (
	Equal    Level = iota
	Close          // a letter or two apart
	Similar        // many of the same letters
	SameTone       // few of the same letters, but it sounds alike
	Different
	Unknown
)

// Levels is how many there are that say something.
const Levels = int(Unknown)

func (l Level) String() string {
	return [...]string{"equal", "close", "similar", "same_tone", "different", "unknown"}[l]
}

// Likeness from which on values are close and similar: Dice's coefficient of their
// bigram filters, in hundredths.
const (
	closeFrom   = 78
	similarFrom = 60
)

// Agreement is how well two values agree.
func Agreement(a, b *Value) Level {
	switch {
	case !a.Known() || !b.Known():
		return Unknown
	case a.Exact == b.Exact:
		return Equal
	}
	likeness := Likeness(a, b)
	switch {
	case likeness >= closeFrom:
		return Close
	case likeness >= similarFrom:
		return Similar
	case a.Sound != 0 && a.Sound == b.Sound:
		return SameTone
	}
	return Different
}

// Likeness is Dice's coefficient of two bigram filters, 2·|a∧b| / (|a|+|b|), in
// hundredths, rounded down.
func Likeness(a, b *Value) int {
	both, all := 0, 0
	for i := range a.Filter {
		both += bits.OnesCount64(a.Filter[i] & b.Filter[i])
		all += bits.OnesCount64(a.Filter[i]) + bits.OnesCount64(b.Filter[i])
	}
	if all == 0 {
		return 0
	}
	return 200 * both / all
}

// Model weighs agreement. Weights are log₂ in millionths.
type Model struct {
	Fields []Field
	Prior  state.Decimal // log₂ of the odds that any two descriptions are of one person
}

// Field is what one field's agreement says.
type Field struct {
	Name    string
	Weights [Levels]state.Decimal // by level
	// Common are values that many persons share, sorted by hash: to agree on one of
	// them says less than Weights[Equal], which is for all others.
	Common []Common
}

// Common is what it weighs to agree on a value that many persons share.
type Common struct {
	Exact  uint64
	Weight state.Decimal
}

// weight is what a field's agreement at a level says.
func (f *Field) weight(l Level, v *Value) state.Decimal {
	if l == Equal {
		if i, found := slices.BinarySearchFunc(f.Common, v.Exact, func(c Common, exact uint64) int { return cmp.Compare(c.Exact, exact) }); found {
			return f.Common[i].Weight
		}
	}
	return f.Weights[l]
}

// MaxWeight bounds a weight, MaxFields the fields, so that sums can't overflow.
const (
	MaxWeight = 100 * state.One
	MaxFields = 64
)

// Check names every fault of a model.
func (m *Model) Check() (faults []string) {
	if n := len(m.Fields); n < 1 || n > MaxFields {
		faults = append(faults, fmt.Sprintf("fields: %d, want 1 to %d", n, MaxFields))
	}
	if m.Prior > MaxWeight || m.Prior < -MaxWeight {
		faults = append(faults, fmt.Sprintf("prior: %s is beyond ±%s", m.Prior, MaxWeight))
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		for l, w := range f.Weights {
			if w > MaxWeight || w < -MaxWeight {
				faults = append(faults, fmt.Sprintf("fields[%d].%s: %s is beyond ±%s", i, Level(l), w, MaxWeight))
			}
		}
	}
	return faults
}

// Compare gives log₂ of the odds that two descriptions are of one person, in
// millionths: 6.63 is a probability of 0.99. Descriptions have the model's fields in
// its order; those beyond them are not looked at.
func (m *Model) Compare(a, b []Value) (odds state.Decimal) {
	odds = m.Prior
	for i := range min(len(m.Fields), len(a), len(b)) {
		if l := Agreement(&a[i], &b[i]); l != Unknown {
			odds += m.Fields[i].weight(l, &a[i])
		}
	}
	return odds
}
