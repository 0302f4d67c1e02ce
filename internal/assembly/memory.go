package assembly

import (
	"os"
	"runtime/debug"
)

// GCPercent trades memory for less collecting: state is many small rows that
// live long, and marking them is work that no decision waits for.
const GCPercent = 400

// LimitMemory sets what the Go runtime tries to stay below, and how eagerly it
// collects. What the environment sets (GOMEMLIMIT, GOGC) stays as it is.
func LimitMemory(limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GCPercent)
	}
}
