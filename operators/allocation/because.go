package allocation

import (
	"fmt"
	"strings"

	"anabranch.dev/operators/event"
)

// because says in a few words why the decision is as it is. The words are part
// of what users see: change them only on purpose.
func (a *attempt) because(allocated, backordered, open int64) string {
	text := a.outcome(allocated, backordered, open)
	for _, rule := range a.keptBy() {
		if !strings.Contains(text, rule) {
			text += "; " + rule
		}
	}
	return text
}

func (a *attempt) outcome(allocated, backordered, open int64) string {
	switch {
	case a.late:
		return fmt.Sprintf("time is up, %d of %d units", allocated, a.wanted())
	case allocated == 0 && backordered == 0:
		return a.nothing()
	case allocated == 0:
		return "backordered until supply comes"
	case open > 0:
		return fmt.Sprintf("all that can be promised, %d of %d units", allocated, a.wanted())
	case backordered > 0:
		return fmt.Sprintf("%d of %d units now, the rest when supply comes", allocated, a.wanted())
	}
	return a.sources()
}

// sources describes a plan that fills everything.
func (a *attempt) sources() string {
	used, nearest := a.usedPlaces(), a.nearest()
	if len(used) > 1 {
		if nearest < 0 {
			return fmt.Sprintf("split over %d places, none has all", len(used))
		}
		return fmt.Sprintf("split over %d places, cheaper than one", len(used))
	}
	if a.head.Destination != nil && nearest == used[0] {
		return "nearest with stock, no split"
	}
	return "cheapest with stock, no split"
}

// nearest is the nearest place that could fill everything alone.
func (a *attempt) nearest() int {
	best, wanted := -1, a.wanted()
	for k := range a.places {
		if a.fills(k) < wanted {
			continue
		}
		if best < 0 || a.places[k].metres < a.places[best].metres {
			best = k
		}
	}
	return best
}

// fills is how much of what is wanted a place could fill alone.
func (a *attempt) fills(place int) int64 {
	var n int64
	for i := range a.skus {
		s := &a.skus[i]
		var units int64
		for j := range s.offers {
			if s.offers[j].place == place {
				units += a.usable(&s.offers[j])
			}
		}
		n += min(units, s.quantity)
	}
	return n
}

// nothing explains a decision without any source.
func (a *attempt) nothing() string {
	if len(a.skus) != 1 {
		if !a.policy.Allocation.PartialOrders {
			return "can't be filled whole"
		}
		return fmt.Sprintf("nothing to promise for %d SKUs", len(a.skus))
	}
	s := &a.skus[0]
	near := a.nearestOffer(s)
	switch {
	case near == nil:
		return a.shortage(s)
	case a.usable(near) == 0:
		return place(near)
	case s.resource.State == resourceRefused:
		return a.shortage(s)
	}
	return "can't be filled whole"
}

// nearestOffer is the nearest place and pool that knows the SKU, or nil.
func (a *attempt) nearestOffer(s *skuDemand) *offer {
	var best *offer
	for i := range s.offers {
		f := &s.offers[i]
		if best == nil || a.places[f.place].metres < a.places[best.place].metres {
			best = f
		}
	}
	return best
}

// place describes what one place has and why that is not enough.
func place(f *offer) string {
	if f.why != "" {
		return f.at.Location + ": " + f.why
	}
	return fmt.Sprintf("%s: %d to promise (%s)", f.at.Location, f.at.ATP, stock(f.at))
}

func stock(at *event.Available) string {
	text := fmt.Sprintf("%d on hand", at.OnHand)
	for _, part := range []struct {
		units int64
		name  string
	}{{at.Reserved, "reserved"}, {at.Withheld, "withheld"}, {at.SafetyStock, "safety"}} {
		if part.units > 0 {
			text += fmt.Sprintf(", %d %s", part.units, part.name)
		}
	}
	return text
}

// shortage is the reason of a line that gets less than it wants.
func (a *attempt) shortage(s *skuDemand) string {
	if s.resource.Fault != "" {
		return "fault:" + s.resource.Fault
	}
	if s.resource.State == resourceAsked {
		return "no answer in time"
	}
	if len(s.offers) == 0 {
		return "no stock known"
	}
	var usable int64
	objection := ""
	for i := range s.offers {
		f := &s.offers[i]
		usable += a.usable(f)
		if objection == "" && f.at.ATP > 0 {
			objection = f.why
		}
	}
	switch {
	case s.resource.State == resourceRefused:
		return "taken by others"
	case usable > 0:
		return whyShort
	case objection != "":
		return objection
	}
	return "nothing to promise"
}

// keptBy names the rules that kept this order from stock it could have had, each
// once.
func (a *attempt) keptBy() []string {
	var rules []string
	for i := range a.skus {
		for j := range a.skus[i].offers {
			f := &a.skus[i].offers[j]
			if f.at.ATP <= 0 || !strings.HasPrefix(f.why, rulePrefix) {
				continue
			}
			known := false
			for _, r := range rules {
				known = known || r == f.why
			}
			if !known {
				rules = append(rules, f.why)
			}
		}
	}
	return rules
}
