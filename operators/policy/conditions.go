package policy

import (
	"fmt"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/rule"
)

// maxConditions is how many rules with a condition a policy may have.
const maxConditions = 32

// conditions checks the rules that are written as conditions.
func (k *checker) conditions(list []event.AllocationRule, names []string) {
	if n := len(list); n > maxConditions {
		k.faultf("rules: %d, at most %d", n, maxConditions)
		return
	}
	if len(list) == 0 {
		return
	}
	v, err := rule.NewVocabulary(variables)
	if err != nil {
		k.faultf("rules: %v", err)
		return
	}
	for i := range list {
		r := &list[i]
		field := fmt.Sprintf("rules[%d]", i)
		names = k.rule(field, r.Rule, names)
		if _, fault := v.Compile(r.When); fault != nil {
			k.condition(field, fault)
		}
		switch r.Effect {
		case event.EffectForbid:
			if r.Cost != 0 {
				k.faultf("%s.cost: %s, but the effect is %s", field, r.Cost, event.EffectForbid)
			}
		case event.EffectCost:
			if r.Cost <= 0 || r.Cost > maxCost {
				k.faultf("%s.cost: %s is not above 0 and up to %s", field, r.Cost, maxCost)
			}
		default:
			k.faultf("%s.effect: %q is neither %q nor %q", field, r.Effect, event.EffectForbid, event.EffectCost)
		}
	}
}

func (k *checker) condition(field string, fault *rule.Fault) {
	if k.detail && fault.Detail != "" {
		k.faultf("%s.when: %s: %s", field, fault.Error(), fault.Detail)
		return
	}
	k.faultf("%s.when: %s", field, fault.Error())
}
