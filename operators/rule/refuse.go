package rule

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// refuser walks a parsed expression and finds what has no place in one, with a
// code of its own for each; the types are checked after it.
type refuser struct {
	v     *Vocabulary
	tree  *ast.AST
	bound []string // names that the macros around bind
	uses  []bool   // variables by position
}

func (r *refuser) fault(e ast.Expr, code, detail string) *Fault {
	at := r.tree.SourceInfo().GetStartLocation(e.ID())
	return &Fault{Code: code, Line: at.Line(), Column: at.Column() + 1, Detail: detail}
}

func (r *refuser) walk(e ast.Expr) *Fault {
	switch e.Kind() {
	case ast.LiteralKind:
		return r.literal(e)
	case ast.IdentKind, ast.SelectKind:
		return r.name(e)
	case ast.CallKind:
		return r.call(e)
	case ast.ListKind:
		return r.all(e.AsList().Elements())
	case ast.ComprehensionKind:
		return r.macro(e)
	}
	return r.fault(e, CodeMap, "maps and messages have no place here")
}

func (r *refuser) all(list []ast.Expr) *Fault {
	for _, e := range list {
		if f := r.walk(e); f != nil {
			return f
		}
	}
	return nil
}

func (r *refuser) literal(e ast.Expr) *Fault {
	switch e.AsLiteral().(type) {
	case types.String, types.Int, types.Bool:
		return nil
	}
	return r.fault(e, CodeLiteral, "only texts, whole numbers, true and false")
}

// name takes a bound name, or the two words of a variable.
func (r *refuser) name(e ast.Expr) *Fault {
	name, plain := dotted(e)
	if !plain {
		return r.fault(e, CodeName, "nothing here has fields")
	}
	for _, b := range r.bound {
		if b == name {
			return nil
		}
	}
	i, known := r.v.index[name]
	if !known {
		return r.fault(e, CodeName, name+" is not in the vocabulary")
	}
	r.uses[i] = true
	return nil
}

// dotted is the name that selections from an identifier spell.
func dotted(e ast.Expr) (name string, plain bool) {
	if e.Kind() == ast.IdentKind {
		return strings.TrimPrefix(e.AsIdent(), "."), true
	}
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return "", false
	}
	before, plain := dotted(e.AsSelect().Operand())
	return before + "." + e.AsSelect().FieldName(), plain
}

func (r *refuser) call(e ast.Expr) *Fault {
	c := e.AsCall()
	known := false
	for _, f := range allowed {
		known = known || f.name == c.FunctionName()
	}
	if !known {
		return r.fault(e, CodeFunction, c.FunctionName()+" has no place here")
	}
	if c.IsMemberFunction() {
		if f := r.walk(c.Target()); f != nil {
			return f
		}
	}
	return r.all(c.Args())
}

// macro takes what exists and all have become: a fold over a list that stands in
// the expression.
func (r *refuser) macro(e ast.Expr) *Fault {
	c := e.AsComprehension()
	if c.IterRange().Kind() != ast.ListKind {
		return r.fault(e, CodeType, operators.Exists+" and "+operators.All+" take a list that stands in the expression")
	}
	if f := r.walk(c.IterRange()); f != nil {
		return f
	}
	bound := r.bound
	r.bound = append(r.bound[:len(bound):len(bound)], c.IterVar(), c.AccuVar())
	f := r.all([]ast.Expr{c.LoopCondition(), c.LoopStep(), c.Result(), c.AccuInit()})
	r.bound = bound
	return f
}
