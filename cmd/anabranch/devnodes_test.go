package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// Three nodes in one process: any of them takes orders, leadership can be moved
// while the shop trades, and all is there after kill -9.
func TestDevThree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	file := writeTemp(t, t.TempDir(), "order.json", orderW1)
	d := process.StartDev(t, "--nodes", "3", "--data", dir)
	third := d.Wait(`node n3  http://(\S+)/`)
	d.Wait(firstDecision)
	code, placed := d.Client("order", "place", "-f", file, "-o", "json", "--addr", third)
	if code != exitDone {
		t.Fatalf("order place at n3 = %d: %s", code, placed)
	}
	d.Wait(`(?s)(?:A-\d+.*){5}`)
	code, out := d.Client("cluster", "transfer", "0")
	moved := regexp.MustCompile(`group 0: (n\d) leads, before it was (n\d); handed over in ([0-9.]+) ms`).FindStringSubmatch(out)
	if code != exitDone || moved == nil || moved[1] == moved[2] {
		t.Fatalf("transfer = %d: %s", code, out)
	}
	t.Log(out)
	seen := strings.Count(d.Output(), "A-")
	process.Until(t, process.Patience, "decisions under the new leader", func() bool { return strings.Count(d.Output(), "A-") > seen+3 })
	d.Kill()
	d = process.StartDev(t, "--nodes", "3", "--data", dir)
	d.Wait(firstDecision)
	if code, again := d.Client("order", "place", "-f", file, "-o", "json"); code != exitDone || again != placed {
		t.Errorf("the same order again = %d: %s\nwant %s", code, again, placed)
	}
	if rss := d.RSSMiB(); rss >= 500 {
		t.Errorf("RSS = %d MiB; want below 500", rss)
	} else {
		t.Logf("RSS %d MiB", rss)
	}
	if code := d.Interrupt(); code != exitDone || strings.Contains(d.Errors(), "error: ") {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.Output())
	}
	one := process.Start(t, "dev", "--data", dir, "--http", "127.0.0.1:0")
	if code := one.End(); code != exitFailed || !oneLine(one.Output(), "holds a cluster of 3 nodes, not of 1: start it with --nodes 3") {
		t.Errorf("one node on the directory of three = %d: %s", code, one.Output())
	}
}

// idleFor is long enough for everything that comes every few seconds to come.
const idleFor = 6 * time.Second

// Three nodes that have nothing to do use hardly any processor time.
func TestDevIdle(t *testing.T) {
	d := process.StartDev(t, "--nodes", "3", "--no-sample")
	process.Until(t, process.Patience, "ready", func() bool { return d.Status().Ready })
	before, began := d.CPU(), time.Now()
	<-time.After(idleFor) // the measurement, not a wait for something
	used, took := d.CPU()-before, time.Since(began)
	share := 100 * used.Seconds() / took.Seconds()
	t.Logf("idle: %v of processor time in %v, %.1f %% of one core", used, took.Round(time.Millisecond), share)
	if share >= 10 {
		t.Errorf("idle: %.1f %% of one core; want below 10", share)
	}
}
