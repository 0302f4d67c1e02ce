package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/node"
)

func TestDecideAccountsForEveryOrder(t *testing.T) {
	var progress bytes.Buffer
	r, err := Decide(t.Context(), DecideConfig{Durability: node.DurabilityMemory, Rate: 400, Duration: time.Second,
		Warmup: 250 * time.Millisecond, Workload: Workload{SKUs: 10, Locations: 3, Units: 1000}}, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 400 || r.Checks.Failed() {
		t.Errorf("events %d, checks %+v; want 400 and none failed", r.Events, r.Checks)
	}
	if l := r.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
		t.Errorf("latency = %+v; want it measured and in order", l)
	}
	if r.Fdatasync.P50 <= 0 || r.CPUSeconds <= 0 || r.RSSMiB <= 0 || r.Machine.Cores == 0 {
		t.Errorf("report = %+v; want disk, processor, memory and machine", r)
	}
	if !strings.Contains(progress.String(), "offering 400 orders/s") {
		t.Errorf("progress = %q", progress.String())
	}
}

func TestDecideRefuses(t *testing.T) {
	_, err := Decide(t.Context(), DecideConfig{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "rate is 0") || !strings.Contains(err.Error(), "duration is 0s") {
		t.Errorf("Decide() = %v; want both faults named", err)
	}
}

// TestChecksCanFail makes sure that a lost and a doubled decision are counted.
func TestChecksCanFail(t *testing.T) {
	r := &decideRun{seen: make([]uint8, 3), due: make([]time.Time, 3), allDone: make(chan struct{})}
	for _, key := range []string{"o0", "o1", "o1", "o9", "elsewhere"} {
		r.deliver(&connectors.OutRecord{Topic: "retail.allocations", Key: []byte(key)})
	}
	var c Checks
	r.count(&c)
	if c.Lost != 1 || c.Doubled != 1 || !c.Failed() {
		t.Errorf("checks = %+v; want one lost, one doubled", c)
	}
}
