package rule

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
)

// Kind is the type of a variable.
type Kind uint8

// The kinds.
const (
	Text Kind = iota
	Number
	Flag
)

func (k Kind) String() string { return [...]string{"text", "number", "flag"}[k] }

// Variable is one fact that expressions may ask for.
type Variable struct {
	Name string // two words with a dot between
	Kind Kind
}

// MaxTextBytes bounds a fact that is a text; see [CodeTextTooLong].
const MaxTextBytes = 1 << 10

// Vocabulary is what expressions may speak of: variables, by position, and the
// functions of this package.
type Vocabulary struct {
	variables []Variable
	index     map[string]int
	env       *cel.Env
}

// NewVocabulary makes a vocabulary. The order of variables is that of [Facts].
func NewVocabulary(variables []Variable) (*Vocabulary, error) {
	v := &Vocabulary{variables: variables, index: make(map[string]int, len(variables))}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset())),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxBytes),
		cel.ASTValidators(cel.ValidateHomogeneousAggregateLiterals()),
	}
	types := [...]*cel.Type{Text: cel.StringType, Number: cel.IntType, Flag: cel.BoolType}
	for i, x := range variables {
		v.index[x.Name] = i
		options = append(options, cel.Variable(x.Name, types[x.Kind]))
	}
	var err error
	if v.env, err = cel.NewCustomEnv(options...); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	return v, nil
}

// allowed are the functions of expressions and their overloads; none: all that
// the types of this package have.
var allowed = []struct {
	name      string
	overloads []string
}{
	{operators.LogicalAnd, nil},
	{operators.LogicalOr, nil},
	{operators.LogicalNot, nil},
	{operators.Conditional, nil},
	{operators.Equals, nil},
	{operators.NotEquals, nil},
	{operators.In, []string{overloads.InList}},
	{operators.NotStrictlyFalse, nil},
	{operators.Less, []string{overloads.LessInt64}},
	{operators.LessEquals, []string{overloads.LessEqualsInt64}},
	{operators.Greater, []string{overloads.GreaterInt64}},
	{operators.GreaterEquals, []string{overloads.GreaterEqualsInt64}},
	{operators.Add, []string{overloads.AddInt64}},
	{operators.Subtract, []string{overloads.SubtractInt64}},
	{operators.Multiply, []string{overloads.MultiplyInt64}},
	{operators.Negate, []string{overloads.NegateInt64}},
	{overloads.StartsWith, []string{overloads.StartsWithString}},
	{overloads.EndsWith, []string{overloads.EndsWithString}},
	{overloads.Contains, []string{overloads.ContainsString}},
}

// subset is the part of CEL's standard library that expressions may use.
func subset() *env.LibrarySubset {
	s := &env.LibrarySubset{IncludeMacros: []string{operators.Exists, operators.All}}
	for _, f := range allowed {
		fn := &env.Function{Name: f.name}
		for _, id := range f.overloads {
			fn.Overloads = append(fn.Overloads, &env.Overload{ID: id})
		}
		s.IncludeFunctions = append(s.IncludeFunctions, fn)
	}
	return s
}
