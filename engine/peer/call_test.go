package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCall(t *testing.T) {
	noLeak(t)
	var at book
	a, b := listen(t, &at, "a", echo), listen(t, &at, "b", echo)
	ctx := withTimeout(t)
	for i := range 3 {
		got, err := a.Call(ctx, "b", "say", fmt.Append(nil, i))
		if want := fmt.Sprintf("a say %d", i); err != nil || string(got) != want {
			t.Errorf("Call = %q, %v; want %q", got, err, want)
		}
	}
	got, err := b.CallAddress(ctx, a.Addr().String(), "who", nil)
	if err != nil || string(got) != "b who " {
		t.Errorf("CallAddress = %q, %v; want %q", got, err, "b who ")
	}
	if got, err := a.Call(ctx, "a", "self", nil); err != nil || string(got) != "a self " {
		t.Errorf("Call to itself = %q, %v", got, err)
	}
	if n := openConns(a, "b"); n != 1 {
		t.Errorf("connections for three calls in a row = %d; want 1", n)
	}
	if s, r := a.Stats(), b.Stats(); s.Calls != 4 || s.Answers != 2 || r.Calls != 1 || r.Answers != 3 {
		t.Errorf("Stats = %+v and %+v", s, r)
	}
}

func openConns(p *Port, node string) int {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	n := 0
	for t, o := range p.pools.byTarget {
		if t.node == node {
			n += len(o.open)
		}
	}
	return n
}

// Bodies of all sizes around the limits of pieces and of messages arrive whole.
func TestCallSizes(t *testing.T) {
	var at book
	a := listen(t, &at, "a", nil)
	listen(t, &at, "b", func(_ context.Context, _, _ string, q []byte) ([]byte, error) {
		if len(q) == MaxMessage {
			q = append(q, 1)
			return q[:len(q):len(q)], nil
		}
		return q, nil
	})
	ctx := withTimeout(t)
	for _, n := range []int{0, 1, 1000, wholeFrame - 20, wholeFrame, firstPiece - 20, firstPiece, 3*firstPiece + 7, MaxMessage - 1} {
		body := bytes.Repeat([]byte{byte(n), 7, 3}, n/3+1)[:n]
		got, err := a.Call(ctx, "b", strings.Repeat("m", maxMethod), body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("Call(%d bytes) = %d bytes, %v; want the same", n, len(got), err)
		}
	}
	for _, tt := range []struct {
		method string
		size   int
		want   string
	}{
		{"m", MaxMessage + 1, "request of 16777217 bytes"},
		{"m", MaxMessage, "response of 16777217 bytes"},
		{strings.Repeat("m", maxMethod+1), 1, "method name of 65 bytes"},
		{"", 1, "method name of 0 bytes"},
	} {
		_, err := a.Call(ctx, "b", tt.method, make([]byte, tt.size))
		no, ok := errors.AsType[*Refusal](err)
		if !ok || no.Code != CodeTooLarge || !strings.Contains(no.Text, tt.want) {
			t.Errorf("Call(%d bytes) = %v; want %q", tt.size, err, tt.want)
		}
	}
}

func TestCallRefusals(t *testing.T) {
	var at book
	a := listen(t, &at, "a", nil)
	listen(t, &at, "b", func(_ context.Context, _, method string, _ []byte) ([]byte, error) {
		switch method {
		case "refusal":
			return nil, fmt.Errorf("asked: %w", &Refusal{Code: "not_leader", Text: "the leader is n3"})
		case "error":
			return nil, errors.New("disk is full")
		default:
			return nil, context.DeadlineExceeded // of something inside
		}
	})
	ctx := withTimeout(t)
	for method, want := range map[string]Refusal{
		"refusal": {"not_leader", "the leader is n3"},
		"error":   {"", "disk is full"},
		"timeout": {"", "context deadline exceeded"},
	} {
		_, err := a.Call(ctx, "b", method, nil)
		if got, ok := errors.AsType[*Refusal](err); !ok || *got != want {
			t.Errorf("Call(%s) = %v; want %+v", method, err, want)
		}
	}
	if n := openConns(a, "b"); n != 1 {
		t.Errorf("connections after refusals = %d; want 1", n)
	}
}

