package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/internal/faultproxy"
)

// through puts a proxy between the others and a node.
func through(t testing.TB, at *book, node string, seed uint64) *faultproxy.Proxy {
	t.Helper()
	address, err := at.resolve(node)
	if err != nil {
		t.Fatal(err)
	}
	p, err := faultproxy.Listen(address, seed)
	if err != nil {
		t.Fatal(err)
	}
	at.set(node, p.Addr())
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// waiting is a handler that waits for its ctx's end or for a word.
type waiting struct {
	started, ended chan struct{}
	let            chan struct{}
}

func newWaiting() *waiting {
	return &waiting{make(chan struct{}, 9), make(chan struct{}, 9), make(chan struct{}, 9)}
}

func (w *waiting) handle(ctx context.Context, _, method string, _ []byte) ([]byte, error) {
	if method == "quick" {
		return nil, nil
	}
	w.started <- struct{}{}
	defer func() { w.ended <- struct{}{} }()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.let:
		return []byte("let"), nil
	}
}

// A connection that breaks under a call: the caller can't know, the handler ends.
func TestCallBroken(t *testing.T) {
	noLeak(t)
	var at book
	w := newWaiting()
	listen(t, &at, "b", w.handle)
	proxy := through(t, &at, "b", 1)
	a := listen(t, &at, "a", nil)
	result := make(chan error, 1)
	go func() {
		_, err := a.Call(withTimeout(t), "b", "wait", nil)
		result <- err
	}()
	<-w.started
	proxy.Cut()
	if err := <-result; !errors.Is(err, ErrBroken) || errors.Is(err, ErrUnreachable) {
		t.Errorf("Call = %v; want %v", err, ErrBroken)
	}
	<-w.ended
	if _, err := a.Call(withTimeout(t), "b", "quick", nil); err != nil {
		t.Errorf("Call after the break = %v; want nil", err)
	}
}

// In a partition a call ends with its ctx, whatever direction is lost.
func TestCallPartitioned(t *testing.T) {
	noLeak(t)
	for _, held := range [][]faultproxy.Direction{{faultproxy.To}, {faultproxy.From}, {faultproxy.To, faultproxy.From}} {
		var at book
		var ran atomic.Int64
		b := listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) { ran.Add(1); return nil, nil })
		proxy := through(t, &at, "b", 1)
		a := listen(t, &at, "a", nil)
		if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
			t.Fatal(err)
		}
		for _, d := range held {
			proxy.Set(d, faultproxy.Faults{Hold: true})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*moment)
		if _, err := a.Call(ctx, "b", "m", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v held: Call = %v; want %v", held, err, context.DeadlineExceeded)
		}
		cancel()
		if held[0] == faultproxy.From {
			eventually(t, "request arrived", func() bool { return ran.Load() == 2 })
		} else if n := ran.Load(); n != 1 {
			t.Errorf("%v held: handler ran %d times; want 1", held, n)
		}
		proxy.Heal()
		if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
			t.Errorf("%v healed: Call = %v; want nil", held, err)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A partition that is there before the connection is: the node is not reachable,
// and that is known before ctx ends.
func TestDialPartitioned(t *testing.T) {
	noLeak(t)
	var at book
	listen(t, &at, "b", echo)
	through(t, &at, "b", 1).Partition()
	a := listen(t, &at, "a", nil, hurried(moment, 0, 0))
	_, err := a.Call(withTimeout(t), "b", "m", nil)
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call = %v; want only %v", err, ErrUnreachable)
	}
	if _, err := join(t, a, 1, "a.1").Dial("b.1", 20*time.Second); err == nil {
		t.Error("Dial = nil; want an error")
	}
}

