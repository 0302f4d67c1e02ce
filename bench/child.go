package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a process of this program that a run has started. It is ended by its
// own id.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string // file with what it prints
	done chan struct{}
}

// stopTimeout is how long an orderly stop may take.
const stopTimeout = time.Minute

// program is what children run: the caller's choice, or this process's own
// binary.
func program(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	return os.Executable()
}

// startChild runs a command of ours, with its output going to a file.
func startChild(binary, dir, name string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(binary, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd.Stdout, c.cmd.Stderr = out, out
	// Settings of this program in the environment were meant for this process.
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ANABRANCH_") {
			c.cmd.Env = append(c.cmd.Env, e)
		}
	}
	// A run that is killed itself leaves no cluster behind.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// A child is told of the death of the thread that started it: keep the
		// thread for as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // its state says how it ended
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// kill ends it at once, as kill -9 does.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", c.name, err)
	}
	<-c.done
	return nil
}

// stop asks it to end, and insists when it does not.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	select {
	case <-c.done:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s does not stop within %v", c.name, stopTimeout), c.kill())
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with code %d: %s", c.name, code, c.lastWords())
	}
	return nil
}

// ended reports whether it has ended by itself, and with which words.
func (c *child) ended() error {
	select {
	case <-c.done:
		return fmt.Errorf("%s has ended: %s", c.name, c.lastWords())
	default:
		return nil
	}
}

// lastWords are the end of what it has printed.
func (c *child) lastWords() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-1000):])
}
