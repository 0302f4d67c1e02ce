package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/engine/verify"
)

// A cluster is well while it runs, and what it leaves after kill -9 as well; a
// bit that turns is named.
func TestVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := process.StartDev(t, "--data", dir, "--nodes", "3")
	d.Wait(firstDecision)
	process.Until(t, process.Patience, "all nodes ready and well", func() bool {
		code, out := d.Client("verify")
		return code == exitDone && strings.Contains(out, "n1, n2, n3") && strings.Contains(out, "nothing is off")
	})
	if code, out, errs := run(t, "verify", dir); code != exitFailed || !strings.Contains(errs, "in use by another process") {
		t.Errorf("verify of a directory in use = %d: %s%s", code, out, errs)
	}
	d.Kill()
	if r := verified(t, dir); len(r.Replicas) != 3 || r.Replicas[0].Records == 0 {
		t.Errorf("after kill -9: %+v; want three logs to be read", r.Replicas)
	}
	d = process.StartDev(t, "--data", dir, "--nodes", "3")
	d.Wait(firstDecision)
	if code := d.Interrupt(); code != exitDone {
		t.Fatalf("Ctrl-C: exit code %d:\n%s", code, d.Output())
	}
	for _, a := range verified(t, dir).Replicas {
		if a.Records == 0 || a.Rows == 0 || a.Applied == 0 {
			t.Errorf("replica %+v; want records and rows to be read", a)
		}
	}
	turnBit(t, filepath.Join(dir, "n2", "group-0", "log"))
	code, out, errs := run(t, "verify", dir)
	if code != exitFound || !strings.Contains(out, "n2        0  record  log record ") || !strings.Contains(out, "\nrecord: Entries can't be read any more.") || errs != "anabranch: 1 finding\n" {
		t.Errorf("verify with a bad record = %d:\n%s%s", code, out, errs)
	}
}

// verified is what is said of a directory in which nothing is off.
func verified(t *testing.T, dir string) (r verify.Report) {
	t.Helper()
	code, out, errs := run(t, "verify", dir, "-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitDone || len(r.Findings) != 0 {
		t.Fatalf("verify = %d, %v: %s%s", code, err, out, errs)
	}
	return r
}

