package assembly

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// GCPercent is how eagerly garbage is collected. The live heap is small
	// beside the rows it decides from, and each collection costs the decision
	// path: 400 trades memory, within the limit, for fewer of them.
	GCPercent = 400
	// processorsBeside is how many more goroutines run at a time than there are
	// processors. Writing tables, compacting and collecting hold one for
	// milliseconds each; with as many slots as processors a decision waits in
	// Go's queue until they are done, with more it shares by the system's clock.
	processorsBeside = 2
)

// Tune sets what the Go runtime tries to stay below, in bytes, how eagerly it
// collects and how much runs at a time. GOMEMLIMIT, GOGC and GOMAXPROCS in the
// environment win.
func Tune(memory int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GCPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + processorsBeside)
	}
}
