package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// greeted shows a header that must be welcome.
func greeted(t testing.TB, c net.Conn, h *header) {
	t.Helper()
	if _, err := c.Write(h.append(nil)); err != nil {
		t.Fatal(err)
	}
	if err := readAnswer(c); err != nil {
		t.Fatal(err)
	}
}

// hurried gives a port little patience, for tests of what happens when it ends:
// as much as usual where 0.
func hurried(header, frame, idle time.Duration) func(*Options) {
	return func(o *Options) {
		p := usual
		for _, f := range []struct{ is, want *time.Duration }{{&p.header, &header}, {&p.frame, &frame}, {&p.idle, &idle}} {
			if *f.want > 0 {
				*f.is = *f.want
			}
		}
		o.patience = &p
	}
}

const moment = 100 * time.Millisecond

// running is a stream between two nodes that must not suffer.
func running(t *testing.T, at *book, b *Port) net.Conn {
	t.Helper()
	echoes(t, join(t, b, 1, "b.1"))
	c, err := join(t, listen(t, at, "a", nil), 1, "a.1").Dial("b.1", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// closes waits until the other side has closed the connection.
func closes(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
}

func TestHeadersRefused(t *testing.T) {
	noLeak(t)
	var at book
	b := listen(t, &at, "b", echo, func(o *Options) {
		o.Admits = func(node string) bool { return node == "a" }
		o.Incarnation = func() uint64 { return 2 }
	})
	c := running(t, &at, b)
	header1 := func(h header) string { return string(h.append(nil)) }
	cut := (&header{kind: kindCalls, cluster: "retail", from: "a"}).append(nil)
	cut[len(cut)-1] = 7 // the target's length
	more := (&header{kind: kindCalls, cluster: "retail", from: "a"}).append([]byte(nil))
	more = append(more, 0)
	more[5]++
	for _, tt := range []struct {
		bytes  string
		reason Reason
		want   string
	}{
		{"GET / HTTP/1.1\r\nHost: b\r\n\r\n", ReasonGarbage, "not a node of anabranch"},
		{strings.Repeat("\xff", 1<<16), ReasonGarbage, "not a node of anabranch"},
		{"anb\x01" + strings.Repeat("\x00", 20), ReasonVersion, "version of the protocol is 3, not 1"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01", ReasonTLS, "this port has no TLS"},
		{"anb\x03\xff\xff", ReasonGarbage, "header of 65535 bytes"},
		{"anb\x03\x00\x03abc", ReasonGarbage, "header of 3 bytes"},
		{string(cut), ReasonGarbage, "cut off"},
		{string(more), ReasonGarbage, "1 bytes too many"},
		{header1(header{kind: 9, cluster: "retail", from: "a"}), ReasonGarbage, "kind 9"},
		{header1(header{kind: kindCalls, group: 4, cluster: "retail", from: "a"}), ReasonGarbage, "calls to a group"},
		{header1(header{kind: kindCalls, cluster: "retail", from: "a\n"}), ReasonGarbage, "not printable"},
		{header1(header{kind: kindCalls, cluster: "retail"}), ReasonGarbage, "missing"},
		{header1(header{kind: kindCalls, cluster: "wholesale", from: "a"}), ReasonCluster, "cluster is retail, not wholesale"},
		{header1(header{kind: kindCalls, cluster: "retail", from: "a", life: 1}), ReasonIncarnation, "has data of incarnation 1 of cluster retail, and node b of incarnation 2"},
		{header1(header{kind: kindCalls, cluster: "retail", from: "z"}), ReasonNode, "node z is not a member"},
		{header1(header{kind: kindCalls, cluster: "retail", from: "a", target: "c"}), ReasonTarget, "node is b, not c"},
		{header1(header{kind: kindStream, group: 3, cluster: "retail", from: "a", target: "b.1"}), ReasonTarget, "group 3 is not"},
		{header1(header{kind: kindStream, group: 1, cluster: "retail", from: "a", target: "b.9"}), ReasonTarget, "replica is b.1, not b.9"},
		{header1(header{kind: kindStream, group: 1, cluster: "retail", from: "z", target: "b.1"}), ReasonNode, "node z is not a member"},
	} {
		before := b.refused(tt.reason)
		s := connect(t, b)
		if _, err := io.WriteString(s, tt.bytes); err != nil {
			t.Fatal(err)
		}
		if err := readAnswer(s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.20q: answer = %v; want %q", tt.bytes, err, tt.want)
		}
		s.Close()
		if got := b.refused(tt.reason); got != before+1 {
			t.Errorf("%.20q: refused for %s = %d; want %d", tt.bytes, tt.reason, got, before+1)
		}
		pingPong(t, c)
	}
}

// Connections that never show a whole header end, and are told apart.
func TestHeaderNotFinished(t *testing.T) {
	noLeak(t)
	var at book
	b := listen(t, &at, "b", echo, hurried(time.Second, 0, 0))
	c := running(t, &at, b)
	whole := (&header{kind: kindCalls, cluster: "retail", from: "a"}).append(nil)

	silent, half, left, trickle := connect(t, b), connect(t, b), connect(t, b), connect(t, b)
	half.Write(whole[:9])
	left.Write(whole[:9])
	left.Close()
	tick := time.NewTicker(50 * time.Millisecond) // the last byte would come too late
	defer tick.Stop()
	for _, one := range whole {
		<-tick.C
		if _, err := trickle.Write([]byte{one}); err != nil {
			break
		}
	}
	closes(t, trickle)
	closes(t, silent)
	closes(t, half)
	eventually(t, "slow ones are counted", func() bool { return b.refused(ReasonSlow) == 4 })

	connect(t, b).Close() // a port scan
	eventually(t, "a silent one is counted", func() bool { return b.refused(ReasonSilent) == 1 })
	pingPong(t, c)
}

// Too many connections without a header push each other out, not the members.
func TestCrowd(t *testing.T) {
	noLeak(t)
	var at book
	b := listen(t, &at, "b", echo)
	c := running(t, &at, b)
	const hosts, each = 5, maxFromHost + 3
	var crowd []net.Conn
	for i := range hosts {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(10+i))}}
		for range each {
			s, err := d.Dial("tcp", b.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			crowd = append(crowd, s)
		}
		if i == 0 {
			eventually(t, "one host is cut down", func() bool { return b.refused(ReasonCrowd) == each-maxFromHost })
		}
	}
	eventually(t, "the crowd is cut down", func() bool { return b.refused(ReasonCrowd) == hosts*each-maxGuests })
	closes(t, crowd[0]) // the oldest one
	if got, err := b.CallAddress(withTimeout(t), b.Addr().String(), "m", nil); err != nil {
		t.Errorf("CallAddress through the crowd = %q, %v", got, err)
	}
	pingPong(t, c)
}

// What is no call ends its connection, and no handler runs for it.
func TestFramesRefused(t *testing.T) {
	noLeak(t)
	var at book
	var ran atomic.Int64
	b := listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) { ran.Add(1); return nil, nil }, hurried(0, moment, moment))
	c := running(t, &at, b)
	frame := func(q *request) []byte {
		var w pipeConn
		if _, err := writeFrame(&w, q.head(), q.body); err != nil {
			t.Fatal(err)
		}
		return w.Bytes()
	}
	good := frame(&request{number: 1, method: "m", body: []byte("body")})
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	long := binary.BigEndian.AppendUint32(nil, maxFrame+1)
	for _, tt := range []struct {
		name   string
		bytes  []byte
		end    string // what the stranger does then
		reason Reason // empty: not worth a word
	}{
		{"garbage", []byte(strings.Repeat("garbage ", 100)), "stay", ReasonFrame},
		{"too long", append(long, make([]byte, 100)...), "stay", ReasonFrame},
		{"checksum", flipped, "stay", ReasonFrame},
		{"no method", frame(&request{number: 1}), "stay", ReasonFrame},
		{"long method", frame(&request{number: 1, method: strings.Repeat("m", maxMethod+1)}), "stay", ReasonFrame},
		{"short", rawFrame([]byte("short")), "stay", ReasonFrame},
		{"empty", rawFrame(nil), "stay", ReasonFrame},
		{"body does not come", good[:len(good)-1], "stay", ReasonSlow},
		{"cut", good[:len(good)-1], "close", ""},
		{"half closed", good[:len(good)-1], "half", ""},
		{"idle", nil, "stay", ""},
	} {
		before := b.Stats().Refused
		s := connect(t, b)
		greeted(t, s, &header{kind: kindCalls, cluster: "retail", from: "a", target: "b"})
		s.Write(tt.bytes)
		switch tt.end {
		case "close":
			s.Close()
		case "half":
			s.(*net.TCPConn).CloseWrite()
		}
		if tt.end != "close" {
			closes(t, s)
		}
		eventually(t, tt.name+": connection is forgotten", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.callers["a"] == 0
		})
		for _, r := range []Reason{ReasonFrame, ReasonSlow} {
			want := before[r]
			if r == tt.reason {
				want++
			}
			// Counted just after it is forgotten.
			eventually(t, tt.name+": refusal is counted", func() bool { return b.refused(r) == want })
		}
		pingPong(t, c)
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("handlers ran %d times; want 0", n)
	}
}