// turnBit turns a bit of a log's second half.
func turnBit(t *testing.T, log string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(log, "*.wal"))
	if err != nil || len(list) != 1 {
		t.Fatalf("log files %v, %v", list, err)
	}
	b, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	end := len(strings.TrimRight(string(b), "\x00"))
	at := end / 2
	for b[at] < 'a' || b[at] > 'z' { // a record's text
		at++
	}
	b[at] ^= 4
	if err := os.WriteFile(list[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	foreign := t.TempDir()
	writeTemp(t, foreign, "holiday.jpg", "x")
	for _, tt := range []struct{ arg, want string }{
		{foreign, "holds neither node.json nor a group"},
		{filepath.Join(foreign, "holiday.jpg"), "it is a file"},
		{"./nowhere", "no such file"},
		{"127.0.0.1:1", "no node listens there"},
	} {
		if code, _, errs := run(t, "verify", tt.arg); code != exitFailed || !strings.Contains(errs, tt.want) {
			t.Errorf("verify %s = %d: %s\nwant %d and %q", tt.arg, code, errs, exitFailed, tt.want)
		}
	}
}

// told is a node that tells what a test says.
type told struct {
	status string
	shards string
}

func (n *told) serve(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := n.status
		if r.URL.Path == "/v1/shards" {
			answer = n.shards
		}
		if _, err := io.WriteString(w, answer); err != nil && !errors.Is(err, http.ErrAbortHandler) {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Digests that busy nodes have taken at one entry are compared, whatever they
// are at now.
func TestVerifyTakenDigests(t *testing.T) {
	status := `{"node":"%s","cluster":"shop","groups":[{"group":0,"role":"%s","leader":"n1","digests":[{"index":5,"digest":"aa"},{"index":%s]}],"nodes":[
{"node":"n1","http":"x","ready":true,"groups":[{"group":0,"role":"leader"}]},{"node":"n2","http":"%s","ready":true,"groups":[{"group":0,"role":"follower"}]}]}`
	for _, tt := range []struct {
		name, n1, n2 string
		code         int
		want         string
	}{
		{"equal", `9,"digest":"bb"}`, `9,"digest":"bb"}`, exitDone, "    0            9  n1, n2\n\nnothing is off\n"},
		{"one is ahead", `9,"digest":"bb"}`, `9,"digest":"bb"},{"index":14,"digest":"cc"}`, exitDone, "    0            9  n1, n2\n"},
		{"different", `9,"digest":"bb"}`, `9,"digest":"bc"}`, exitFound, "its digest at entry 9 differs from that of node n1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n2 := told{status: fmt.Sprintf(status, "n2", "follower", tt.n2, "")}
			n1 := told{status: fmt.Sprintf(status, "n1", "leader", tt.n1, n2.serve(t))}
			if code, out, errs := run(t, "verify", n1.serve(t)); code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("verify = %d: %s%s\nwant %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

// Whatever is off in a running cluster is named, with its node.
func TestVerifyCluster(t *testing.T) {
	n2 := told{shards: `{"shards":[{"shard":0,"group":0,"index":9,"digest":"aa"},{"shard":1,"group":0,"index":9,"digest":"cc"}]}`,
		status: `{"node":"n2","cluster":"shop","version":"v1","durability":"memory","clock":"wall","fingerprint":"ffff","feature_level":1,"groups":[{"group":0}]}`}
	address := n2.serve(t)
	group := `{"group":0,"replica":"%s","leader":"n1","role":"%s","commit":20000,"applied":%d,"delivery":"sending","damaged":"%s"}`
	n1 := told{shards: `{"shards":[{"shard":0,"group":0,"index":9,"digest":"aa"},{"shard":1,"group":0,"index":9,"digest":"bb"}]}`,
		status: fmt.Sprintf(`{"node":"n1","cluster":"shop","version":"v1","durability":"disk","clock":"wall","fingerprint":"ffff","feature_level":1,"groups":[{"group":0}],"nodes":[
{"node":"n1","http":"x","ready":true,"groups":[`+group+`]},
{"node":"n2","http":"%s","ready":false,"not_ready":"catching up","clock_ahead_us":2000000,"groups":[`+group+`]},
{"node":"n3","http":"127.0.0.1:1","unreachable":"refused","groups":[]}]}`,
			"n1.1", "leader", 20000, "", address, "n2.1", "follower", 9, "bad record")}
	code, out, _ := run(t, "verify", n1.serve(t), "-o", "json")
	var r clusterReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFound {
		t.Fatalf("verify = %d, %v: %s", code, err, out)
	}
	for _, want := range []verify.Finding{
		{Node: "n2", Part: partNode, Text: "is not ready: catching up"},
		{Node: "n2", Part: partClock, Text: "is 2s ahead of node n1"},
		{Node: "n2", Part: partSettings, Text: "is memory, on node n1 disk"},
		{Node: "n2", Part: partReplica, Text: "is damaged: bad record"},
		{Node: "n2", Part: partLag, Text: "is 19991 entries behind"},
		{Node: "n2", Part: verify.Replicas, Text: "its digest of shard 1 at entry 9 differs from that of node n1"},
		{Node: "n3", Part: partNode, Text: "does not answer node n1: refused"},
		{Node: "n3", Part: partNode, Text: "its API can't be asked: 127.0.0.1:1: no node listens there; start one with 'anabranch dev' or name another with --addr"},
	} {
		i := slices.IndexFunc(r.Findings, func(f verify.Finding) bool {
			return f.Node == want.Node && f.Part == want.Part && f.Text == want.Text && f.Meaning != ""
		})
		if i < 0 {
			t.Errorf("finding %s %s %q is missing", want.Node, want.Part, want.Text)
			continue
		}
		r.Findings = slices.Delete(r.Findings, i, i+1)
	}
	if len(r.Findings) > 0 {
		t.Errorf("more findings: %+v", r.Findings)
	}
}
