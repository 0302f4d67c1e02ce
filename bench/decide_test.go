package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"anabranch.dev/engine/node"
)

// small is a run of a second or so.
func small(nodes int) Config {
	return Config{Nodes: nodes, Durability: node.DurabilityMemory, Rate: 400, Duration: time.Second, Warmup: 250 * time.Millisecond,
		Workload: Workload{SKUs: 10, Locations: 3, Units: 1000}, patience: 10 * time.Second}
}

// wrong loses one decision and doubles another on their way to the checks.
func wrong(order int) int {
	switch order {
	case 120:
		return 0
	case 130:
		return 2
	}
	return 1
}

func TestDecideAccountsForEveryOrder(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		var progress bytes.Buffer
		r, err := Decide(t.Context(), small(nodes), &progress)
		if err != nil {
			t.Fatalf("%d nodes: %v", nodes, err)
		}
		if r.Events != 400 || r.Checks.Failed() || r.Outcomes.Allocated != 500 {
			t.Errorf("%d nodes: events %d, checks %+v, outcomes %+v; want 400, none failed, 500 allocated", nodes, r.Events, r.Checks, *r.Outcomes)
		}
		if l := r.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max || r.Stalls.Longest > l.Max {
			t.Errorf("%d nodes: latency = %+v, stalls %+v; want it measured and in order", nodes, *l, *r.Stalls)
		}
		if r.Fdatasync.P50 <= 0 || r.CPUSeconds <= 0 || r.RSSMiB <= 0 || r.Machine.Cores == 0 || r.GeneratorCPUSeconds <= 0 {
			t.Errorf("%d nodes: report = %+v; want disk, processor, memory and machine", nodes, r)
		}
		if b := r.Batch; b.Entries == 0 || b.EventsPerEntry <= 0 || b.EventsPerEntry*float64(b.Entries) < 350 {
			t.Errorf("%d nodes: batch = %+v; want about 400 events in its entries", nodes, *b)
		}
		if !strings.Contains(progress.String(), "offering 400 orders/s") {
			t.Errorf("progress = %q", progress.String())
		}
	}
}

func TestDecideRefuses(t *testing.T) {
	_, err := Decide(t.Context(), Config{Nodes: 2, Durability: "hope"}, &bytes.Buffer{})
	for _, want := range []string{"rate is 0", "duration is 0s", "nodes is 2", `durability is "hope"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decide() = %v; want %q in it", err, want)
		}
	}
}

// TestChecksCanFail makes sure that a lost and a doubled decision are found.
func TestChecksCanFail(t *testing.T) {
	cfg := small(1)
	cfg.tamper, cfg.patience = wrong, 500*time.Millisecond
	r, err := Decide(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Checks.Lost != 1 || r.Checks.Doubled != 1 || !r.Checks.Failed() {
		t.Errorf("checks = %+v; want one lost, one doubled", r.Checks)
	}
}

// TestHotSKUSellsOut makes sure that what is there is promised, and no more.
func TestHotSKUSellsOut(t *testing.T) {
	cfg := small(1)
	cfg.Workload.Locations = 3
	r, err := HotSKU(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	o := r.Outcomes
	if o.Allocated != 300 || o.Backordered+o.Failed != 200 || r.Checks.Failed() || o.HoldsPerSecond <= 0 {
		t.Errorf("outcomes = %+v, checks %+v; want 300 allocated and 200 not", *o, r.Checks)
	}
}
