package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

func TestMain(m *testing.M) {
	for _, e := range os.Environ() {
		// The settings of whoever runs the tests are not ours.
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "ANABRANCH_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(process.Main(m))
}

const firstDecision = `first decision read back from the topic (\S+) s after`

const orderW1 = `{"order":"W-1","channel":"own_online","location":"web","currency":"CNY","destination":{"lat":39.9,"lon":116.4,"region":"BJ"},
"lines":[{"line":1,"sku":"glasses-7","quantity":2,"unit_price":"899.00"}]}`

// The first screen: addresses, a decision from the topic within 5 s, little
// memory, an orderly end that leaves nothing behind.
func TestDevFirstScreen(t *testing.T) {
	tmp := t.TempDir()
	d := process.StartDevIn(t, []string{"TMPDIR=" + tmp})
	seconds, err := strconv.ParseFloat(d.Wait(firstDecision), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first decision after %.1f s, %v since the test started it; RSS %d MiB", seconds, time.Since(d.Began), d.RSSMiB())
	if seconds > 5 {
		t.Errorf("first decision after %.1f s; want at most 5", seconds)
	}
	d.Wait(`(?s)(?:A-\d+.*){20}`)
	if rss := d.RSSMiB(); rss >= 300 {
		t.Errorf("RSS = %d MiB; want below 300", rss)
	}
	if code := d.Interrupt(); code != exitDone {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.Output())
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary folder: %v, %v", left, err)
	}
}

// What was decided is still there after kill -9, and the shop goes on.
func TestDevGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	file := writeTemp(t, t.TempDir(), "order.json", orderW1)
	d := process.StartDev(t, "--data", dir)
	d.Wait(firstDecision)
	code, placed := d.Client("order", "place", "-f", file, "-o", "json")
	if code != exitDone {
		t.Fatalf("order place = %d: %s", code, placed)
	}
	second := process.Start(t, "dev", "--data", dir, "--http", "127.0.0.1:0")
	if code := second.End(); code != exitFailed || !oneLine(second.Output(), "in use by another process") {
		t.Errorf("second process = %d: %s", code, second.Output())
	}
	for i, stop := range []func(){d.Kill, func() {
		if code := d.Interrupt(); code != exitDone {
			t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.Output())
		}
	}} {
		before := d.Status().Groups[0].Applied
		stop()
		d = process.StartDev(t, "--data", dir)
		d.Wait(firstDecision)
		if after := d.Status().Groups[0].Applied; after < before {
			t.Errorf("restart %d: applied = %d; want at least %d", i, after, before)
		}
		if code, again := d.Client("order", "place", "-f", file, "-o", "json"); code != exitDone || again != placed {
			t.Errorf("restart %d: the same order again = %d: %s\nwant %s", i, code, again, placed)
		}
		if s := d.Status().Inputs; len(s) == 0 {
			t.Errorf("restart %d: no inputs", i)
		}
	}
}

// oneLine says whether the output is a single line with the text.
func oneLine(output, text string) bool {
	return strings.Contains(output, text) && strings.Count(strings.TrimSpace(output), "\n") == 0
}

func TestDevRefuses(t *testing.T) {
	foreign := t.TempDir()
	writeTemp(t, foreign, "holiday.jpg", "x")
	file := writeTemp(t, t.TempDir(), "file", "x")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"foreign directory", []string{"--data", foreign}, "not an Anabranch data directory: it holds holiday.jpg"},
		{"directory is a file", []string{"--data", file}, "not a directory"},
		{"broker away", []string{"--kafka", "127.0.0.1:1"}, "broker 127.0.0.1:1: not reachable"},
		{"address of another machine", []string{"--http", "192.0.2.1:8470"}, "cannot assign requested address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := process.Start(t, append([]string{"dev", "--http", "127.0.0.1:0"}, tt.args...)...)
			if code := p.End(); code != exitFailed || !oneLine(p.Output(), tt.want) {
				t.Errorf("exit code %d, output:\n%s\nwant one line with %q", code, p.Output(), tt.want)
			}
		})
	}
}

// A port that is taken is said, and the next free one used.
// Without transactions decisions come back as well.
func TestDevAtLeastOnce(t *testing.T) {
	d := process.StartDev(t, "--delivery", "at_least_once", "--durability", "memory", "--on-gap", "skip")
	d.Wait(firstDecision)
	d.Wait(`(?s)(?:A-\d+.*){3}`)
	if code := d.Interrupt(); code != exitDone {
		t.Errorf("exit code %d:\n%s", code, d.Output())
	}
}

