package document_test

import (
	"strings"
	"testing"

	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
)

func TestCheckLines(t *testing.T) {
	ok := event.Line{Line: 1, SKU: "A", Quantity: 1, UnitPrice: 1}
	with := func(change func(*event.Line)) []event.Line {
		l := ok
		change(&l)
		return []event.Line{l}
	}
	tests := []struct {
		name  string
		lines []event.Line
		code  string
	}{
		{"good", []event.Line{ok}, ""},
		{"none", nil, document.CodeNoLines},
		{"too many", make([]event.Line, document.MaxLines+1), document.CodeLines},
		{"line 0", with(func(l *event.Line) { l.Line = 0 }), document.CodeLine},
		{"line twice", []event.Line{ok, ok}, document.CodeLineTwice},
		{"lines out of order", []event.Line{{Line: 2, SKU: "A", Quantity: 1, UnitPrice: 1}, ok}, ""},
		{"line twice out of order", []event.Line{ok, {Line: 2, SKU: "A", Quantity: 1, UnitPrice: 1}, ok}, document.CodeLineTwice},
		{"no sku", with(func(l *event.Line) { l.SKU = "" }), document.CodeMissing},
		{"control character", with(func(l *event.Line) { l.SKU = "A\x00B" }), document.CodeName},
		{"long sku", with(func(l *event.Line) { l.SKU = strings.Repeat("x", document.MaxText+1) }), document.CodeName},
		{"quantity 0", with(func(l *event.Line) { l.Quantity = 0 }), document.CodeQuantity},
		{"negative", with(func(l *event.Line) { l.Quantity = -1 }), document.CodeQuantity},
		{"absurd", with(func(l *event.Line) { l.Quantity = document.MaxQuantity + 1 }), document.CodeQuantityLarge},
		{"price 0", with(func(l *event.Line) { l.UnitPrice = 0 }), document.CodePrice},
		{"dear", with(func(l *event.Line) { l.UnitPrice = document.MaxAmount + 1 }), document.CodeAmount},
		{"dear together", []event.Line{
			{Line: 1, SKU: "A", Quantity: 2, UnitPrice: document.MaxAmount / 2},
			{Line: 2, SKU: "A", Quantity: 1, UnitPrice: 1}}, document.CodeAmount},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantCode(t, document.CheckLines(tt.lines, 1), tt.code) })
	}
}

func TestCheckChannelAndCurrency(t *testing.T) {
	for _, c := range event.ChannelClasses {
		wantCode(t, document.CheckChannel(c), "")
	}
	wantCode(t, document.CheckChannel("web"), document.CodeChannel)
	wantCode(t, document.CheckCurrency("GBP"), "")
	for _, c := range []string{"", "gbp", "GB", "GBPX", "G1P"} {
		wantCode(t, document.CheckCurrency(c), document.CodeCurrency)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	got := ""
	if err != nil {
		got = operators.CodeOf(err)
	}
	if got != code {
		t.Errorf("code = %q (%v); want %q", got, err, code)
	}
}
