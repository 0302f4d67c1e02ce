// Package inventory keeps live stock for one SKU: what is on hand, reserved,
// withheld and on its way at every location and pool, and what of it can be
// promised.
//
// It is a ledger: every event moves units between accounts and the legs sum to
// zero, so stock can be lost or found, never invented. Reserved and withheld
// units are marks on what is on hand, not accounts: a hold moves nothing, it
// only says what may not be promised again. It decides nothing about orders;
// they ask it through the hold protocol of package event.
//
// Reality wins, visibly: a sale that the shelf could not have is booked as
// found, with an alert; a walk-in who buys a reserved unit takes it from the
// newest reservation, whose order is told of the shortfall.
//
// Counts and movements mean what they say as of their event time, in whatever
// order they arrive, as long as they arrive within [MovementsKept]. Only whether
// the shelf could have had what was taken is judged when it is heard of, and
// corrected when a receipt or count from before arrives later.
//
// Confidence is one minus a doubt: a discrepancy or a rejection adds
// [DoubtStep] to the doubt, up to one; a count takes all of it away, and a
// late receipt that explains a discrepancy takes its step back.
//
// Start at [Operator]; a call's working copy of the rows is the sheet in
// sheet.go, movements are booked in ledger.go, counts in count.go, holds in
// holds.go.
package inventory

//go:generate go run anabranch.dev/internal/visitgen .
