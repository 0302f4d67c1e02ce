package event

import "anabranch.dev/state"

// Fact is one thing that is known of a person, as the identifier that brought it
// keeps it: what he did, what happened to his goods, what was done for him. Its
// Kind is the type of the event from outside that says so, or one of the derived
// kinds below. Fields are set as far as they have a meaning for the kind.
type Fact struct {
	Kind     string        `v:"kind"`
	Time     state.Time    `v:"time"`  // event time
	Until    state.Time    `v:"until"` // of what lasted: when it ended
	Source   string        `v:"source"`
	ID       string        `v:"id"` // of the outside event, unique in Source
	Channel  string        `v:"channel"`
	Location string        `v:"location"`
	Zone     string        `v:"zone"`
	District string        `v:"district"`
	SKU      string        `v:"sku"`
	Brand    string        `v:"brand"`
	Category string        `v:"category"`
	Quantity int64         `v:"quantity"`
	Amount   state.Decimal `v:"amount"` // of all of Quantity
	Currency string        `v:"currency"`
	Staff    string        `v:"staff"`
	Order    string        `v:"order"`
	Receipt  string        `v:"receipt"`
	Case     string        `v:"case"`
	Campaign string        `v:"campaign"`
	Medium   string        `v:"medium"`
	Query    string        `v:"query"`
	Reason   string        `v:"reason"`
	Score    int64         `v:"score"`
}

// Kinds of facts that are derived, not told.
const (
	FactVisitStarted    = "visit.started"    // Location
	FactVisitEnded      = "visit.ended"      // Location, Time to Until
	FactZoneEntered     = "zone.entered"     // Location, Zone
	FactZoneLeft        = "zone.left"        // Location, Zone, Time to Until
	FactDistrictEntered = "district.entered" // District
	FactDistrictLeft    = "district.left"    // District, Time to Until
	FactTriedOn         = "tried_on"         // Location, Zone, SKU
	FactSessionEnded    = "session.ended"    // Channel, Time to Until, Quantity of clicks
)

// IdentifierKey is the key of an identifier: its type, a colon, its pseudonym.
func IdentifierKey(i Identifier) string { return i.Type + ":" + i.Value }
