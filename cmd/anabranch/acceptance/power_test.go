package acceptance

import (
	"os"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// Two of three machines lose their power at once while orders are decided: what
// was not synced is gone, they come back, and nothing that was acknowledged is
// missing or done twice. It runs with ANABRANCH_FULL=1: the program is built anew
// for it.
func TestPowerLossOfTwo(t *testing.T) {
	if os.Getenv("ANABRANCH_FULL") != "1" {
		t.Skip("builds a program of its own: ANABRANCH_FULL=1")
	}
	faulty := process.NewBuild(t, "faults")
	r := newTrial(t, 200, func(int) string { return snapshots })
	_, others := r.followers()
	for _, i := range others {
		r.kill(i)
		r.nodes[i] = faulty.StartFaulty(t, r.data(i), r.configs[i])
		r.caughtUp(i)
	}
	r.decide(500)
	replicas := map[int]string{}
	for _, i := range others {
		replicas[i] = r.replica(i)
		if err := os.WriteFile(r.data(i)+".orders", []byte(`{"cut_power": "all is lost that was not synced"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range others {
		select {
		case <-r.nodes[i].Done():
		case <-time.After(process.Patience):
			t.Fatalf("n%d goes on without power", i+1)
		}
	}
	for _, i := range others {
		r.nodes[i] = faulty.StartFaulty(t, r.data(i), r.configs[i])
	}
	for _, i := range others {
		r.caughtUp(i)
		if now := r.replica(i); now != replicas[i] {
			t.Errorf("n%d has replica %s in place of %s; want the same", i+1, now, replicas[i])
		}
	}
	r.decide(200)
	r.finish()
}
