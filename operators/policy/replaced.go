package policy

import (
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// KeptReplaced is how many versions that are not in force any more stay broadcast.
const KeptReplaced = 8

// Replaced is a version that was in force and is still broadcast.
type Replaced struct {
	Version int64 `v:"version"`
}

func replacedRow(name string, version int64) string { return name + "/" + versionRow(version) }

// keepReplaced goes on broadcasting the version in force, which is about to be
// replaced, and ends that of the oldest. It comes before the next version does: a
// group that has the next one has this one too.
func (o *Operator) keepReplaced(c operators.Context, name string, n *Newest) {
	if n.InForce == 0 {
		return // everybody has the default
	}
	before, _ := o.history.Get(c, versionRow(n.InForce))
	o.Policies.Publish(c, replacedRow(name, n.InForce), before)
	n.Replaced = append(slices.Clip(n.Replaced), Replaced{Version: n.InForce})
	if len(n.Replaced) > KeptReplaced {
		o.Policies.Withdraw(c, replacedRow(name, n.Replaced[0].Version))
		n.Replaced = n.Replaced[1:]
	}
}

// AllocationVersion is a version of the allocation policy that is or was in force,
// or nil if it is not broadcast any more. It must not be changed.
func AllocationVersion(r operators.Reader, policies operators.Broadcast[event.Policy], version int64) *event.Policy {
	switch p := Allocation(r, policies); version {
	case p.Version:
		return p
	case 0:
		return builtIn
	}
	return policies.Get(r, replacedRow(NameAllocation, version))
}
