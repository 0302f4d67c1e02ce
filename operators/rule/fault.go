package rule

import "fmt"

// Codes of what is wrong with an expression. They are part of what users and
// other programs see and don't change with the library.
const (
	CodeTooLong  = "too_long" // above [MaxBytes]
	CodeSyntax   = "syntax"
	CodeName     = "name"     // a variable that the vocabulary doesn't have
	CodeFunction = "function" // a function or macro that expressions don't have
	CodeLiteral  = "literal"  // a fraction, an unsigned number, bytes or null
	CodeMap      = "map"      // a map or a message
	CodeType     = "type"     // an operator on what it doesn't take
	CodeNotBool  = "not_bool" // the expression is not a condition
	CodeCost     = "cost"     // may cost more than [MaxCost]
)

// Codes of what is wrong with an evaluation.
const (
	CodeOverflow    = "overflow"      // a number is beyond 64 bits: nothing else can go wrong
	CodeTextTooLong = "text_too_long" // a fact is above [MaxTextBytes]
)

// Fault says what is wrong with an expression, and where. Code, line and column
// are the same on every replica; Detail is the library's words, for people only.
type Fault struct {
	Code         string
	Line, Column int // from 1
	Detail       string
}

// Error implements error, without the detail.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.Code
	}
	return fmt.Sprintf("%s at %d:%d", f.Code, f.Line, f.Column)
}
