//go:build level2

package core

// Level is the highest feature level that this build knows: one more than is
// shipped, to show how a cluster is brought from one to the next.
const Level = 2