func TestDevPortTaken(t *testing.T) {
	first := process.StartDev(t, "--no-sample")
	second := process.Start(t, "dev", "--no-sample", "--http", first.HTTP)
	second.Wait(`\(` + regexp.QuoteMeta(first.HTTP) + ` is taken\)`)
	if code := second.Interrupt(); code != exitDone {
		t.Errorf("exit code %d:\n%s", code, second.Output())
	}
}

// A cluster can run on a broker of its own process. While the broker is away it
// waits, saying so in a line, and goes on when it is back.
func TestDevOnKafka(t *testing.T) {
	data := t.TempDir()
	broker := process.Start(t, "kafka", "--data", data, "--port", strconv.Itoa(process.FreePort(t)))
	address := broker.Wait(`Kafka on ([0-9.:]+)`)
	_, port, _ := strings.Cut(address, ":")
	d := process.StartDev(t, "--kafka", address)
	d.Wait(firstDecision)
	if d.Kafka != address {
		t.Errorf("dev says its Kafka is %s; want %s", d.Kafka, address)
	}
	broker.Kill()
	d.Wait(`inputs wait for kafka`)
	seen := strings.Count(d.Output(), "\n")
	broker = process.Start(t, "kafka", "--data", data, "--port", port)
	broker.Wait(`Kafka on ([0-9.:]+)`)
	d.Wait(`(?s)(?:.*\n){` + strconv.Itoa(seen+1) + `}.*(allocated|failed)`)
	if n := strings.Count(d.Output(), "inputs wait for kafka"); n != 1 {
		t.Errorf("dev says %d times that Kafka is away; want once:\n%s", n, d.Output())
	}
	if code := d.Interrupt(); code != exitDone {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.Output())
	}
	if code := broker.Interrupt(); code != exitDone {
		t.Errorf("kafka: exit code %d:\n%s", code, broker.Output())
	}
}

// What can't be applied is listed with its reason, and is applied once its
// cause is mended.
func TestDevDeadLetters(t *testing.T) {
	d := process.StartDev(t, "--no-sample")
	now := time.Now().UTC().Format(time.RFC3339Nano)
	place := func(id string, takes bool) string {
		return fmt.Sprintf(`{"id":%q,"source":"erp","type":"location","time":%q,"location":"kiosk","kind":"store","channel":"own_store","takes_returns":%v}`, id, now, takes)
	}
	d.Submit(place("l-1", false))
	d.Submit(fmt.Sprintf(`{"id":"r-1","source":"pos","type":"return.received","time":%q,"document":"B-1","channel":"own_store","location":"kiosk","currency":"CNY",
		"lines":[{"line":1,"sku":"mug-1","quantity":1,"unit_price":"9.00"}]}`, now))
	var list struct {
		DeadLetters []deadLetter `json:"dead_letters"`
	}
	code, out := d.Client("dead-letters", "list", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitDone {
		t.Fatalf("dead-letters list = %d: %s", code, out)
	}
	if len(list.DeadLetters) != 1 || list.DeadLetters[0].Code != "returns_not_taken" || list.DeadLetters[0].Type != "return.received" {
		t.Fatalf("dead letters = %+v; want the return", list.DeadLetters)
	}
	code, out = d.Client("dead-letters", "redrive", list.DeadLetters[0].ID)
	again := regexp.MustCompile(`dead_letter +returns_not_taken +(\S+)`).FindStringSubmatch(out)
	if code != exitFailed || again == nil {
		t.Fatalf("redrive before it is mended = %d: %s", code, out)
	}
	id := again[1]
	d.Submit(place("l-2", true))
	if code, out := d.Client("dead-letters", "redrive", id); code != exitDone || !strings.Contains(out, "applied") {
		t.Errorf("redrive after it is mended = %d: %s", code, out)
	}
	if code, out := d.Client("dead-letters", "show", id); code != exitFailed || !strings.Contains(out, "not_found") {
		t.Errorf("the dead letter is still there: %d: %s", code, out)
	}
	if code, out := d.Client("get", "stock", "mug-1"); code != exitDone || !strings.Contains(out, "kiosk") {
		t.Errorf("get stock = %d: %s; want the returned unit", code, out)
	}
}
