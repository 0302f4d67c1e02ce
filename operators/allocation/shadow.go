package allocation

import (
	"slices"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
)

// Numbers of compiled policies and of the attempt that is made under the second.
const (
	inForce = iota
	shadow
	shadowAttempt
)

// maxChoiceNames bounds the lists of a [event.Choice].
const maxChoiceNames = 8

// compare tells the policy stage what the shadow of the policy in force would
// have chosen in place of what an attempt has just assigned. It works from the
// same answers: a place whose capacity nobody asked for counts as full.
func (o *Operator) compare(a *attempt) {
	p := policy.AllocationShadow(a.c, o.Policies)
	if p == nil || a.policy.Version != policy.Allocation(a.c, o.Policies).Version {
		return // an attempt under an earlier policy says nothing about the one in force
	}
	sc := operators.Scratch[scratch](a.c)
	b := &sc.attempts[shadowAttempt]
	b.policy, b.rules = p, sc.compiled(shadow, p.Allocation)
	b.chooseLike(o, a)
	e := &event.ShadowCompared{
		Name: policy.NameAllocation, Order: a.c.Key(), Attempt: a.head.Attempt, Time: a.c.LogTime(),
		Version: a.policy.Version, Shadow: p.Version, Wanted: a.wanted(), Same: a.servesLike(b),
	}
	e.Chosen, e.Instead = a.chosen(), b.chosen()
	o.Compared.Emit(a.c, e.Name, e)
}

// chooseLike assigns what the attempt's policy would choose for another attempt,
// counting on what other orders hold under the same condition.
func (a *attempt) chooseLike(o *Operator, other *attempt) {
	result := a.load(o, other.c, other.head, false).choose()
	if filled := result.best.filled; filled < a.wanted() {
		result = a.load(o, other.c, other.head, true).choose()
		if result.best.filled <= filled {
			result = a.load(o, other.c, other.head, false).choose()
		}
	}
	if a.assign(result) == 0 || a.mustFail() {
		a.drop()
	}
}

// servesLike says whether two attempts serve every line from the same places.
func (a *attempt) servesLike(b *attempt) bool {
	for i := range a.skus {
		for j := range a.skus[i].lines {
			if !slices.Equal(a.skus[i].lines[j].Parts, b.skus[i].lines[j].Parts) {
				return false
			}
		}
	}
	return true
}

// chosen sums up what is assigned.
func (a *attempt) chosen() event.Choice {
	c := event.Choice{Cost: a.cost().Total}
	for _, rule := range a.keptBy() {
		c.Rules = appendName(c.Rules, strings.TrimPrefix(rule, rulePrefix))
	}
	units := a.unitsAt()
	for k, n := range units {
		if n == 0 {
			continue
		}
		c.Filled += n
		c.From = appendName(c.From, a.places[k].location)
		for _, added := range a.places[k].added {
			c.Rules = appendName(c.Rules, added.Rule)
		}
	}
	return c
}

// appendName adds a name to a short list, once.
func appendName(list []string, name string) []string {
	if len(list) == maxChoiceNames || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
