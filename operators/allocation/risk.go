package allocation

import (
	"slices"

	"anabranch.dev/operators/acceptance"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// findBelow notes whether any place is known to reject more than usual. Mostly
// none is, and then no place needs to be looked up.
func (a *attempt) findBelow() {
	if a.note == nil {
		a.note = func(string, *event.Acceptance) bool {
			a.below = true
			return false
		}
	}
	a.below = false
	a.o.Acceptances.Scan(a.c, "", a.note)
}

// accept adds to a place's parcel what its rejections are expected to cost, and
// takes out a place that rejects too much.
func (a *attempt) accept(p *placeInfo) {
	p.risk = 0
	if !a.below {
		return
	}
	at := a.o.Acceptances.Get(a.c, p.location)
	if at == nil {
		return
	}
	pol := a.policy.Allocation
	p.risk = pol.RejectionCost * (acceptance.Usual - at.Probability) / state.One
	if at.Probability < pol.AcceptanceFloor && (p.why == "" || p.why == whyCapacity) {
		p.why = whyAcceptance
	}
}

// served tells the places that the parts have left from.
func (u *undo) served() {
	var told []string
	for i := range u.claims {
		for _, p := range u.claims[i].parts {
			if !slices.Contains(told, p.Location) {
				told = append(told, p.Location)
				u.o.PlaceServed.Emit(u.c, p.Location, &event.PlaceServed{Location: p.Location})
			}
		}
	}
}
