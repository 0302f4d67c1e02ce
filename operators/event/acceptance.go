package event

import "anabranch.dev/state"

// PlaceServed ("place.served", order → location) says how a place has dealt with
// what was allocated to it: it sent goods, or could not.
type PlaceServed struct {
	Location string `v:"location"`
	Rejected bool   `v:"rejected"`
}

// Acceptance is how likely a place serves what is allocated to it, as broadcast.
// Places that never rejected anything have none.
type Acceptance struct {
	Location    string        `v:"location"`
	Probability state.Decimal `v:"probability"`
}
