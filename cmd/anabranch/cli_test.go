package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run executes a command line in this process.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// Every command has a help text with an example whose flags and arguments it
// accepts.
func TestExamplesWork(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) {
			if cmd.Short == "" || cmd.Example == "" {
				t.Errorf("short = %q, example = %q; want both", cmd.Short, cmd.Example)
			}
			for line := range strings.Lines(cmd.Example) {
				checkExample(t, line)
			}
		})
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(newRoot())
}

// checkExample parses the part of a shell line that calls us.
func checkExample(t *testing.T, line string) {
	t.Helper()
	_, call, ours := strings.Cut(line, "anabranch ")
	if !ours {
		return
	}
	var args []string
	for _, word := range strings.Fields(call) {
		if word == "#" || word == "&" || word == ">" || word == "|" {
			break
		}
		args = append(args, word)
	}
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%q: %v", line, err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	good := writeTemp(t, dir, "good.yaml", "name: allocation\nallocation: {order_timeout_us: 30000000, reservation_ttl_us: 86400000000, returns_to: on_hand}\n")
	bad := writeTemp(t, dir, "bad.yaml", "name: allocation\nallocation: {order_timeout_us: 0, reservation_ttl_us: 86400000000, returns_to: bin}\n")
	broken := writeTemp(t, dir, "broken.json", "{\n\"order\":\n}")
	nobody := "127.0.0.1:1"
	tests := []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"version"}, exitDone, "feature level", ""},
		{[]string{"get"}, exitDone, "stock", ""},
		{[]string{"topology", "check"}, exitDone, "good", ""},
		{[]string{"topology", "show", "--format", "mermaid"}, exitDone, "flowchart LR", ""},
		{[]string{"topology", "show", "--format", "dot"}, exitUsage, "", `"dot" is none of`},
		{[]string{"policy", "check", "-f", good}, exitDone, "good", ""},
		{[]string{"policy", "check", "-f", bad}, exitFound, "order_timeout_us", "2 faults"},
		{[]string{"policy", "check"}, exitUsage, "", "-f is missing"},
		{[]string{"policy", "check", "-f", filepath.Join(dir, "none")}, exitFailed, "", "no such file"},
		{[]string{"policy", "publish", "-f", bad, "--addr", nobody}, exitFailed, "", "returns_to"},
		{[]string{"get", "stock", "x", "--addr", nobody}, exitFailed, "", "no node listens there"},
		{[]string{"order", "place", "-f", broken}, exitFailed, "", "broken.json:3: not JSON"},
		{[]string{"get", "stok"}, exitUsage, "", "did you mean stock"},
		{[]string{"get", "stock"}, exitUsage, "", "anabranch get stock --help"},
		{[]string{"version", "-o", "xml"}, exitUsage, "", "none of table, json, yaml"},
		{[]string{"version", "--bogus"}, exitUsage, "", "unknown flag"},
		{[]string{"dev", "--clock", "sun"}, exitUsage, "", "neither wall nor replay"},
		{[]string{"dev", "--delivery", "twice"}, exitUsage, "", "neither exactly_once nor at_least_once"},
		{[]string{"dev", "--on-gap", "weep"}, exitUsage, "", "neither stop nor skip"},
		{[]string{"dev", "--http", "here"}, exitUsage, "", "HOST:PORT"},
		{[]string{"dev", "--nodes", "2"}, exitUsage, "", "neither 1, 3 nor 5"},
		{[]string{"dev", "--groups", "0"}, exitUsage, "", "not from 1 to 64"},
		{[]string{"replay", "netflix", "x"}, exitUsage, "", "data set"},
		{[]string{"replay", "events", "x", "--rate", "fast"}, exitUsage, "", "--rate"},
		{[]string{"bench", "decide", "--nodes", "2"}, exitUsage, "", "nodes is 2"},
		{[]string{"cluster", "skip"}, exitUsage, "", "--entry is missing"},
	}
	for _, tt := range tests {
		code, stdout, stderr := run(t, tt.args...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("anabranch %s = %d\nstdout: %s\nstderr: %s\nwant %d with %q, %q", strings.Join(tt.args, " "), code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

func writeTemp(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag can be set in the environment; the command line wins.
func TestEnvironment(t *testing.T) {
	t.Setenv("ANABRANCH_OUTPUT", "json")
	if _, stdout, _ := run(t, "version"); !json.Valid([]byte(stdout)) {
		t.Errorf("version with ANABRANCH_OUTPUT=json = %s", stdout)
	}
	if _, stdout, _ := run(t, "version", "-o", "table"); json.Valid([]byte(stdout)) {
		t.Errorf("version -o table with ANABRANCH_OUTPUT=json = %s; want the flag to win", stdout)
	}
	t.Setenv("ANABRANCH_OUTPUT", "xml")
	t.Setenv("ANABRANCH_CONSISTENCY", "stale")
	if code, _, stderr := run(t, "get", "stock", "x"); code != exitUsage || !strings.Contains(stderr, "ANABRANCH_OUTPUT=xml") {
		t.Errorf("bad environment = %d: %s", code, stderr)
	}
	t.Setenv("ANABRANCH_OUTPUT", "table")
	var asked string
	server := answering(t, 200, `{"places":[]}`, func(r *http.Request) { asked = r.URL.String() })
	t.Setenv("ANABRANCH_ADDR", server)
	if code, _, stderr := run(t, "get", "stock", "a/b"); code != exitDone || asked != "/v1/stock/a%2Fb?consistency=stale" {
		t.Errorf("get stock = %d: %s; asked %s", code, stderr, asked)
	}
}

// answering serves one answer to every request.
func answering(t *testing.T, status int, body string, see func(*http.Request)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if see != nil {
			see(r)
		}
		w.WriteHeader(status)
		if _, err := w.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const stockJSON = `{"sku":"glasses-7","places":[{"location":"sanlitun","pool":"store","on_hand":3,"reserved":1,"withheld":0,"in_transit":0,` +
	`"safety_stock":1,"atp":1,"confidence":"1.00","distance_m":1234}],"inbound":[]}`

func TestFormats(t *testing.T) {
	server := answering(t, 200, stockJSON, nil)
	_, asTable, _ := run(t, "get", "stock", "glasses-7", "--addr", server)
	if want := "LOCATION  POOL   ON HAND  RESERVED  WITHHELD  IN TRANSIT  SAFETY  ATP  CONFIDENCE  DISTANCE\n" +
		"sanlitun  store        3         1         0           0       1    1        1.00    1.2 km\n"; asTable != want {
		t.Errorf("table =\n%swant\n%s", asTable, want)
	}
	_, asJSON, _ := run(t, "get", "stock", "glasses-7", "--addr", server, "-o", "json")
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(asJSON)); err != nil || compact.String() != stockJSON {
		t.Errorf("json = %s; want every field as it came", asJSON)
	}
	_, asYAML, _ := run(t, "get", "stock", "glasses-7", "--addr", server, "-o", "yaml")
	for _, want := range []string{"sku: glasses-7\n", "on_hand: 3\n", `confidence: "1.00"`} {
		if !strings.Contains(asYAML, want) {
			t.Errorf("yaml lacks %q:\n%s", want, asYAML)
		}
	}
}

func TestProblemsAreShown(t *testing.T) {
	server := answering(t, 404, `{"title":"Not Found","status":404,"detail":"order 7: not found","code":"not_found"}`, nil)
	if code, _, stderr := run(t, "get", "order", "7", "--addr", server); code != exitFailed || !strings.Contains(stderr, "order 7: not found (404 not_found)") {
		t.Errorf("get order = %d: %s", code, stderr)
	}
	other := answering(t, 200, `<html>`, nil)
	if code, _, stderr := run(t, "get", "order", "7", "--addr", other); code != exitFailed || !strings.Contains(stderr, "not understood") {
		t.Errorf("get order from another server = %d: %s", code, stderr)
	}
}

// The same file gives the same idempotency key; an event's id is its key.
func TestOrderKey(t *testing.T) {
	var keys []string
	server := answering(t, 200, `{"order":"W-1","decision":{"id":"d-1"},"lines":[]}`, func(r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
	})
	dir := t.TempDir()
	plain := writeTemp(t, dir, "plain.json", `{"order":"W-1"}`)
	named := writeTemp(t, dir, "named.json", `{"order":"W-1","id":"o-1"}`)
	for _, args := range [][]string{{"-f", plain}, {"-f", plain}, {"-f", named}, {"-f", plain, "--key", "mine"}} {
		if code, _, stderr := run(t, append([]string{"order", "place", "--addr", server}, args...)...); code != exitDone {
			t.Fatalf("order place %v = %d: %s", args, code, stderr)
		}
	}
	if keys[0] == "" || keys[0] != keys[1] || keys[2] != "o-1" || keys[3] != "mine" {
		t.Errorf("keys = %q", keys)
	}
}
