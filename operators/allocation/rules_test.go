package allocation

import (
	"fmt"
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// ruled is an attempt with rules and nothing else.
func ruled(t *testing.T, rules ...event.AllocationRule) *attempt {
	t.Helper()
	r, err := policy.CompileRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return &attempt{head: &Head{}, rules: r}
}

// What rules may cost an attempt is bounded: those that are not reached hold.
func TestRulesThatAreNotReachedHold(t *testing.T) {
	a := ruled(t, event.AllocationRule{Rule: "r", When: `place.location == "elsewhere"`, Effect: event.EffectForbid})
	a.orderFacts()
	p := &placeInfo{location: "shop"}
	if why := a.rulePlace(p); why != "" || a.work == 0 {
		t.Fatalf("rulePlace = %q after %d; want none, and some work", why, a.work)
	}
	a.work = maxRuleWork - a.work
	if why := a.rulePlace(p); why != "" {
		t.Errorf("rulePlace at the bound = %q; want none", why)
	}
	if why, want := a.rulePlace(p), "rule:r (too_much_work)"; why != want {
		t.Errorf("rulePlace above the bound = %q; want %q", why, want)
	}
	a.orderFacts()
	if why := a.rulePlace(p); why != "" {
		t.Errorf("rulePlace of the next load = %q; want none", why)
	}
}

// A cost is added once per place, however many lines it holds for, and not for
// an offer that is out.
func TestRuleCostsAreAddedOnce(t *testing.T) {
	cost := func(name, when string) event.AllocationRule {
		return event.AllocationRule{Rule: name, When: when, Effect: event.EffectCost, Cost: state.One}
	}
	a := ruled(t, cost("big", "line.quantity > 1"), cost("bi", "line.quantity > 1"),
		event.AllocationRule{Rule: "out", When: `line.sku == "B"`, Effect: event.EffectForbid})
	p := &placeInfo{location: "shop"}
	if why := a.ruleOffer(p, "store", &skuDemand{sku: "B", quantity: 2}); why != "rule:out" || p.ruled != 0 {
		t.Errorf("ruleOffer(B) = %q, adds %s; want rule:out and nothing", why, p.ruled)
	}
	for range 2 {
		if why := a.ruleOffer(p, "store", &skuDemand{sku: "A", quantity: 2}); why != "" || p.ruled != 2*state.One || len(p.added) != 2 {
			t.Errorf("ruleOffer(A) = %q, adds %s by %v; want 2", why, p.ruled, p.added)
		}
	}
}

// Rules are compiled once, and again only when they are others.
func TestRulesAreCompiledOnce(t *testing.T) {
	var sc scratch
	rules := []event.AllocationRule{{Rule: "r", When: "true", Effect: event.EffectForbid}}
	first := sc.compiled(inForce, &event.AllocationPolicy{Rules: rules})
	again := sc.compiled(inForce, &event.AllocationPolicy{Rules: append([]event.AllocationRule{}, rules...)})
	other := sc.compiled(inForce, &event.AllocationPolicy{Rules: append(rules, event.AllocationRule{Rule: "s", When: "false"})})
	if first != again || first == other || sc.compiled(shadow, &event.AllocationPolicy{}) != nil {
		t.Errorf("compiled = %p, %p, then %p; want the same twice, another, and none without rules", first, again, other)
	}
}

// BenchmarkRules is what rules cost an offer; conditions ask for line and place.
func BenchmarkRules(b *testing.B) {
	var list []event.AllocationRule
	for i := range 8 {
		list = append(list, event.AllocationRule{Rule: fmt.Sprint(i), When: `line.quantity > 3 && place.kind == "store" && order.channel in ["web", "social"]`, Effect: event.EffectForbid})
	}
	r, err := policy.CompileRules(list)
	if err != nil {
		b.Fatal(err)
	}
	a := &attempt{head: &Head{Channel: "own_online"}, rules: r}
	a.orderFacts()
	places := []placeInfo{{location: "a", row: &event.Location{Kind: "store"}}, {location: "b", row: &event.Location{Kind: "warehouse"}}}
	s := &skuDemand{sku: "A", quantity: 9}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.work = 0
		a.ruleOffer(&places[i%2], "store", s)
	}
}
