package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	for _, e := range os.Environ() {
		// The settings of whoever runs the tests are not ours.
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "ANABRANCH_") {
			_ = os.Unsetenv(name)
		}
	}
	dir, err := os.MkdirTemp("", "anabranch-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "anabranch")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a running anabranch.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	began time.Time
	// explain says what is the matter when something does not come.
	explain func() string

	mu    sync.Mutex // guards lines
	lines []string
	more  chan struct{} // told about a new line
}

// start runs the program; its output is kept line by line.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{}), more: make(chan struct{}, 1), began: time.Now(),
		explain: func() string { return "" }}
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
		_ = p.cmd.Wait() // the state says how it ended
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// wait waits for a line that matches and returns its first group.
func (p *process) wait(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	timeout := time.After(patience)
	for {
		if m := re.FindStringSubmatch(p.output()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.more:
		case <-p.done:
			if m := re.FindStringSubmatch(p.output()); m != nil {
				return m[len(m)-1]
			}
			p.t.Fatalf("%v ended before %q:\n%s", p.cmd.Args[1:], pattern, p.output())
		case <-timeout:
			p.t.Fatalf("%v: no %q in %v:\n%s\n%s", p.cmd.Args[1:], pattern, patience, p.output(), p.explain())
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// end waits for the process to end by itself and returns its exit code.
func (p *process) end() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%v does not end:\n%s", p.cmd.Args[1:], p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) interrupt() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	return p.end()
}

func (p *process) rssMiB() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		p.t.Fatal("no VmRSS")
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		p.t.Fatal(err)
	}
	return kib >> 10
}

// dev is a running dev process with what its banner says.
type devProcess struct {
	*process
	http, kafka string
}

func startDev(t *testing.T, env []string, args ...string) *devProcess {
	t.Helper()
	p := start(t, env, append([]string{"dev", "--http", "127.0.0.1:0"}, args...)...)
	d := &devProcess{process: p, http: p.wait(`console +http://(\S+)/`)}
	d.kafka = p.wait(`Kafka +([^\s,]+)`)
	p.explain = func() string {
		_, status := d.client("cluster", "status")
		return status
	}
	return d
}

const firstDecision = `first decision read back from the topic (\S+) s after`

// client runs a command of ours against the process.
func (d *devProcess) client(args ...string) (int, string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append(args, "--addr", d.http)...).CombinedOutput()
	if err == nil {
		return exitDone, string(out)
	}
	exit, ok := err.(*exec.ExitError)
	if !ok {
		d.t.Fatal(err)
	}
	return exit.ExitCode(), string(out)
}

// status asks for the cluster's status.
func (d *devProcess) status() clusterStatus {
	d.t.Helper()
	resp, err := http.Get("http://" + d.http + "/v1/cluster")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var s clusterStatus
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

const orderW1 = `{"order":"W-1","channel":"own_online","location":"web","currency":"CNY","destination":{"lat":39.9,"lon":116.4,"region":"BJ"},
"lines":[{"line":1,"sku":"glasses-7","quantity":2,"unit_price":"899.00"}]}`

// The first screen: addresses, a decision from the topic within 5 s, little
// memory, an orderly end that leaves nothing behind.
func TestDevFirstScreen(t *testing.T) {
	tmp := t.TempDir()
	d := startDev(t, []string{"TMPDIR=" + tmp})
	seconds, err := strconv.ParseFloat(d.wait(firstDecision), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first decision after %.1f s, %v since the test started it; RSS %d MiB", seconds, time.Since(d.began), d.rssMiB())
	if seconds > 5 {
		t.Errorf("first decision after %.1f s; want at most 5", seconds)
	}
	d.wait(`(?s)(?:A-\d+.*){20}`)
	if rss := d.rssMiB(); rss >= 300 {
		t.Errorf("RSS = %d MiB; want below 300", rss)
	}
	if code := d.interrupt(); code != exitDone {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.output())
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
	d := startDev(t, nil, "--data", dir)
	d.wait(firstDecision)
	code, placed := d.client("order", "place", "-f", file, "-o", "json")
	if code != exitDone {
		t.Fatalf("order place = %d: %s", code, placed)
	}
	second := start(t, nil, "dev", "--data", dir, "--http", "127.0.0.1:0")
	if code := second.end(); code != exitFailed || !oneLine(second.output(), "in use by another process") {
		t.Errorf("second process = %d: %s", code, second.output())
	}
	for i, stop := range []func(){d.kill, func() {
		if code := d.interrupt(); code != exitDone {
			t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.output())
		}
	}} {
		before := d.status().Groups[0].Applied
		stop()
		d = startDev(t, nil, "--data", dir)
		d.wait(firstDecision)
		if after := d.status().Groups[0].Applied; after < before {
			t.Errorf("restart %d: applied = %d; want at least %d", i, after, before)
		}
		if code, again := d.client("order", "place", "-f", file, "-o", "json"); code != exitDone || again != placed {
			t.Errorf("restart %d: the same order again = %d: %s\nwant %s", i, code, again, placed)
		}
		if s := d.status().Inputs; len(s) == 0 {
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
			p := start(t, []string{"TMPDIR=" + t.TempDir()}, append([]string{"dev", "--http", "127.0.0.1:0"}, tt.args...)...)
			if code := p.end(); code != exitFailed || !oneLine(p.output(), tt.want) {
				t.Errorf("exit code %d, output:\n%s\nwant one line with %q", code, p.output(), tt.want)
			}
		})
	}
}

