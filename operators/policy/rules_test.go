package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
)

func forbid(name, when string) event.AllocationRule {
	return event.AllocationRule{Rule: name, When: when, Effect: event.EffectForbid}
}

func TestCheckNamesEveryFaultOfRules(t *testing.T) {
	e := published()
	e.Allocation.Pools = []event.PoolRule{{Rule: "a", Pool: "store", Channels: []string{event.ChannelClasses[0]}}}
	e.Allocation.Rules = []event.AllocationRule{
		forbid("a", `order.channel == "web"`),
		forbid("", `order.channel`),
		forbid("b", `order.chanel == "web"`),
		{Rule: "c", When: `line.quantity > 1.5`, Effect: "double", Cost: 1},
		{Rule: "d", When: `true`, Effect: event.EffectCost},
		{Rule: "e", When: `true`, Effect: event.EffectForbid, Cost: 1},
	}
	faults := policy.Check(e)
	for _, want := range []string{
		"rules[0].rule: ", "rules[1].rule: ", "rules[1].when: not_bool at 1:1", "rules[2].when: name at 1:6",
		"rules[3].when: literal at 1:17", "rules[3].effect: ", "rules[4].cost: ", "rules[5].cost: ",
	} {
		if !slices.ContainsFunc(faults, func(f string) bool { return f == want || strings.HasSuffix(want, " ") && strings.HasPrefix(f, want) }) {
			t.Errorf("no fault is %q: %q", want, faults)
		}
	}
	if len(faults) != 8 {
		t.Errorf("%d faults; want 8: %q", len(faults), faults)
	}
	if detailed := policy.CheckInDetail(e); len(detailed) != 8 || !strings.Contains(strings.Join(detailed, ";"), "order.chanel is not in the vocabulary") {
		t.Errorf("CheckInDetail = %q; want the name that is not in the vocabulary", detailed)
	}
	e.Allocation.Rules = nil
	for i := range 33 {
		e.Allocation.Rules = append(e.Allocation.Rules, forbid(fmt.Sprint(i), "true"))
	}
	if faults := policy.Check(e); len(faults) != 1 || !strings.HasPrefix(faults[0], "rules: 33") {
		t.Errorf("Check(33 rules) = %q; want one fault", faults)
	}
}

// A rule that was published and can't be compiled any more forbids: it doesn't
// let goods go by mistake.
func TestUncompiledRuleHolds(t *testing.T) {
	r, err := policy.CompileRules([]event.AllocationRule{forbid("old", "matches(1)"), forbid("new", `line.sku == "A"`)})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Place) != 1 || len(r.Offer) != 1 {
		t.Fatalf("%d rules about places, %d about offers; want one each", len(r.Place), len(r.Offer))
	}
	if holds, code := r.Place[0].Holds(r.Facts); !holds || code != policy.CodeUncompiled {
		t.Errorf("Holds = %t, %q; want true, %q", holds, code, policy.CodeUncompiled)
	}
	if holds, code := r.Offer[0].Holds(r.Facts); holds || code != "" {
		t.Errorf("Holds(another SKU) = %t, %q; want false", holds, code)
	}
	r.Facts.SetText(policy.LineSKU, "A")
	if holds, code := r.Offer[0].Holds(r.Facts); !holds || code != "" {
		t.Errorf("Holds(its SKU) = %t, %q; want true", holds, code)
	}
}

// Variables are found by position: each must be where its constant says.
func TestVariablesAreWhereTheySay(t *testing.T) {
	for name, variable := range map[string]int{
		"order.channel": policy.OrderChannel, "order.region": policy.OrderRegion, "place.location": policy.PlaceLocation,
		"place.city": policy.PlaceCity, "place.pool": policy.PlacePool, "line.sku": policy.LineSKU, "line.category": policy.LineCategory,
	} {
		r, err := policy.CompileRules([]event.AllocationRule{forbid("r", name+` == "x"`)})
		if err != nil {
			t.Fatal(err)
		}
		rule := slices.Concat(r.Place, r.Offer)[0]
		r.Facts.SetText(variable, "x")
		if holds, code := rule.Holds(r.Facts); !holds || code != "" || !r.Uses(variable) {
			t.Errorf("%s is not at %d", name, variable)
		}
	}
}
