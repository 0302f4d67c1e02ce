package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// book is where the ports of a test find each other.
type book struct {
	mu        sync.Mutex
	addresses map[string]string
}

func (b *book) resolve(node string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.addresses[node]; a != "" {
		return a, nil
	}
	return "", errors.New("no such node")
}

func (b *book) set(node, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addresses == nil {
		b.addresses = map[string]string{}
	}
	b.addresses[node] = address
}

// listen opens a node's port on loopback. shape may change its options.
func listen(t testing.TB, b *book, node string, handle Handler, shape ...func(*Options)) *Port {
	t.Helper()
	o := Options{Address: "127.0.0.1:0", Cluster: "retail", Node: node, Resolve: b.resolve, Handle: handle,
		Admits: func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)}
	for _, f := range shape {
		f(&o)
	}
	p, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	b.set(node, p.Addr().String())
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// echo answers with who asked, what for, and the request.
func echo(_ context.Context, from, method string, request []byte) ([]byte, error) {
	return append([]byte(from+" "+method+" "), request...), nil
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			buf := make([]byte, 1<<20)
			t.Fatalf("%s: not after 20s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// noLeak checks that when the test has ended, no goroutine of this package or of
// a connection is left. It must be called before anything is opened.
func noLeak(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		eventually(t, "goroutines end", func() bool {
			buf := make([]byte, 1<<20)
			all := string(buf[:runtime.Stack(buf, true)])
			for _, g := range strings.Split(all, "\n\n")[1:] { // the first one is this test
				if strings.Contains(g, "anabranch.dev/engine/peer.") && !strings.Contains(g, "testing.(*T).Run") && !strings.Contains(g, "testing.tRunner") {
					return false
				}
			}
			return true
		})
	})
}

func withTimeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// connect dials a port as a stranger would.
func connect(t testing.TB, p *Port) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (p *Port) refused(r Reason) uint64 { return p.Stats().Refused[r] }
