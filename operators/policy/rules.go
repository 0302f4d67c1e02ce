package policy

import (
	"slices"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/rule"
	"anabranch.dev/state"
)

// Variables of allocation rules, by position.
const (
	OrderChannel = iota
	OrderCurrency
	OrderLocation
	OrderRegion
	OrderCustomerKnown
	OrderLines
	PlaceLocation
	PlaceKind
	PlaceFormat
	PlaceChannel
	PlaceOwner
	PlaceRegion
	PlaceCity
	PlaceTier
	PlaceMetres
	PlacePool // from here on they differ between the offers of a place
	LineSKU
	LineQuantity
	LineBrand
	LineCategory
)

// variables are what the rules of an allocation policy may speak of.
var variables = []rule.Variable{
	OrderChannel:       {Name: "order.channel", Kind: rule.Text},
	OrderCurrency:      {Name: "order.currency", Kind: rule.Text},
	OrderLocation:      {Name: "order.location", Kind: rule.Text},
	OrderRegion:        {Name: "order.region", Kind: rule.Text},
	OrderCustomerKnown: {Name: "order.customer_known", Kind: rule.Flag},
	OrderLines:         {Name: "order.lines", Kind: rule.Number},
	PlaceLocation:      {Name: "place.location", Kind: rule.Text},
	PlaceKind:          {Name: "place.kind", Kind: rule.Text},
	PlaceFormat:        {Name: "place.format", Kind: rule.Text},
	PlaceChannel:       {Name: "place.channel", Kind: rule.Text},
	PlaceOwner:         {Name: "place.owner", Kind: rule.Text},
	PlaceRegion:        {Name: "place.region", Kind: rule.Text},
	PlaceCity:          {Name: "place.city", Kind: rule.Text},
	PlaceTier:          {Name: "place.tier", Kind: rule.Number},
	PlaceMetres:        {Name: "place.metres", Kind: rule.Number},
	PlacePool:          {Name: "place.pool", Kind: rule.Text},
	LineSKU:            {Name: "line.sku", Kind: rule.Text},
	LineQuantity:       {Name: "line.quantity", Kind: rule.Number},
	LineBrand:          {Name: "line.brand", Kind: rule.Text},
	LineCategory:       {Name: "line.category", Kind: rule.Text},
}

// Rules are the compiled rules of an allocation policy and the facts that they
// are asked about.
type Rules struct {
	Facts *rule.Facts
	Place []Rule // whose condition is the same for all that a place offers
	Offer []Rule // whose condition asks for a line or a pool

	source []event.AllocationRule
	uses   []bool
}

// Rule is one compiled rule.
type Rule struct {
	Name   string
	Forbid bool
	Cost   state.Decimal // where it does not forbid

	when *rule.Expression
}

// CompileRules compiles the rules of a policy that was published. One that this
// version can't compile any more holds everywhere: see [Rule.Holds].
func CompileRules(list []event.AllocationRule) (*Rules, error) {
	v, err := rule.NewVocabulary(variables)
	if err != nil {
		return nil, err
	}
	r := &Rules{Facts: v.NewFacts(), source: slices.Clone(list), uses: make([]bool, len(variables))}
	for i := range list {
		x := &list[i]
		c := Rule{Name: x.Rule, Forbid: x.Effect == event.EffectForbid, Cost: x.Cost}
		offer := false
		if e, fault := v.Compile(x.When); fault == nil {
			c.when = e
			for n := range variables {
				r.uses[n] = r.uses[n] || e.Uses(n)
				offer = offer || n >= PlacePool && e.Uses(n)
			}
		}
		if offer {
			r.Offer = append(r.Offer, c)
		} else {
			r.Place = append(r.Place, c)
		}
	}
	return r, nil
}

// Of says whether these are the compiled rules of a policy.
func (r *Rules) Of(p *event.AllocationPolicy) bool { return slices.Equal(r.source, p.Rules) }

// Uses says whether any rule asks for a variable.
func (r *Rules) Uses(variable int) bool { return r.uses[variable] }

// Codes of a rule that can't be asked, beside those of package rule.
const (
	CodeUncompiled  = "uncompiled"    // it is of another version of the library
	CodeTooMuchWork = "too_much_work" // the rules before it have spent what all may
)

// Work is the most that asking the rule once may cost; see [rule.MaxCost].
func (r *Rule) Work() uint64 {
	if r.when == nil {
		return 0
	}
	return r.when.Cost()
}

// Holds says whether the rule holds for the facts. What can't be worked out is
// taken to hold, and named by a code: a rule keeps goods from an order rather
// than letting them go by mistake.
func (r *Rule) Holds(f *rule.Facts) (holds bool, code string) {
	if r.when == nil {
		return true, CodeUncompiled
	}
	holds, code = r.when.Holds(f)
	return holds || code != "", code
}
