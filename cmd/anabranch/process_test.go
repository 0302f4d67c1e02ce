package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	p.cmd.Env = append(append(os.Environ(), "TMPDIR="+t.TempDir()), env...)
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

// submit brings an event in, as soon as the node is ready for it.
func (d *devProcess) submit(body string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		resp, err := http.Post("http://"+d.http+"/v1/events", "application/json", strings.NewReader(body))
		if err != nil {
			d.t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			d.t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return
		}
		if resp.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			d.t.Fatalf("submit = %d: %s", resp.StatusCode, answer)
		}
	}
}
