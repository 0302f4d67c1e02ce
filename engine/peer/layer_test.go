package peer

import (
	"io"
	"strings"
	"testing"
	"time"
)

func join(t testing.TB, p *Port, group uint64, replica string) *Layer {
	t.Helper()
	l, err := p.Layer(group, replica)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// echoes takes streams and sends back what comes on each, until the layer closes.
func echoes(t testing.TB, l *Layer) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// pingPong checks that a stream carries bytes both ways.
func pingPong(t testing.TB, c io.ReadWriter) {
	t.Helper()
	buf := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "ping" {
		t.Fatalf("echo = %q, %v; want ping", buf, err)
	}
}

func TestStreams(t *testing.T) {
	noLeak(t)
	var at book
	a, b := listen(t, &at, "a", nil), listen(t, &at, "b", nil)
	other := listen(t, &at, "x", nil, func(o *Options) { o.Cluster = "wholesale" })
	echoes(t, join(t, b, 1, "b.2"))
	la := join(t, a, 1, "a.1")

	c, err := la.Dial("b.2", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	pingPong(t, c)
	if n, m := a.Stats().Streams, b.Stats().Streams; n != 1 || m != 1 {
		t.Errorf("open streams = %d and %d; want 1 and 1", n, m)
	}
	for _, tt := range []struct {
		from          *Layer
		replica, want string
	}{
		{la, "b.1", "replica is b.2, not b.1"},
		{join(t, a, 7, "a.1"), "b.2", "group 7 is not on this node"},
		{join(t, other, 1, "x.1"), "b.2", "cluster is retail, not wholesale"},
		{la, "c.1", "no such node"},
	} {
		_, err := tt.from.Dial(tt.replica, time.Second)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Dial(%s) = %v; want %q", tt.replica, err, tt.want)
		}
	}
	if n, m := b.refused(ReasonTarget), b.refused(ReasonCluster); n != 2 || m != 1 {
		t.Errorf("refused for target and cluster = %d and %d; want 2 and 1", n, m)
	}

	pingPong(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "streams end", func() bool { return a.Stats().Streams == 0 && b.Stats().Streams == 0 })
}

// A group is at the port once, and again after it has left.
func TestLayerOnce(t *testing.T) {
	var at book
	a := listen(t, &at, "a", nil)
	first := join(t, a, 1, "a.1")
	if _, err := a.Layer(1, "a.2"); err == nil {
		t.Error("a second layer of the same group was given")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := join(t, a, 1, "a.2")
	if err := first.Close(); err != nil { // again: must not take the second one away
		t.Fatal(err)
	}
	echoes(t, second)
	c, err := second.Dial("a.2", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	pingPong(t, c)
	c.Close()
}

// A port closes though a stream waits for a group that never takes it, and the
// one who dialled is told.
func TestCloseWithWaitingStream(t *testing.T) {
	noLeak(t)
	var at book
	a, b := listen(t, &at, "a", nil), listen(t, &at, "b", nil)
	join(t, b, 1, "b.1")
	la := join(t, a, 1, "a.1")
	dialled := make(chan error, 1)
	go func() {
		_, err := la.Dial("b.1", 20*time.Second)
		dialled <- err
	}()
	eventually(t, "stream waits", func() bool {
		b.guests.mu.Lock()
		defer b.guests.mu.Unlock()
		return len(b.guests.list) == 1
	})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-dialled; err == nil {
		t.Error("Dial() = nil; want an error")
	}
}
