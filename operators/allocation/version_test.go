package allocation_test

import (
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// publish puts a policy into force that lets nobody draw on a shop and takes so
// much for a parcel.
func (n *network) publish(shut string, parcel state.Decimal) {
	p := *policy.Default(policy.NameAllocation).Allocation
	p.ShippingPerParcel = parcel
	p.Rules = []event.AllocationRule{{Rule: "shut", When: `place.location == "` + shut + `"`, Effect: event.EffectForbid}}
	in := n.plan.Input("policy.published")
	n.deliver(message{in: in.Port, key: policy.NameAllocation, time: n.now,
		payload: &event.PolicyPublished{Name: policy.NameAllocation, Allocation: &p}})
}

// decision is the decision about an order's attempt.
func (n *network) decision(t *testing.T, order string, attempt int64) *event.AllocationDecided {
	t.Helper()
	for _, r := range n.records {
		if d, ok := r.Payload.Value.(*event.AllocationDecided); ok && d.Order == order && d.Attempt == attempt {
			return d
		}
	}
	t.Fatalf("order %s has no decision about attempt %d", order, attempt)
	return nil
}

// claimed places an order and lets it come to where a shop has been asked to hold
// two SKUs and the order has not heard of either.
func claimed(t *testing.T, seed uint64) *network {
	n := newNetwork(retailPlan(t), seed)
	for _, sku := range []string{"A", "B"} {
		n.tell("stock.counted", &event.StockCounted{SKU: sku, Location: "shop", Pool: "store", Quantity: 1})
	}
	n.settle()
	n.publish("elsewhere", 7*state.One)
	n.tell("order.placed", order("O1", event.Line{SKU: "A", Quantity: 1}, event.Line{SKU: "B", Quantity: 1}))
	for !n.next("hold.answered") {
		n.step()
	}
	n.blocked = retail.StageAllocation + "/O1"
	n.settle()
	return n
}

// What is claimed under a version of the policy is decided under it, whatever
// has come meanwhile. The next attempt goes by the new one.
func TestAnAttemptIsMadeUnderOneVersion(t *testing.T) {
	for seed := range uint64(20) {
		n := claimed(t, seed)
		n.publish("shop", 9*state.One)
		n.blocked = ""
		n.settle()
		n.verify(t, seed)
		d := n.decision(t, "O1", 1)
		if got := d.Cost.Terms.Shipping; d.Policy.Version != 1 || got != 7*state.One {
			t.Fatalf("seed %d: attempt 1 is decided by version %d, a parcel for %s; want version 1 for 7", seed, d.Policy.Version, got)
		}
		n.tell("order.rejected", &event.OrderRejected{Order: "O1", Location: "shop", Reason: "broken"})
		n.settle()
		n.verify(t, seed)
		if d := n.decision(t, "O1", 2); d.Policy.Version != 2 {
			t.Fatalf("seed %d: attempt 2 is decided by version %d; want 2", seed, d.Policy.Version)
		}
	}
}

// A version that too many have replaced is not kept. Whoever has chosen under it
// gives back what is claimed, and chooses again under the one in force.
func TestAnOvertakenAttemptChoosesAnew(t *testing.T) {
	const versions = policy.KeptReplaced + 2
	for seed := range uint64(20) {
		n := claimed(t, seed)
		for range versions - 2 {
			n.publish("elsewhere", 8*state.One)
		}
		open := "elsewhere"
		if seed%2 == 1 {
			open = "shop"
		}
		n.publish(open, 9*state.One)
		n.blocked = ""
		n.settle()
		n.verify(t, seed)
		d := n.decision(t, "O1", 1)
		if d.Policy.Version != versions {
			t.Fatalf("seed %d: decided by version %d; want %d", seed, d.Policy.Version, versions)
		}
		reserved := n.line(t, "O1", 1)
		if want := int64(1 - seed%2); reserved.Reserved() != want {
			t.Fatalf("seed %d: %d reserved where %s is shut; want %d", seed, reserved.Reserved(), open, want)
		}
	}
}

// An order whose time is up keeps nothing that was chosen under a version that is
// not kept.
func TestAnOvertakenAttemptIsDecidedInTime(t *testing.T) {
	for seed := range uint64(20) {
		n := claimed(t, seed)
		for range policy.KeptReplaced + 1 {
			n.publish("shop", 9*state.One)
		}
		n.now += 30 * state.Second
		n.step() // fires
		n.blocked = ""
		n.settle()
		n.verify(t, seed)
		d := n.decision(t, "O1", 1)
		line := n.line(t, "O1", 1)
		if d.Policy.Version != policy.KeptReplaced+2 || line.Failed != 1 {
			t.Fatalf("seed %d: decided by version %d, line %+v; want %d, and nothing reserved", seed, d.Policy.Version, line, policy.KeptReplaced+2)
		}
	}
}
