package allocation

import (
	"slices"
	"strings"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

// maxRuleWork bounds what an attempt may spend on rules each time it is loaded,
// in the unit of [policy.Rule.Work]: some tens of milliseconds. A rule that is
// not reached any more holds.
const maxRuleWork = 5_000_000

// compiled are the rules of a policy, nil if it has none. They are compiled once
// per version, and kept while the policy has the same. There are two policies to
// compile, by number.
func (sc *scratch) compiled(number int, p *event.AllocationPolicy) *policy.Rules {
	if len(p.Rules) == 0 {
		return nil
	}
	if r := sc.rules[number]; r != nil && (r.Of(p) || planted.Is("allocation: rules of the version before")) {
		return r
	}
	r, err := policy.CompileRules(p.Rules)
	if err != nil {
		panic(err) // the vocabulary is no input
	}
	sc.rules[number] = r
	return r
}

// orderFacts tells the rules about the order.
func (a *attempt) orderFacts() {
	a.work = 0
	if a.rules == nil {
		return
	}
	f := a.rules.Facts
	f.SetText(policy.OrderChannel, a.head.Channel)
	f.SetText(policy.OrderCurrency, a.head.Currency)
	f.SetText(policy.OrderLocation, a.head.Location)
	region := ""
	if a.head.Destination != nil {
		region = a.head.Destination.Region
	}
	f.SetText(policy.OrderRegion, region)
	f.SetFlag(policy.OrderCustomerKnown, a.head.Known)
	f.SetNumber(policy.OrderLines, a.head.Lines)
}

// unknownPlace is a place without reference data.
var unknownPlace event.Location

// placeFacts tells the rules about a place.
func (a *attempt) placeFacts(p *placeInfo) {
	f, loc := a.rules.Facts, p.row
	if loc == nil {
		loc = &unknownPlace
	}
	f.SetText(policy.PlaceLocation, p.location)
	f.SetText(policy.PlaceKind, loc.Kind)
	f.SetText(policy.PlaceFormat, loc.Format)
	f.SetText(policy.PlaceChannel, loc.Channel)
	f.SetText(policy.PlaceOwner, loc.Owner)
	f.SetText(policy.PlaceRegion, loc.Region)
	f.SetText(policy.PlaceCity, loc.City)
	f.SetNumber(policy.PlaceTier, loc.Tier)
	if a.rules.Uses(policy.PlaceMetres) {
		f.SetNumber(policy.PlaceMetres, metres(loc, a.head.Destination))
	}
}

// lineFacts tells the rules about an SKU: the lines of one SKU are served as one.
func (a *attempt) lineFacts(s *skuDemand) {
	f := a.rules.Facts
	f.SetText(policy.LineSKU, s.sku)
	f.SetNumber(policy.LineQuantity, s.quantity)
	if !a.rules.Uses(policy.LineBrand) && !a.rules.Uses(policy.LineCategory) {
		return
	}
	brand, category := "", ""
	if p := a.o.Products.Get(a.c, s.sku); p != nil {
		brand, category = p.Brand, p.Category
	}
	f.SetText(policy.LineBrand, brand)
	f.SetText(policy.LineCategory, category)
}

// rulePlace asks the rules that speak of the order and the place as a whole. It
// returns why the place is out, or "".
func (a *attempt) rulePlace(p *placeInfo) string {
	if a.rules == nil {
		return ""
	}
	a.placeFacts(p)
	return a.ask(p, a.rules.Place)
}

// ruleOffer asks the rules that speak of a line or a pool too.
func (a *attempt) ruleOffer(p *placeInfo, pool string, s *skuDemand) string {
	if a.rules == nil || len(a.rules.Offer) == 0 {
		return ""
	}
	a.placeFacts(p)
	a.lineFacts(s)
	a.rules.Facts.SetText(policy.PlacePool, pool)
	return a.ask(p, a.rules.Offer)
}

// ask asks rules in their order. The first that forbids ends it; costs are added
// to a parcel from the place, each once.
func (a *attempt) ask(p *placeInfo, rules []policy.Rule) (why string) {
	added := len(p.added)
	for i := range rules {
		r := &rules[i]
		if !r.Forbid && slices.ContainsFunc(p.added, func(c RuleCost) bool { return c.named(r.Name) }) {
			continue
		}
		holds, code := true, policy.CodeTooMuchWork
		if a.work += r.Work(); a.work <= maxRuleWork {
			holds, code = r.Holds(a.rules.Facts)
		}
		if !holds {
			continue
		}
		name := r.Name
		if code != "" {
			name += " (" + code + ")"
		}
		if r.Forbid {
			p.added = p.added[:added] // a place that is out costs nothing more for this
			return rulePrefix + name
		}
		p.added = append(p.added, RuleCost{Rule: name, Cost: r.Cost})
	}
	for _, c := range p.added[added:] {
		p.ruled += c.Cost
	}
	return ""
}

// named says whether the cost is of a rule, whatever code stands behind it.
func (c *RuleCost) named(rule string) bool {
	rest, same := strings.CutPrefix(c.Rule, rule)
	return same && (rest == "" || strings.HasPrefix(rest, " ("))
}

// explainRules writes which rules have added to the costs of places:
//
//	rules: how many, and of each: name, cost
//	additions: how many, and of each: place, rule
func (a *attempt) explainRules(f *facts, listed []int) {
	if a.rules == nil {
		return
	}
	var rules []RuleCost
	var pairs [][2]int64
	for i, k := range listed {
		for _, c := range a.places[k].added {
			at := slices.Index(rules, c)
			if at < 0 {
				at = len(rules)
				rules = append(rules, c)
			}
			pairs = append(pairs, [2]int64{int64(i), int64(at)})
		}
	}
	f.number(int64(len(rules)))
	for _, c := range rules {
		f.text(c.Rule)
		f.number(int64(c.Cost))
	}
	f.number(int64(len(pairs)))
	for _, p := range pairs {
		f.number(p[0])
		f.number(p[1])
	}
}

// rules reads which rules have added to the costs of places. Facts that end
// before have none.
func (k *known) rules(places []PlaceTerms) {
	rules := make([]RuleCost, k.count())
	for i := range rules {
		rules[i] = RuleCost{Rule: k.text(), Cost: state.Decimal(k.number())}
	}
	for range k.count() {
		place, rule := k.number(), k.number()
		if place < 0 || place >= int64(len(places)) || rule < 0 || rule >= int64(len(rules)) {
			k.broken = true
			return
		}
		t := &places[place]
		t.Added = append(t.Added, rules[rule])
		t.Rules += rules[rule].Cost
	}
}