// A port that is taken is said, and the next free one used.
func TestDevPortTaken(t *testing.T) {
	first := startDev(t, nil, "--no-sample")
	second := start(t, nil, "dev", "--no-sample", "--http", first.http)
	second.wait(`\(` + regexp.QuoteMeta(first.http) + ` is taken\)`)
	if code := second.interrupt(); code != exitDone {
		t.Errorf("exit code %d:\n%s", code, second.output())
	}
}

// A cluster can run on a broker of its own process. While the broker is away it
// waits, saying so in a line, and goes on when it is back.
func TestDevOnKafka(t *testing.T) {
	data := t.TempDir()
	broker := start(t, nil, "kafka", "--data", data, "--port", "19092")
	address := broker.wait(`Kafka on ([0-9.:]+)`)
	_, port, _ := strings.Cut(address, ":")
	d := startDev(t, nil, "--kafka", address)
	d.wait(firstDecision)
	if d.kafka != address {
		t.Errorf("dev says its Kafka is %s; want %s", d.kafka, address)
	}
	broker.kill()
	d.wait(`inputs wait for kafka`)
	seen := strings.Count(d.output(), "\n")
	broker = start(t, nil, "kafka", "--data", data, "--port", port)
	broker.wait(`Kafka on ([0-9.:]+)`)
	d.wait(`(?s)(?:.*\n){` + strconv.Itoa(seen+1) + `}.*(allocated|failed)`)
	if n := strings.Count(d.output(), "inputs wait for kafka"); n != 1 {
		t.Errorf("dev says %d times that Kafka is away; want once:\n%s", n, d.output())
	}
	if code := d.interrupt(); code != exitDone {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, d.output())
	}
	if code := broker.interrupt(); code != exitDone {
		t.Errorf("kafka: exit code %d:\n%s", code, broker.output())
	}
}

// A full disk ends the process with one line, and loses nothing.
func TestDevFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	d := startDev(t, nil, "--data", filepath.Join(disk, "data"))
	d.wait(firstDecision)
	before := d.status().Groups[0].Applied
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<16); err == nil; {
		_, err = filler.Write(block)
	}
	if code := d.end(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if got := regexp.MustCompile(`(?m)^anabranch: .*$`).FindAllString(d.output(), -1); len(got) != 1 || !strings.Contains(got[0], "no space left on device") {
		t.Errorf("says %q; want one line about the full disk:\n%s", got, d.output())
	}
	if err := errors.Join(filler.Close(), os.Remove(filler.Name())); err != nil {
		t.Fatal(err)
	}
	d = startDev(t, nil, "--data", filepath.Join(disk, "data"))
	d.wait(firstDecision)
	if after := d.status().Groups[0].Applied; after < before {
		t.Errorf("applied = %d after a full disk; want at least %d", after, before)
	}
}

// What can't be applied is listed with its reason.
func TestDevDeadLetters(t *testing.T) {
	d := startDev(t, nil, "--no-sample")
	body := `{"id":"k-1","source":"wms","type":"stock.counted","time":"2001-01-01T00:00:00Z","sku":"g","location":"s","quantity":3}`
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := http.Post("http://"+d.http+"/v1/events", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		code := resp.StatusCode
		_ = resp.Body.Close()
		if code == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("submit = %d", code)
		}
	}
	code, list := d.client("dead-letters", "list")
	if code != exitDone || !strings.Contains(list, "clock_behind") && !strings.Contains(list, "late") {
		t.Errorf("dead-letters list = %d: %s", code, list)
	}
}