// Whatever breaks, a call that succeeded ran once, one that is unreachable did
// not run, and none ran twice.
func TestAtMostOnce(t *testing.T) {
	noLeak(t)
	for name, shape := range transports(t) {
		t.Run(name, func(t *testing.T) {
			var at book
			ran := make([]atomic.Int64, 600)
			listen(t, &at, "b", func(_ context.Context, _, _ string, q []byte) ([]byte, error) {
				ran[binary.BigEndian.Uint64(q)].Add(1)
				return q, nil
			}, shape("b"))
			proxy := through(t, &at, "b", 42)
			a := listen(t, &at, "a", nil, shape("a"))
			proxy.Set(faultproxy.To, faultproxy.Faults{CutAfter: 40_000})
			proxy.Set(faultproxy.From, faultproxy.Faults{CutAfter: 40_000})
			var outcomes [3]atomic.Int64 // succeeded, unreachable, broken
			var wg sync.WaitGroup
			var next atomic.Int64
			for range 4 {
				wg.Go(func() {
					for {
						i := next.Add(1) - 1
						if int(i) >= len(ran) {
							return
						}
						q := binary.BigEndian.AppendUint64(nil, uint64(i))
						_, err := a.Call(withTimeout(t), "b", "m", append(q, make([]byte, i*137%20_000)...))
						switch {
						case err == nil:
							outcomes[0].Add(1)
							if n := ran[i].Load(); n != 1 {
								t.Errorf("call %d succeeded and ran %d times", i, n)
							}
						case errors.Is(err, ErrUnreachable):
							outcomes[1].Add(1)
							ran[i].Add(100) // must stay so
						case errors.Is(err, ErrBroken):
							outcomes[2].Add(1)
						default:
							t.Errorf("call %d: %v", i, err)
						}
					}
				})
			}
			wg.Wait()
			for i := range ran {
				if n := ran[i].Load(); n > 1 && n != 100 {
					t.Errorf("call %d ran %d times", i, n)
				}
			}
			t.Logf("%d calls succeeded, %d were not made, %d broke", outcomes[0].Load(), outcomes[1].Load(), outcomes[2].Load())
			if outcomes[0].Load() == 0 || outcomes[2].Load() == 0 {
				t.Error("not every outcome came about: the test shows nothing")
			}
		})
	}
}

// stale is an idle connection that turns out dead when it is written to. It takes
// some bytes of what is written, and ends.
type stale struct {
	net.Conn
	takes int
}

func (s *stale) Write(b []byte) (int, error) {
	s.Conn.Close()
	return min(len(b), s.takes), errors.New("broken pipe")
}

// A request that was not written whole is written again, on a fresh connection;
// one that was is not.
func TestStaleConnection(t *testing.T) {
	noLeak(t)
	for takes, want := range map[int]error{0: nil, 20: nil, 1 << 20: ErrBroken} {
		var at book
		var ran atomic.Int64
		listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) { ran.Add(1); return nil, nil })
		a := listen(t, &at, "a", nil)
		address, _ := at.resolve("b")
		o := a.pool(target{"b", address})
		mine, others := net.Pipe()
		defer others.Close()
		c := newCallConn(&stale{mine, takes}, time.Second)
		a.done.Go(c.read)
		a.keep(o, c)
		_, err := a.Call(withTimeout(t), "b", "m", nil)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Call on a connection that takes %d bytes = %v; want %v", takes, err, want)
		}
		wantRan := int64(1)
		if want != nil {
			wantRan = 0
		}
		if n := ran.Load(); n != wantRan {
			t.Errorf("handler ran %d times; want %d", n, wantRan)
		}
	}
}

// An answer that belongs to no request, or to another one, is not taken.
func TestWrongAnswer(t *testing.T) {
	noLeak(t)
	for name, number := range map[string]uint64{"another number": 7, "right": 1} {
		mine, others := net.Pipe()
		c := newCallConn(mine, time.Second)
		var wg sync.WaitGroup
		wg.Go(c.read)
		wg.Go(func() {
			if _, err := readFrame(others); err != nil {
				t.Error(err)
			}
			a := &response{number: number, status: statusDone, body: []byte("x")}
			writeFrame(others, a.head(), a.body)
			writeFrame(others, a.head(), a.body) // nobody asked for a second one
		})
		a, err := c.ask(withTimeout(t), &request{method: "m"})
		if number == 1 && (err != nil || string(a.body) != "x") || number != 1 && !errors.Is(err, ErrBroken) {
			t.Errorf("%s: ask = %+v, %v", name, a, err)
		}
		<-c.gone
		wg.Wait()
		others.Close()
	}
}

// The port's Close ends handlers and waits for them; an answer that one still
// gives arrives.
func TestCloseWaitsForHandlers(t *testing.T) {
	noLeak(t)
	var at book
	started := make(chan struct{})
	let := make(chan struct{})
	b := listen(t, &at, "b", func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		close(started)
		<-ctx.Done()
		<-let
		return []byte("done all the same"), nil
	})
	a := listen(t, &at, "a", nil)
	result := make(chan string, 1)
	go func() {
		got, err := a.Call(withTimeout(t), "b", "m", nil)
		if err != nil {
			got = []byte(err.Error())
		}
		result <- string(got)
	}()
	<-started
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	<-b.ctx.Done()
	select {
	case err := <-closed:
		t.Errorf("Close = %v before the handler has ended", err)
	default:
	}
	close(let)
	if got := <-result; got != "done all the same" {
		t.Errorf("Call = %q; want the handler's answer", got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := b.Call(withTimeout(t), "b", "m", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Call on a closed port = %v; want %v", err, ErrUnreachable)
	}
	if _, err := b.Layer(1, "b.1"); err == nil {
		t.Error("a closed port gave a layer")
	}
}

// Closing the caller's port ends its calls.
func TestCloseEndsCalls(t *testing.T) {
	noLeak(t)
	var at book
	w := newWaiting()
	listen(t, &at, "b", w.handle)
	a := listen(t, &at, "a", nil)
	result := make(chan error, 1)
	go func() {
		_, err := a.Call(withTimeout(t), "b", "wait", nil)
		result <- err
	}()
	<-w.started
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrBroken) {
		t.Errorf("Call = %v; want %v", err, ErrBroken)
	}
	<-w.ended
}

