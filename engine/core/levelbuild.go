//go:build !level2

package core

// Level is the highest feature level that this build knows.
const Level = 1
