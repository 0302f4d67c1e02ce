package apachekafka

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A process is one that we started, until it has ended.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a command that dies with us.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// A child is told of the death of the thread that started it: keep the
		// thread for as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says how it ended
		}
	}()
	return p, <-started
}

// kill ends it at once and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// stop asks it to end in order, and kills it if that takes too long.
func (p *process) stop(bound time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(bound):
		p.kill()
	}
}

// Command runs Java with Kafka's jars in its class path: a class of Kafka's own
// tools, or a source file. It is killed when ctx ends.
func Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	jvm, err := java()
	if err != nil {
		return nil, err
	}
	lib, err := Library(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, jvm, append([]string{"-cp", filepath.Join(lib, "*")}, args...)...)
	cmd.SysProcAttr = dieWithParent()
	return cmd, nil
}
