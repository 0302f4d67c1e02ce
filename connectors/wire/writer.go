package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// MarshalJSON writes a row, an answer or an event as a JSON object with all its
// fields in their order. The same value always gives the same bytes. A nested
// value that was never decoded is written as hexadecimal digits. The only error
// is a string that is not UTF-8.
func MarshalJSON(v state.Visitable) ([]byte, error) {
	if v == nil {
		return nil, errors.New("nothing to write as JSON")
	}
	w := writer{b: []byte{'{'}}
	v.Visit(&w)
	return append(w.b, '}'), w.err
}

// MarshalEvent writes an event as it would come in: its envelope, then the
// fields of its payload. Decoding it gives the event again, with pseudonyms
// for identifiers.
func MarshalEvent(e *operators.Event) ([]byte, error) {
	w := writer{b: []byte{'{'}}
	w.text("id", e.ID)
	w.text("source", e.Source)
	w.text("type", e.Type)
	w.Time("time", &e.Time)
	if e.Payload.Value != nil {
		e.Payload.Value.Visit(&w)
	}
	return append(w.b, '}'), w.err
}

// writer is the visitor that prints JSON.
type writer struct {
	b   []byte
	err error
}

var _ state.Visitor = (*writer)(nil)

// name begins a member or, without a name, an item.
func (w *writer) name(name string) {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
	if name != "" {
		w.b = append(append(append(w.b, '"'), name...), `":`...)
	}
}

func (w *writer) text(name, value string) {
	if !utf8.ValidString(value) && w.err == nil {
		w.err = fmt.Errorf("field %q is not UTF-8", name)
	}
	w.name(name)
	w.b = appendQuoted(w.b, value)
}

func (w *writer) Level() uint8 { return math.MaxUint8 }

func (w *writer) Int(name string, p *int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, *p, 10)
}

func (w *writer) Uint(name string, p *uint64) {
	w.name(name)
	w.b = strconv.AppendUint(w.b, *p, 10)
}

func (w *writer) Bool(name string, p *bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, *p)
}

func (w *writer) String(name string, p *string) { w.text(name, *p) }

func (w *writer) Bytes(name string, p *[]byte) {
	w.name(name)
	w.b = append(hex.AppendEncode(append(w.b, '"'), *p), '"')
}

func (w *writer) Time(name string, p *state.Time) {
	w.name(name)
	if strings.HasSuffix(name, "_us") {
		w.b = strconv.AppendInt(w.b, int64(*p), 10)
		return
	}
	w.b = appendTime(w.b, *p)
}

func (w *writer) Decimal(name string, p *state.Decimal) {
	w.name(name)
	if limit, _ := measured(name); limit > 0 {
		w.b = appendNumber(w.b, *p)
		return
	}
	w.b = append(p.Append(append(w.b, '"')), '"')
}

func (w *writer) Nested(name string, value state.Visitable, raw *[]byte) {
	switch {
	case value != nil:
		w.BeginStruct(name)
		value.Visit(w)
		w.EndStruct()
	case len(*raw) > 0:
		w.Bytes(name, raw)
	default:
		w.null(name)
	}
}

func (w *writer) null(name string) {
	w.name(name)
	w.b = append(w.b, "null"...)
}

func (w *writer) BeginStruct(name string) {
	w.name(name)
	w.b = append(w.b, '{')
}

func (w *writer) EndStruct() { w.b = append(w.b, '}') }

func (w *writer) BeginOptional(name string, present bool) bool {
	if present {
		w.BeginStruct(name)
	} else {
		w.null(name)
	}
	return present
}

func (w *writer) EndOptional() { w.EndStruct() }

func (w *writer) BeginList(name string, n int) int {
	w.name(name)
	w.b = append(w.b, '[')
	return n
}

func (w *writer) EndList() { w.b = append(w.b, ']') }
