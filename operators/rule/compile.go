package rule

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
)

// Bounds of an expression.
const (
	MaxBytes = 1_000
	MaxCost  = 1_000 // in CEL's unit: about one for a variable, a comparison or ten bytes of text
	maxDepth = 32
)

// Expression is a compiled condition.
type Expression struct {
	program cel.Program
	uses    []bool
	cost    uint64
}

// Compile compiles a condition, or says what is wrong with it.
func (v *Vocabulary) Compile(text string) (*Expression, *Fault) {
	if len(text) > MaxBytes {
		return nil, &Fault{Code: CodeTooLong, Detail: "longer than a rule may be"}
	}
	parsed, issues := v.env.Parse(text)
	if f := first(issues, CodeSyntax); f != nil {
		return nil, f
	}
	r := &refuser{v: v, tree: parsed.NativeRep(), uses: make([]bool, len(v.variables))}
	if f := r.walk(r.tree.Expr()); f != nil {
		return nil, f
	}
	checked, issues := v.env.Check(parsed)
	if f := first(issues, CodeType); f != nil {
		return nil, f
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, &Fault{Code: CodeNotBool, Line: 1, Column: 1, Detail: "is of type " + checked.OutputType().String()}
	}
	estimate, err := v.env.EstimateCost(checked, sizes{})
	if err != nil || estimate.Max > MaxCost {
		return nil, &Fault{Code: CodeCost, Line: 1, Column: 1, Detail: "may cost more than a rule may"}
	}
	program, err := v.env.Program(checked)
	if err != nil {
		return nil, &Fault{Code: CodeType, Line: 1, Column: 1, Detail: err.Error()}
	}
	return &Expression{program: program, uses: r.uses, cost: estimate.Max}, nil
}

// first is the first of the library's issues under a code of ours, or nil.
func first(issues *cel.Issues, code string) *Fault {
	if issues.Err() == nil {
		return nil
	}
	f := &Fault{Code: code, Detail: issues.Err().Error()}
	if list := issues.Errors(); len(list) > 0 {
		f.Detail = list[0].Message
		if at := list[0].Location; at.Line() > 0 {
			f.Line, f.Column = at.Line(), max(at.Column(), 0)+1
		}
	}
	return f
}

// Uses says whether the expression asks for a variable, by its position.
func (e *Expression) Uses(variable int) bool { return e.uses[variable] }

// Cost is the most that an evaluation may cost; see [MaxCost].
func (e *Expression) Cost() uint64 { return e.cost }

// sizes tells the library that no text is longer than [MaxTextBytes].
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if k := node.Expr().Kind(); k != ast.IdentKind && k != ast.SelectKind {
		return nil
	}
	return &cost.SizeEstimate{Min: 0, Max: MaxTextBytes}
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
