// Package identity fits models of package matching to descriptions of persons of
// whom nobody says which are the same, and judges what a model finds.
//
// How often two persons agree on a field by chance is counted on random pairs; how
// often one person's descriptions agree is found by expectation maximisation over
// pairs that share a blocking key (Winkler, "Using the EM algorithm for weight
// computation in the Fellegi-Sunter model", 2000). Floats are allowed here: what
// leaves is a model of integers.
//
// Start at [Fit]; blocks are in block.go, the judgement is in judge.go.
package identity