// A node that restarts is called on a fresh connection.
func TestRestart(t *testing.T) {
	noLeak(t)
	var at book
	a := listen(t, &at, "a", nil)
	b := listen(t, &at, "b", echo)
	if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
		t.Fatal(err)
	}
	address := b.Addr().String()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "idle connection ends", func() bool { return openConns(a, "b") == 0 })
	listen(t, &at, "b", echo, func(o *Options) { o.Address = address })
	if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
		t.Errorf("Call after a restart = %v; want nil", err)
	}
}

// Idle connections end by themselves, first on the side that opened them.
func TestIdle(t *testing.T) {
	noLeak(t)
	var at book
	a, b := listen(t, &at, "a", nil, hurried(0, 0, moment/4)), listen(t, &at, "b", echo)
	for range 2 {
		if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "idle connection ends", func() bool { return openConns(a, "b") == 0 })
	}
	eventually(t, "on the other side too", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.callers) == 0
	})
}

// Answers that are not read do not keep a handler for ever.
func TestAnswerNotRead(t *testing.T) {
	noLeak(t)
	var at book
	b := listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) {
		return make([]byte, MaxMessage), nil
	}, hurried(0, moment, 0))
	s := connect(t, b)
	greeted(t, s, &header{kind: kindCalls, cluster: "retail", from: "a"})
	if _, err := writeFrame(s, (&request{number: 1, method: "m"}).head(), nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connection is given up", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.callers) == 0 && b.Stats().Refused[ReasonSilent] == 0
	})
	if n, err := io.Copy(io.Discard, s); n >= MaxMessage {
		t.Errorf("read %d bytes, %v; want a part of the answer", n, err)
	}
}

// The port's Close does not wait long for an answer that nobody reads.
func TestCloseWithAnswerNotRead(t *testing.T) {
	noLeak(t)
	var at book
	b := listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) {
		return make([]byte, MaxMessage), nil
	})
	s := connect(t, b)
	greeted(t, s, &header{kind: kindCalls, cluster: "retail", from: "a"})
	if _, err := writeFrame(s, (&request{number: 1, method: "m"}).head(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, frameHead)); err != nil { // the answer is being written
		t.Fatal(err)
	}
	start := time.Now()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > usual.frame/2 {
		t.Errorf("Close took %v; want about %v", took, lastWords)
	}
}

// A node that is no member any more is heard no more, on the connection that it
// still has.
func TestExpelled(t *testing.T) {
	var at book
	var expelled atomic.Bool
	var ran atomic.Int64
	listen(t, &at, "b", func(context.Context, string, string, []byte) ([]byte, error) { ran.Add(1); return nil, nil },
		func(o *Options) { o.Admits = func(string) bool { return !expelled.Load() } })
	a := listen(t, &at, "a", nil)
	if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
		t.Fatal(err)
	}
	expelled.Store(true)
	if _, err := a.Call(withTimeout(t), "b", "m", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Call of an expelled node = %v; want %v", err, ErrUnreachable)
	}
	if n := ran.Load(); n != 1 {
		t.Errorf("handler ran %d times; want 1", n)
	}
}

// A node that was a member may call to learn that, but gets no stream.
func TestFormerMemberMayCall(t *testing.T) {
	var at book
	b := listen(t, &at, "b", echo, func(o *Options) {
		o.Admits, o.Knew = func(string) bool { return false }, func(node string) bool { return node == "a" }
	})
	layer, err := b.Layer(1, "b.1")
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	a, stranger := listen(t, &at, "a", nil), listen(t, &at, "z", nil)
	if _, err := a.Call(withTimeout(t), "b", "m", nil); err != nil {
		t.Errorf("Call of a former member = %v; want it answered", err)
	}
	if _, err := stranger.Call(withTimeout(t), "b", "m", nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Call of a stranger = %v; want %v", err, ErrUnreachable)
	}
	out, err := a.Layer(1, "a.1")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if c, err := out.Dial("b.1", time.Second); err == nil || !strings.Contains(err.Error(), "node a is not a member") {
		t.Errorf("Dial of a former member = %v, %v; want it refused", c, err)
	}
}
