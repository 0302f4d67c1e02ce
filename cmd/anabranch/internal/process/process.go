package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for what should come at once.
const Patience = 30 * time.Second

// binary is the program under test, built once by Main.
var binary string

// Main builds the program and runs the tests of a package. For TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "anabranch-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "anabranch")
	if out, err := exec.Command("go", "build", "-o", binary, "anabranch.dev/cmd/anabranch").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// environment is the tests' own without the program's settings, which belong to
// whoever runs the tests.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ANABRANCH_") {
			env = append(env, e)
		}
	}
	return env
}

// Process is a running program.
type Process struct {
	Began time.Time
	// Explain says what is the matter when something does not come.
	Explain func() string

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	more chan struct{} // told about a new line

	mu    sync.Mutex // guards lines, errs
	lines []string   // of both outputs
	errs  []string   // of stderr alone
}

// Start runs the program with arguments.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartIn(t, nil, args...)
}

// StartIn runs the program with more settings in its environment. Its output is
// kept line by line.
func StartIn(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	return start(t, binary, env, args...)
}

func start(t testing.TB, program string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{Began: time.Now(), Explain: func() string { return "" },
		t: t, cmd: exec.Command(program, args...), done: make(chan struct{}), more: make(chan struct{}, 1)}
	// What a killed process leaves in its temporary folder goes with the test.
	p.cmd.Env = append(append(environment(), "TMPDIR="+t.TempDir()), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		// A child is told of the death of the thread that started it: keep the
		// thread for as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		var readers sync.WaitGroup
		readers.Go(func() { p.read(out, nil) })
		readers.Go(func() { p.read(errs, &p.errs) })
		readers.Wait()
		_ = p.cmd.Wait() // the state says how it ended
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func (p *Process) read(from io.Reader, also *[]string) {
	s := bufio.NewScanner(from)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		if also != nil {
			*also = append(*also, s.Text())
		}
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
	}
}

// RSSMiB is how much memory it has in use now.
func (p *Process) RSSMiB() int {
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

// CPU is how much processor time it has used so far, in steps of 10 ms.
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	// The name, in brackets, may hold anything; user and system time are the
	// 12th and 13th field behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Output is what it has printed so far, on both outputs.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Errors is what it has printed so far on stderr.
func (p *Process) Errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.errs, "\n")
}

// Wait waits for output that matches and returns its last group.
func (p *Process) Wait(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	timeout := time.After(Patience)
	for {
		if m := re.FindStringSubmatch(p.Output()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.more:
		case <-p.done:
			if m := re.FindStringSubmatch(p.Output()); m != nil {
				return m[len(m)-1]
			}
			p.t.Fatalf("%v ended before %q:\n%s", p.cmd.Args[1:], pattern, p.Output())
		case <-timeout:
			p.t.Fatalf("%v: no %q in %v:\n%s\n%s", p.cmd.Args[1:], pattern, Patience, p.Output(), p.Explain())
		}
	}
}

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends it at once, as kill -9 does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// End waits for the process to end by itself and returns its exit code.
func (p *Process) End() int {
	p.t.Helper()
	return p.EndWithin(Patience)
}

// EndWithin is End with another bound, for long commands.
func (p *Process) EndWithin(bound time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(bound):
		p.t.Fatalf("%v does not end in %v:\n%s\n%s", p.cmd.Args[1:], bound, p.Output(), p.Explain())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Interrupt asks it to end, as Ctrl-C does, and returns its exit code.
func (p *Process) Interrupt() int {
	p.t.Helper()
	p.Signal(syscall.SIGINT)
	return p.End()
}

// Terminate asks it to end, as process managers do, and returns its exit code.
func (p *Process) Terminate() int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.End()
}
