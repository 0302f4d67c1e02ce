package rule_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/rule"
)

var variables = []rule.Variable{
	{Name: "order.channel", Kind: rule.Text},
	{Name: "order.known", Kind: rule.Flag},
	{Name: "line.sku", Kind: rule.Text},
	{Name: "line.quantity", Kind: rule.Number},
}

func vocabulary(t testing.TB) *rule.Vocabulary {
	t.Helper()
	v, err := rule.NewVocabulary(variables)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGolden holds expressions against the results they have always had. A new
// version of the library that changes one changes decisions: it is not taken
// before that is dealt with.
func TestGolden(t *testing.T) {
	v := vocabulary(t)
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			text := d.Input
			if d.Cmd == "long" {
				var n int
				d.ScanArgs(t, "bytes", &n)
				text = `"` + strings.Repeat("a", n-2) + `"`
			}
			e, fault := v.Compile(text)
			if fault != nil {
				return fault.Error() + "\n"
			}
			holds, code := e.Holds(facts(t, v, d))
			if code != "" {
				return fmt.Sprintf("%s, cost at most %d\n", code, e.Cost())
			}
			return fmt.Sprintf("%t, cost at most %d\n", holds, e.Cost())
		})
	})
}

func facts(t *testing.T, v *rule.Vocabulary, d *datadriven.TestData) *rule.Facts {
	f := v.NewFacts()
	for i, x := range variables {
		for _, arg := range d.CmdArgs {
			if arg.Key != x.Name {
				continue
			}
			value := arg.Vals[0]
			switch n, err := strconv.ParseInt(strings.TrimPrefix(value, "*"), 10, 64); {
			case x.Kind == rule.Flag:
				f.SetFlag(i, value == "true")
			case x.Kind == rule.Number && err == nil:
				f.SetNumber(i, n)
			case strings.HasPrefix(value, "*") && err == nil:
				f.SetText(i, strings.Repeat("x", int(n)))
			case x.Kind == rule.Text:
				f.SetText(i, value)
			default:
				t.Fatalf("%s=%s: %v", x.Name, value, err)
			}
		}
	}
	return f
}

func TestUses(t *testing.T) {
	e, fault := vocabulary(t).Compile(`order.channel == "a" || [1].exists(line, line == 1) && order.known`)
	if fault != nil {
		t.Fatal(fault.Detail)
	}
	for i, want := range []bool{true, true, false, false} {
		if got := e.Uses(i); got != want {
			t.Errorf("Uses(%s) = %t; want %t", variables[i].Name, got, want)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	v := vocabulary(b)
	e, fault := v.Compile(`order.channel in ["web", "social"] && line.sku.startsWith("A-") && line.quantity > 2`)
	if fault != nil {
		b.Fatal(fault.Detail)
	}
	f := v.NewFacts()
	f.SetText(0, "social")
	f.SetText(2, "A-17")
	f.SetNumber(3, 3)
	b.ReportAllocs()
	for b.Loop() {
		if holds, code := e.Holds(f); !holds || code != "" {
			b.Fatal(holds, code)
		}
	}
}

// FuzzCompile looks for an expression that panics or costs more than it may.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{`order.channel in ["a"]`, `["a"].exists(x, x == line.sku)`, `{"a": 1.0}`, `line.quantity * -3 < 2`} {
		f.Add(text)
	}
	v := vocabulary(f)
	known := v.NewFacts()
	f.Fuzz(func(t *testing.T, text string) {
		e, fault := v.Compile(text)
		switch {
		case fault != nil && fault.Code == "":
			t.Errorf("Compile(%q): fault without a code: %v", text, fault)
		case fault == nil && e.Cost() > rule.MaxCost:
			t.Errorf("Compile(%q) costs %d", text, e.Cost())
		case fault == nil:
			e.Holds(known)
		}
	})
}
