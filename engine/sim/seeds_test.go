package sim_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"anabranch.dev/engine/sim"
)

// Whichever worker is first to find one, the failing seed with the lowest number
// is the one reported; no seed before it is left out.
func TestSeedsReportTheFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	broken := errors.New("seed 7")
	late := make(chan struct{})
	var before atomic.Int64
	total, err := sim.Seeds(t.Context(), 1, 100, func(seed uint64) (*sim.Report, error) {
		switch {
		case seed == 7: // it takes longer than the one after it
			select {
			case <-late:
			case <-t.Context().Done():
			}
			return nil, broken
		case seed > 7:
			close(late)
			return nil, errors.New("a later seed")
		}
		before.Add(1)
		return &sim.Report{Entries: 1}, nil
	}, nil)
	if !errors.Is(err, broken) || before.Load() != 6 || total.Entries != 6 {
		t.Errorf("Seeds = %+v, %v after %d seeds; want seed 7 after 6", total, err, before.Load())
	}
}