// pipeConn keeps what is written.
type pipeConn struct {
	net.Conn
	bytes.Buffer
}

func (c *pipeConn) Write(b []byte) (int, error) { return c.Buffer.Write(b) }
func (c *pipeConn) Read(b []byte) (int, error)  { return c.Buffer.Read(b) }

// rawFrame is a frame with any content.
func rawFrame(content []byte) []byte {
	var w pipeConn
	writeFrame(&w, append(make([]byte, frameHead), content...), nil)
	return w.Bytes()
}

// A frame costs the memory of the bytes that came, not of those it promises.
func TestFrameMemory(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, maxFrame)
	head = append(head, make([]byte, 8+1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readFrame(bytes.NewReader(head)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("readFrame = %v; want %v", err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("readFrame took %d bytes of memory for 1000", n)
	}
}

// A caller that does not wait for its answers gets them one at a time.
func TestNoPipelining(t *testing.T) {
	noLeak(t)
	const requests = 20
	var at book
	var now, most, ran atomic.Int64
	b := listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) {
		most.Store(max(most.Load(), now.Add(1)))
		runtime.Gosched()
		now.Add(-1)
		ran.Add(1)
		return nil, nil
	})
	s := connect(t, b)
	greeted(t, s, &header{kind: kindCalls, cluster: "retail", from: "a"})
	for i := range requests {
		if _, err := writeFrame(s, (&request{number: uint64(i), method: "m"}).head(), nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all ran", func() bool { return ran.Load() == requests })
	if n := most.Load(); n != 1 {
		t.Errorf("handlers of one connection at a time = %d; want 1", n)
	}
}

// A node has only so many connections for calls.
func TestCallsBusy(t *testing.T) {
	var at book
	a, b := listen(t, &at, "a", echo), listen(t, &at, "b", echo)
	b.mu.Lock()
	b.callers["a"] = maxConns
	b.mu.Unlock()
	if _, err := a.Call(withTimeout(t), "b", "m", nil); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "connections for calls already") {
		t.Errorf("Call = %v; want it unreachable", err)
	}
	if n := b.refused(ReasonBusy); n != 1 {
		t.Errorf("refused for busy = %d; want 1", n)
	}
	b.leftCalls("a")
	if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
		t.Errorf("Call = %v; want nil", err)
	}
}

// A stranger that listens where a node was does not do harm either.
func TestStrangeAcceptor(t *testing.T) {
	noLeak(t)
	for name, answer := range map[string]string{
		"other protocol": "SSH-2.0-OpenSSH_9.6\r\n",
		"nothing":        "",
		"half":           "anb\x03\x40half",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, answer)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}()
		var at book
		at.set("b", l.Addr().String())
		a := listen(t, &at, "a", echo, hurried(moment, 0, 0))
		if _, err := a.Call(withTimeout(t), "b", "m", nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: Call = %v; want it unreachable", name, err)
		}
		l.Close()
	}
}
