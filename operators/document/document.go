// Package document checks what orders, receipts and returns have in common:
// their channel, currency and lines.
//
// A document is accepted whole or not at all. The first fault found names the
// code of the dead letter; codes are stable, texts are for the log file.
//
// Start at [CheckLines].
package document

import (
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Limits of one document.
const (
	MaxLines    = 8_000     // lines of one document
	MaxQuantity = 1_000_000 // units of one line
	MaxLine     = 1_000_000_000
	MaxText     = 512 // bytes of a number, SKU or location
	// MaxAmount is what the lines of one document may cost together.
	MaxAmount = 10_000_000_000 * state.One
)

// Codes of dead letters: the same words that the source uses for what can be
// seen in the bytes alone.
const (
	CodeChannel       = "channel_unknown"
	CodeCurrency      = "currency_invalid"
	CodeMissing       = "missing_field"
	CodeName          = "string_invalid" // too long, or with control characters
	CodeNoLines       = "lines_missing"
	CodeLines         = "too_many_lines"
	CodeLine          = "line_invalid" // a line number below 1 or too high
	CodeLineTwice     = "line_duplicate"
	CodeQuantity      = "quantity_invalid"
	CodeQuantityLarge = "quantity_absurd"
	CodePrice         = "price_not_positive"
	CodeAmount        = "amount_absurd"
)

// CheckChannel refuses what is not one of the closed channel classes.
func CheckChannel(channel string) error {
	if !slices.Contains(event.ChannelClasses, channel) {
		return operators.Rejectf(CodeChannel, "channel %q is none of %v", channel, event.ChannelClasses)
	}
	return nil
}

// CheckCurrency refuses what is not three capital letters (ISO 4217).
func CheckCurrency(currency string) error {
	if len(currency) != 3 || !isUpper(currency[0]) || !isUpper(currency[1]) || !isUpper(currency[2]) {
		return operators.Rejectf(CodeCurrency, "currency %q is not an ISO 4217 code", currency)
	}
	return nil
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// CheckName refuses a number, SKU or location that can't be part of a row key;
// what says which it is.
func CheckName(what, name string) error {
	if name == "" {
		return operators.Rejectf(CodeMissing, "%s is empty", what)
	}
	if len(name) > MaxText {
		return operators.Rejectf(CodeName, "%s of %d bytes, at most %d", what, len(name), MaxText)
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return operators.Rejectf(CodeName, "%s %q has a control character", what, name)
		}
	}
	return nil
}

// CheckLines refuses lines that make no sense: numbers that repeat, quantities
// that are not positive or absurd, and prices below minPrice or absurd.
func CheckLines(lines []event.Line, minPrice state.Decimal) error {
	if len(lines) == 0 {
		return operators.Rejectf(CodeNoLines, "no lines")
	}
	if len(lines) > MaxLines {
		return operators.Rejectf(CodeLines, "%d lines, at most %d", len(lines), MaxLines)
	}
	last, ascending := int64(0), true
	var amount state.Decimal
	for i := range lines {
		l := &lines[i]
		if err := checkLine(l, minPrice); err != nil {
			return err
		}
		if amount += Amount(l); amount > MaxAmount {
			return operators.Rejectf(CodeAmount, "more than %s", MaxAmount)
		}
		ascending = ascending && l.Line > last
		last = l.Line
	}
	if ascending {
		return nil
	}
	return checkUnique(lines)
}

// Amount is what a line costs. It can't overflow for a checked line.
func Amount(l *event.Line) state.Decimal { return state.Decimal(l.Quantity) * l.UnitPrice }

func checkLine(l *event.Line, minPrice state.Decimal) error {
	if l.Line < 1 || l.Line > MaxLine {
		return operators.Rejectf(CodeLine, "line number %d", l.Line)
	}
	if err := CheckName("sku", l.SKU); err != nil {
		return err
	}
	if l.Quantity < 1 {
		return operators.Rejectf(CodeQuantity, "line %d: quantity %d", l.Line, l.Quantity)
	}
	if l.Quantity > MaxQuantity {
		return operators.Rejectf(CodeQuantityLarge, "line %d: quantity %d, at most %d", l.Line, l.Quantity, MaxQuantity)
	}
	if l.UnitPrice < minPrice {
		return operators.Rejectf(CodePrice, "line %d: unit price %s", l.Line, l.UnitPrice)
	}
	if l.UnitPrice > MaxAmount/state.Decimal(l.Quantity) {
		return operators.Rejectf(CodeAmount, "line %d: more than %s", l.Line, MaxAmount)
	}
	return nil
}

// checkUnique finds a repeated number; called only for lines out of order.
func checkUnique(lines []event.Line) error {
	numbers := make([]int64, len(lines))
	for i := range lines {
		numbers[i] = lines[i].Line
	}
	slices.Sort(numbers)
	for i := 1; i < len(numbers); i++ {
		if numbers[i] == numbers[i-1] {
			return operators.Rejectf(CodeLineTwice, "line number %d is used twice", numbers[i])
		}
	}
	return nil
}
