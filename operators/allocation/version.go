package allocation

import (
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
)

// An attempt is made under one version of the policy, the one that is in force
// in the order's group when all SKUs have answered: what it measures, chooses,
// claims in every round and decides. A version that comes meanwhile is for the
// next attempt. The versions replaced last are kept for that; an attempt that
// they have overtaken begins its choice anew, under the one in force.

// fixPolicy lets the attempt be made under the policy in force.
func (o *Operator) fixPolicy(c operators.Context, head *Head) {
	head.Policy = policy.Allocation(c, o.Policies).Version
}

// attemptPolicy is the version that the attempt is made under, or nil.
func (o *Operator) attemptPolicy(c operators.Context, head *Head) *event.Policy {
	if planted.Is("allocation: policy changes in an attempt") {
		return policy.Allocation(c, o.Policies)
	}
	return policy.AllocationVersion(c, o.Policies, head.Policy)
}

// overtaken says whether the attempt's policy is not kept any more.
func (o *Operator) overtaken(c operators.Context, head *Head) bool {
	return o.attemptPolicy(c, head) == nil
}
