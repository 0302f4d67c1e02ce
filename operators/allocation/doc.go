// Package allocation decides where each order is served from.
//
// The order owns the saga. It asks every SKU of its lines what could be
// promised (asking), asks the day's capacity of places that are limited
// (measuring), chooses the places, claims the goods and parcels there (holding)
// and writes its decision once all have answered (decided). A refused claim
// starts the next round with what the refusal said; from the second round on
// claims queue, asked one after the other in one global order, so that of two
// orders racing for the same last units one wins and none waits for ever. After
// three rounds the order takes what it got. A rejection, a shortfall or new
// supply starts the next attempt, about these units only.
//
// Every call does work that does not depend on the size of the order, except
// that choosing, deciding and events about the whole order walk its lines once.
// What arrives while a saga runs, or before its order, is parked and applied
// right after the decision. Answers of an earlier attempt or round are ignored:
// their holds were released when the order moved on, on the same lane.
//
// An attempt goes by one version of the policy from its choice to its decision,
// which names it: see version.go.
//
// It keeps no stock: operators/inventory and operators/capacity do, and they
// never grant what is not there. Start at [Operator] and [Operator.Declare];
// the saga is in saga.go and what it knows in attempt.go, the choice in
// choice.go, what a decision writes in decide.go and reserve.go, what happens to
// an order afterwards in after.go, again.go and returns.go.
package allocation

//go:generate go run anabranch.dev/internal/visitgen .
