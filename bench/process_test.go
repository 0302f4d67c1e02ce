package bench

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// build makes the program that nodes and broker of a run are processes of.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: runs a cluster of processes; run without -short")
	}
	binary := filepath.Join(t.TempDir(), "anabranch")
	if out, err := exec.Command("go", "build", "-o", binary, "anabranch.dev/cmd/anabranch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

func TestFailoverAndRestartOfProcesses(t *testing.T) {
	binary := build(t)
	t.Run("kill", func(t *testing.T) {
		cfg := FailoverConfig{KafkaConfig: KafkaConfig{Config: small(3)}, Times: 1, Binary: binary}
		cfg.Rate, cfg.tamper = 200, wrong
		var progress bytes.Buffer
		r, err := Failover(t.Context(), cfg, &progress)
		if err != nil {
			t.Fatalf("%v\n%s", err, progress.String())
		}
		if r.Checks.Lost != 1 || r.Checks.Doubled != 1 || r.Checks.Oversold != 0 {
			t.Errorf("checks = %+v; want the one lost and the one doubled found", r.Checks)
		}
		f := r.Failover
		if len(f.Visible.Gaps) != 1 || f.Visible.Max <= 0 || f.Steady <= 0 || len(f.CaughtUp.Gaps) != 1 || f.Elections < 1 {
			t.Errorf("failover = %+v; want one gap, the victim back, and an election", *f)
		}
	})
	t.Run("restart", func(t *testing.T) {
		cfg := RestartConfig{KafkaConfig: KafkaConfig{Config: small(1)}, StateGiB: 0.001, Binary: binary}
		r, err := Restart(t.Context(), cfg, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Restart; s.StateGiB < 0.001 || s.Orderly <= 0 || s.Killed <= 0 || s.Orders == 0 || r.Checks.Failed() {
			t.Errorf("restart = %+v, checks %+v; want both measured and nothing wrong", *s, r.Checks)
		}
	})
}

func TestTransfersLoseNothing(t *testing.T) {
	cfg := FailoverConfig{KafkaConfig: KafkaConfig{Config: small(3)}, Times: 2, Planned: true}
	cfg.Rate = 200
	r, err := Failover(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	f := r.Failover
	if r.Checks.Failed() || f.Elections < 2 || len(f.Visible.Gaps) != 2 || len(f.Replicated.Gaps) != 2 {
		t.Errorf("failover = %+v, checks %+v; want at least two elections, both gaps of each, nothing wrong", *f, r.Checks)
	}
	if time.Duration(f.Replicated.Max)*time.Microsecond > 30*time.Second {
		t.Errorf("replicated = %+v; want it in seconds", *f.Replicated)
	}
}
