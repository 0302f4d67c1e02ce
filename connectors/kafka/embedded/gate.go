package embedded

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A gate is the broker's listener and its log, so that it can be shut when the
// log tells of a write that failed.
//
// kfake goes on after such a write, and would answer a commit whose marker is
// not on disk with success. All of it runs on one goroutine, which also logs:
// ending that goroutine from inside the logger is how it stops before it
// answers.
type gate struct {
	net.Listener
	failed chan struct{}
	// armed: a failing write ends the goroutine that logs it. It is not while
	// kfake starts or closes, when that would be ours.
	armed atomic.Bool

	mu     sync.Mutex // guards the rest
	conns  map[net.Conn]struct{}
	fault  error
	closed bool
}

func newGate() *gate {
	return &gate{failed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

// Accept keeps the connection in sight.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	watched := &conn{Conn: c, gate: g}
	g.conns[watched] = struct{}{}
	return watched, nil
}

type conn struct {
	net.Conn
	gate *gate
}

func (c *conn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// shut closes the listener and all connections.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	open := make([]net.Conn, 0, len(g.conns))
	for c := range g.conns {
		open = append(open, c)
	}
	g.mu.Unlock()
	if g.Listener != nil {
		// Errors say no more than that they were closed before.
		_ = g.Listener.Close()
	}
	for _, c := range open {
		_ = c.Close()
	}
}

// writeFaults are beginnings of what kfake logs when a write failed.
var writeFaults = []string{"persist", "rebuildSegments", "endTx: failed to persist", "save session state"}

// Logf implements kfake.Logger. Only failed writes matter.
func (g *gate) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || !isWriteFault(format) {
		return
	}
	g.fail(fmt.Errorf("write: "+format, args...))
	if g.armed.CompareAndSwap(true, false) {
		close(g.failed)
		g.shut()
		runtime.Goexit()
	}
}

func isWriteFault(format string) bool {
	for _, prefix := range writeFaults {
		if strings.HasPrefix(format, prefix) {
			return true
		}
	}
	return false
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault == nil {
		g.fault = err
	}
}

func (g *gate) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fault
}

// disarm reports false if the broker has failed already.
func (g *gate) disarm() bool { return g.armed.CompareAndSwap(true, false) }
