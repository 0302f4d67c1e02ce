package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// policies answers as a node does that has two versions and a shadow.
func policies(t *testing.T, see func(*http.Request)) string {
	t.Helper()
	version := func(n int64, change func(p *event.AllocationPolicy)) event.Policy {
		p := *policy.Default(policy.NameAllocation)
		p.Version, p.Author = n, "ops"
		change(p.Allocation)
		return p
	}
	first := version(1, func(*event.AllocationPolicy) {})
	second := version(2, func(p *event.AllocationPolicy) {
		p.ShippingPerKM = 2 * state.One
		p.Rules = []event.AllocationRule{{Rule: "keep", When: `place.kind == "store"`, Effect: event.EffectCost, Cost: state.One}}
	})
	tried := version(3, func(p *event.AllocationPolicy) { p.PartialOrders = false })
	tried.Shadow = true
	doc, err := wire.MarshalJSON(&policy.Answer{
		Current: second, History: []event.Policy{tried, second, first, *policy.Default(policy.NameAllocation)},
		Shadow: &policy.ShadowState{Policy: tried, Counts: policy.Counts{Compared: 40, Different: 1, FillsLess: 1},
			Differences: []policy.Difference{{Number: 1, Order: "W-7", Attempt: 1, Wanted: 9,
				Chosen: event.Choice{Filled: 5, Cost: 4 * state.One, From: []string{"riverside", "depot"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answering(t, 200, string(doc), see)
}

func TestPolicyDiff(t *testing.T) {
	server, dir := policies(t, nil), t.TempDir()
	file := writeTemp(t, dir, "p.yaml", `{name: allocation, allocation: {shipping_per_parcel: "3", shipping_per_km: "2.00", split_per_parcel: "2",
  handling_per_unit: "0.2", capacity_price: "1", return_days: 30, order_timeout_us: 60000000, reservation_ttl_us: 1209600000000,
  returns_to: on_hand, partial_orders: true, rejection_cost: "5", depletion_alerts: online,
  rules: [{rule: keep, when: 'place.kind == "warehouse"', effect: cost, cost: "1"}]}}`)
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"1"}, []string{"rules[keep].cost 1.00", "rules[keep].effect cost", `rules[keep].when place.kind == "store"`, "shipping_per_km 0.001 2.00"}},
		{[]string{"2"}, []string{"nothing differs"}},
		{[]string{"0", "1"}, []string{"nothing differs"}},
		{[]string{"2", "3"}, []string{"partial_orders true false", "rules[keep].cost 1.00", "rules[keep].effect cost",
			`rules[keep].when place.kind == "store"`, "shipping_per_km 2.00 0.001"}},
		{[]string{"-f", file}, []string{"order_timeout_us 30000000 60000000", `rules[keep].when place.kind == "store" place.kind == "warehouse"`}},
	}
	for _, test := range tests {
		code, out, errs := run(t, append([]string{"policy", "diff", "allocation", "--addr", server}, test.args...)...)
		var lines []string
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			if line = strings.Join(strings.Fields(line), " "); line != "FIELD FROM TO" {
				lines = append(lines, line)
			}
		}
		if code != exitDone || strings.Join(lines, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("policy diff %v = %d: %s%s\nwant %q", test.args, code, errs, strings.Join(lines, "\n"), test.want)
		}
	}
	for _, args := range [][]string{{}, {"1", "2", "-f", file}, {"latest"}} {
		if code, _, _ := run(t, append([]string{"policy", "diff", "allocation", "--addr", server}, args...)...); code != exitUsage {
			t.Errorf("policy diff %v = %d; want %d", args, code, exitUsage)
		}
	}
	if code, _, errs := run(t, "policy", "diff", "allocation", "9", "--addr", server); code != exitFailed || !strings.Contains(errs, "has no version 9") {
		t.Errorf("policy diff with an unknown version = %d: %s", code, errs)
	}
}

func TestPolicyShadow(t *testing.T) {
	var body string
	server := policies(t, func(r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(b)
	})
	_, out, _ := run(t, "policy", "history", "allocation", "--addr", server)
	if want := "allocation        3  shadow"; !strings.Contains(out, want) || !strings.Contains(out, "allocation        2  in force") {
		t.Errorf("history =\n%swant a line with %q", out, want)
	}
	_, out, _ = run(t, "policy", "history", "allocation", "--addr", server, "-o", "json")
	if !strings.Contains(out, `"fills_less": 1`) {
		t.Errorf("history as JSON =\n%s", out)
	}
	file := writeTemp(t, t.TempDir(), "p.yaml", "name: allocation\nallocation: {order_timeout_us: 30000000, reservation_ttl_us: 86400000000, returns_to: on_hand}\n")
	if code, _, errs := run(t, "policy", "publish", "-f", file, "--shadow", "--addr", server); code != exitDone || !strings.Contains(body, `"shadow":true`) {
		t.Errorf("publish --shadow = %d: %s; sent %s", code, errs, body)
	}
	if code, _, errs := run(t, "policy", "publish", "-f", file, "--addr", server); code != exitDone || strings.Contains(body, "shadow") {
		t.Errorf("publish = %d: %s; sent %s", code, errs, body)
	}
}

// What the library says of a faulty condition is for whoever wrote it.
func TestPolicyCheckNamesTheFaultOfACondition(t *testing.T) {
	file := writeTemp(t, t.TempDir(), "p.yaml", `{name: allocation, allocation: {order_timeout_us: 30000000, reservation_ttl_us: 86400000000,
  returns_to: on_hand, rules: [{rule: r, when: 'line.sku > 2', effect: forbid}]}}`)
	code, out, _ := run(t, "policy", "check", "-f", file)
	if want := filepath.Base(file) + ": rules[0].when: type at 1:10: found no matching overload"; code != exitFound || !strings.Contains(out, want) {
		t.Errorf("policy check = %d: %s; want %q", code, out, want)
	}
}
