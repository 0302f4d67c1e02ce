package rule

import (
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
)

// The bound is on the estimate: what an evaluation costs must never be above it,
// even with the longest texts.
func TestEstimateBoundsTheCost(t *testing.T) {
	v, err := NewVocabulary([]Variable{{Name: "a.text", Kind: Text}, {Name: "b.text", Kind: Text}, {Name: "a.number", Kind: Number}})
	if err != nil {
		t.Fatal(err)
	}
	f := v.NewFacts()
	f.SetText(0, strings.Repeat("x", MaxTextBytes))
	f.SetText(1, strings.Repeat("x", MaxTextBytes))
	for _, text := range []string{
		`a.text == b.text`,
		`a.text.contains("` + strings.Repeat("x", 50) + `y")`,
		`a.text.startsWith(b.text) && a.text.endsWith(b.text)`,
		`["a", b.text, a.text].exists(x, x == a.text && x.startsWith("xx"))`,
		`[1, 2, 3].all(x, [4, 5].all(y, x * y + a.number != 1))`,
		`b.text in ["a", "b", a.text]`,
		`a.number > 0 ? a.text == "x" : b.text != "x" && !(a.number == 3)`,
	} {
		e, fault := v.Compile(text)
		if fault != nil {
			t.Errorf("Compile(%s) = %v, %s", text, fault, fault.Detail)
			continue
		}
		parsed, issues := v.env.Compile(text)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		tracked, err := v.env.Program(parsed, cel.CostTracking(nil))
		if err != nil {
			t.Fatal(err)
		}
		_, details, err := tracked.Eval(f)
		if err != nil {
			t.Fatal(err)
		}
		if cost := details.ActualCost(); cost == nil || *cost > e.Cost() {
			t.Errorf("%.60s costs %d; its bound is %d", text, *cost, e.Cost())
		}
	}
}
