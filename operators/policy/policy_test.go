package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

func published() *event.PolicyPublished {
	good := *policy.Default(policy.NameAllocation).Allocation
	return &event.PolicyPublished{Name: policy.NameAllocation, Author: "ops", Allocation: &good}
}

func TestDefaultIsGood(t *testing.T) {
	if faults := policy.Check(published()); len(faults) > 0 {
		t.Errorf("Check(default) = %v; want none", faults)
	}
	if p := policy.Default("unknown"); p != nil {
		t.Errorf("Default(unknown) = %v; want nil", p)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	e := published()
	p := e.Allocation
	p.ShippingPerParcel, p.HandlingPerUnit = -1, 501*state.One
	p.SafetyStock, p.ReturnDays = -1, 401
	p.OrderTimeout, p.ReservationTTL = 0, 0
	p.ReturnsTo, p.ConfidenceFloor = "shelf", state.One+1
	p.Pools = []event.PoolRule{{Rule: "a", Pool: "store", Channels: []string{"web"}}, {Rule: "a"}}
	p.Franchises = []event.OwnerRule{{Channels: []string{"own_store"}}}
	faults := policy.Check(e)
	for _, want := range []string{
		"shipping_per_parcel", "handling_per_unit", "safety_stock", "return_days", "order_timeout_us", "reservation_ttl_us",
		"returns_to", "confidence_floor", "pools[0].channels", "pools[1].rule", "pools[1].pool", "pools[1].channels",
		"franchises[0].rule", "franchises[0].owner",
	} {
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, want+":") }) {
			t.Errorf("no fault names %s: %q", want, faults)
		}
	}
	if len(faults) != 14 {
		t.Errorf("%d faults; want 14: %q", len(faults), faults)
	}
	if faults := policy.Check(&event.PolicyPublished{Name: "prices"}); len(faults) != 2 {
		t.Errorf("Check(unknown name, no document) = %q; want two faults", faults)
	}
}

func TestVersionsAndHistory(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	rig, err := operatortest.NewRig(plan, state.Day*20_000)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() *policy.Answer {
		a, err := rig.Query(retail.StagePolicy, "policy", policy.NameAllocation, &policy.Question{History: true})
		if err != nil {
			t.Fatal(err)
		}
		return a.(*policy.Answer)
	}
	if got := ask(); got.Current.Version != 0 || len(got.History) != 1 {
		t.Errorf("before any publication: version %d of %d; want 0 of 1", got.Current.Version, len(got.History))
	}
	const publications = policy.KeptVersions + 5
	for i := range publications {
		e := published()
		e.Comment = fmt.Sprint(i + 1)
		if _, err := rig.Tell("policy.published", e, operatortest.Envelope{}); err != nil {
			t.Fatal(err)
		}
	}
	bad := published()
	bad.Allocation.ReturnsTo = ""
	effects, err := rig.Tell("policy.published", bad, operatortest.Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, r := range effects.Records {
		if d := operatortest.DeadLetterOf(r); d != nil {
			codes = append(codes, d.Code)
		}
	}
	if !slices.Equal(codes, []string{policy.CodeInvalid}) {
		t.Errorf("a faulty policy: dead letters %v; want %s", codes, policy.CodeInvalid)
	}
	got := ask()
	if got.Current.Version != publications || got.Current.Comment != fmt.Sprint(publications) {
		t.Errorf("current is version %d, %q; want %d", got.Current.Version, got.Current.Comment, publications)
	}
	if n := len(got.History); n != policy.KeptVersions+1 || got.History[0].Version != publications ||
		got.History[n-2].Version != publications-policy.KeptVersions+1 || got.History[n-1].Version != 0 {
		t.Errorf("history has %d versions from %d to %d", n, got.History[0].Version, got.History[n-1].Version)
	}
}

// The policy in force stays, however many shadows are published after it, and
// goes with its successor.
func TestShadowsLeaveThePolicyInForce(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	rig, err := operatortest.NewRig(plan, state.Day*20_000)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(shadow bool) *policy.Answer {
		e := published()
		e.Shadow = shadow
		if _, err := rig.Tell("policy.published", e, operatortest.Envelope{}); err != nil {
			t.Fatal(err)
		}
		a, err := rig.Query(retail.StagePolicy, "policy", policy.NameAllocation, &policy.Question{History: true})
		if err != nil {
			t.Fatal(err)
		}
		return a.(*policy.Answer)
	}
	if a := publish(false); a.Current.Version != 1 || a.Shadow != nil {
		t.Fatalf("current is %d, shadow %v; want 1 and none", a.Current.Version, a.Shadow)
	}
	var a *policy.Answer
	for range policy.KeptVersions + 2 {
		a = publish(true)
	}
	const last = policy.KeptVersions + 3
	if a.Current.Version != 1 || a.Current.Allocation == nil || a.Shadow == nil || a.Shadow.Policy.Version != last {
		t.Errorf("current is %d, shadow %v; want 1 and %d", a.Current.Version, a.Shadow, last)
	}
	if n := len(a.History); n != policy.KeptVersions+2 || a.History[n-2].Version != 1 {
		t.Errorf("history has %d versions; want %d, the oldest of them 1", n, policy.KeptVersions+2)
	}
	a = publish(false)
	if n := len(a.History); a.Current.Version != last+1 || a.Shadow != nil || n != policy.KeptVersions+1 {
		t.Errorf("current is %d, shadow %v, history has %d; want %d, none, %d", a.Current.Version, a.Shadow, n, last+1, policy.KeptVersions+1)
	}
}
