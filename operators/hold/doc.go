// Package hold is the claim book of a scarce resource: who has asked for how
// much of it, in which order, who has got it, and who waits.
//
// The resource (an SKU's stock, a location's capacity for one day) consists of
// places with a limit each. A claim names parts at some places and gets all of
// them or none. In round 1 it is granted or refused at once; from round 2 it
// queues, first in, first out, behind undecided holds, and is refused only when
// decided holds alone make it impossible. Only its order ever gives a grant
// back. The same order, attempt and round never get two grants.
//
// Guarantees: what is granted at a place never exceeds its limit at that
// moment; a queued claim is passed only by claims that share no place with it;
// the work of a call does not depend on how many other claims there are, except
// that one call may answer up to [MaxAnswers] waiting ones.
//
// The package knows no stock: the operator that embeds a [Book] keeps the
// [Marks] in its own rows and says through [Resource] what a place's limit is.
//
// Start at [Book.Ask]; waiting is in queue.go, what ends a hold in release.go.
package hold

//go:generate go run anabranch.dev/internal/visitgen .