// A call that certainly was not made is told from one that may have been.
func TestCallNotMade(t *testing.T) {
	noLeak(t)
	var at book
	var ran atomic.Int64
	count := func(context.Context, string, string, []byte) ([]byte, error) { ran.Add(1); return nil, nil }
	a := listen(t, &at, "a", echo)
	gone := listen(t, &at, "gone", count)
	gone.Close()
	listen(t, &at, "deaf", nil)
	listen(t, &at, "other", count, func(o *Options) { o.Cluster = "wholesale" })
	listen(t, &at, "shy", count, func(o *Options) { o.Admits = func(string) bool { return false } })
	b := listen(t, &at, "b", count)
	at.set("mistaken", b.Addr().String())
	for node, want := range map[string]string{
		"gone":     "connection refused",
		"deaf":     "node deaf answers no calls",
		"other":    "cluster is wholesale, not retail",
		"shy":      "node a is not a member",
		"mistaken": "node is b, not mistaken",
		"unknown":  "no such node",
	} {
		_, err := a.Call(withTimeout(t), node, "m", nil)
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), want) {
			t.Errorf("Call(%s) = %v; want it unreachable: %q", node, err, want)
		}
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("handlers ran %d times; want 0", n)
	}
}

// The handler sees the caller's deadline and the caller's giving up; the caller
// sees its own ctx's error.
func TestCallGivenUp(t *testing.T) {
	noLeak(t)
	var at book
	a := listen(t, &at, "a", nil)
	ended, started := make(chan error, 1), make(chan struct{}, 1)
	listen(t, &at, "b", func(ctx context.Context, _, method string, _ []byte) ([]byte, error) {
		if method == "quick" {
			return nil, nil
		}
		started <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	if _, err := a.Call(withTimeout(t), "b", "quick", nil); err != nil { // so that a connection is in the pool
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	if _, err := a.Call(ctx, "b", "wait", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrBroken) {
		t.Errorf("Call cancelled = %v; want %v", err, context.Canceled)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("handler of a cancelled call ended by %v", err)
	}
	eventually(t, "cancelled call's connection closes", func() bool { return openConns(a, "b") == 0 })

	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.Call(ctx, "b", "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call past its deadline = %v; want %v", err, context.DeadlineExceeded)
	}
	if err := <-ended; err == nil {
		t.Error("handler's ctx has not ended")
	}
	<-started
	if _, err := a.Call(ctx, "b", "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call after its deadline = %v; want %v", err, context.DeadlineExceeded)
	}
}

// The budget that goes along ends the handler also if nobody closes the
// connection.
func TestBudget(t *testing.T) {
	var at book
	ended := make(chan error, 1)
	b := listen(t, &at, "b", func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return []byte("late"), nil
	})
	c := connect(t, b)
	greeted(t, c, &header{kind: kindCalls, cluster: "retail", from: "a"})
	q := &request{number: 9, budget: 20 * time.Millisecond, method: "m"}
	if _, err := writeFrame(c, q.head(), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handler ended by %v; want %v", err, context.DeadlineExceeded)
	}
	frame, err := readFrame(c)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseResponse(frame); err != nil || r.number != 9 || string(r.body) != "late" {
		t.Errorf("response = %+v, %v", r, err)
	}
}

// Calls side by side do not wait for each other, and at most maxIdle connections
// are kept of them.
func TestCallsSideBySide(t *testing.T) {
	noLeak(t)
	const calls = 50
	var at book
	a := listen(t, &at, "a", nil)
	var all sync.WaitGroup // all handlers run at the same time, or none ends
	all.Add(calls)
	listen(t, &at, "b", func(_ context.Context, _, _ string, q []byte) ([]byte, error) {
		all.Done()
		all.Wait()
		return q, nil
	})
	ctx := withTimeout(t)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			want := fmt.Sprint(i)
			if got, err := a.Call(ctx, "b", "m", []byte(want)); err != nil || string(got) != want {
				t.Errorf("Call(%s) = %q, %v", want, got, err)
			}
		})
	}
	wg.Wait()
	eventually(t, "idle connections close", func() bool { return openConns(a, "b") == maxIdle })
}

// The caller's deadline goes along.
func TestDeadlineGoesAlong(t *testing.T) {
	var at book
	a := listen(t, &at, "a", nil)
	listen(t, &at, "b", func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		end, ok := ctx.Deadline()
		if !ok {
			return []byte("none"), nil
		}
		return []byte(time.Until(end).Round(time.Hour).String()), nil
	})
	short, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
	defer cancel()
	for want, ctx := range map[string]context.Context{"none": t.Context(), "5h0m0s": short} {
		if got, err := a.Call(ctx, "b", "m", nil); err != nil || string(got) != want {
			t.Errorf("deadline of the handler = %q, %v; want %q", got, err, want)
		}
	}
}
