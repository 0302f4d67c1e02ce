package operators

import (
	"errors"
	"fmt"
)

// Rejection is an error with a stable code: the reason a message is
// dead-lettered with. Codes are part of the contract with users: lower case,
// words joined by underscores. The text is for the log file only.
type Rejection struct {
	Code string
	Text string
}

// Error implements error.
func (r *Rejection) Error() string { return r.Code + ": " + r.Text }

// Rejectf returns a [Rejection].
func Rejectf(code, format string, args ...any) error {
	return &Rejection{Code: code, Text: fmt.Sprintf(format, args...)}
}

// ErrDuplicate is returned by a handler that recognises a business key (an
// order, receipt or document number) it has already applied. The call is undone
// and the event counted as a duplicate, not as a dead letter.
var ErrDuplicate = errors.New("duplicate")

// Codes the core itself gives.
const (
	CodeOperatorError  = "operator_error" // a handler returned an error without a code
	CodeOperatorPanic  = "operator_panic" // a handler panicked
	CodeTooManyEmits   = "too_many_emits" // more than 8,192 effects in one call
	CodeTooDeep        = "too_deep"       // a chain of more than 32 causes
	CodeRowTooLarge    = "row_too_large"
	CodeRecordTooLarge = "record_too_large" // an outgoing record above 1 MiB
	CodeSkipped        = "skipped"          // stepped over by an operator's command
	CodeTooManyRows    = "too_many_rows"    // a table's declared bound would be exceeded
	CodeUnknownType    = "unknown_type"     // no stage of the topology takes this event type
	CodeLate           = "late"             // older than what duplicates are remembered for
	CodeClockAhead     = "clock_ahead"      // event time too far after log time
	CodeClockBehind    = "clock_behind"     // event time too far before log time
	CodeKeyInvalid     = "key_invalid"      // no key, one above 512 bytes, or one with a NUL
)

// CodeOf returns the stable code of a handler's error.
func CodeOf(err error) string {
	var r *Rejection
	if errors.As(err, &r) {
		return r.Code
	}
	return CodeOperatorError
}
