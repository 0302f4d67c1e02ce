package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// server accepts connections and hands them over.
func server(t *testing.T) (address string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, done := make(chan net.Conn, 16), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String(), accepted
}

func proxy(t *testing.T, target string, seed uint64) *Proxy {
	t.Helper()
	p, err := Listen(target, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("received %q, %v; want %q", buf, err, want)
	}
}

// silent checks that nothing comes, not even an end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read = %d, %v; want nothing", n, err)
	}
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read = %d, %v; want an end", n, err)
	}
}

func TestForward(t *testing.T) {
	address, conns := server(t)
	near := dial(t, proxy(t, address, 1))
	far := <-conns
	defer far.Close()
	send(t, near, "hello")
	receive(t, far, "hello")
	if err := near.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ended(t, far)
	send(t, far, "bye") // half closed: the way back is open
	receive(t, near, "bye")
}

// One direction is held, with the end of the connection; the other one is not.
func TestHoldOneWay(t *testing.T) {
	address, conns := server(t)
	p := proxy(t, address, 1)
	near := dial(t, p)
	far := <-conns
	defer far.Close()
	p.Set(From, Faults{Hold: true})
	send(t, near, "to")
	receive(t, far, "to")
	send(t, far, "held")
	far.(*net.TCPConn).SetLinger(0)
	far.Close() // as a killed process
	silent(t, near)
	p.Heal()
	receive(t, near, "held")
	ended(t, near)
}

// While there is a partition the target sees no new connection.
func TestPartition(t *testing.T) {
	address, conns := server(t)
	p := proxy(t, address, 1)
	p.Partition()
	near := dial(t, p)
	send(t, near, "late")
	silent(t, near)
	if len(conns) != 0 {
		t.Error("the target was dialled through a partition")
	}
	p.Heal()
	far := <-conns
	defer far.Close()
	receive(t, far, "late")
}

func TestCut(t *testing.T) {
	address, conns := server(t)
	p := proxy(t, address, 1)
	near := dial(t, p)
	far := <-conns
	defer far.Close()
	if n := p.Cut(); n != 1 {
		t.Errorf("Cut = %d; want 1", n)
	}
	ended(t, near)
	ended(t, far)
}

func TestDelayAndBandwidth(t *testing.T) {
	address, conns := server(t)
	p := proxy(t, address, 1)
	near := dial(t, p)
	far := <-conns
	defer far.Close()
	for _, tt := range []struct {
		faults Faults
		least  time.Duration
	}{
		{Faults{Delay: 50 * time.Millisecond, Jitter: time.Millisecond}, 50 * time.Millisecond},
		{Faults{BytesPerSecond: 100_000}, 90 * time.Millisecond}, // 10,000 bytes
	} {
		p.Set(To, tt.faults)
		start := time.Now()
		send(t, near, string(make([]byte, 10_000)))
		receive(t, far, string(make([]byte, 10_000)))
		if took := time.Since(start); took < tt.least {
			t.Errorf("%+v: took %v; want at least %v", tt.faults, took, tt.least)
		}
	}
}

// The same seed cuts the same connections at the same bytes.
func TestSeed(t *testing.T) {
	cuts := func(seed uint64) (lengths [4]int) {
		address, conns := server(t)
		p := proxy(t, address, seed)
		p.Set(To, Faults{CutAfter: 50_000})
		for i := range lengths {
			near := dial(t, p)
			far := <-conns
			go func() {
				near.Write(bytes.Repeat([]byte{1}, 200_000))
			}()
			n, _ := io.Copy(io.Discard, far)
			lengths[i] = int(n)
			far.Close()
		}
		return lengths
	}
	first, again, other := cuts(7), cuts(7), cuts(8)
	if first != again {
		t.Errorf("seed 7 cuts at %v, then at %v", first, again)
	}
	if first == other {
		t.Errorf("seeds 7 and 8 both cut at %v", first)
	}
	for _, n := range first {
		if n < 1 || n > 100_000 {
			t.Errorf("cut after %d bytes; want 1 to 100000", n)
		}
	}
}
