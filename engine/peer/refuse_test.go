package peer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func addr(host string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(host), Port: port} }

// A reason and host have one line in a while, which says how many it stands for;
// the counters miss none.
func TestRefusalLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := refusals{log: slog.New(slog.NewTextHandler(&out, nil)), counts: map[Reason]uint64{}, lines: map[line]*quiet{}}
		for i := range 100 {
			r.note(ReasonGarbage, addr("10.0.0.9", 1000+i), errors.New("noise"))
		}
		r.note(ReasonTLS, addr("10.0.0.9", 7), errors.New("noise"))
		r.note(ReasonGarbage, addr("10.0.0.8", 7), errors.New("noise"))
		r.note(ReasonSilent, addr("10.0.0.8", 7), errors.New("not at this level"))
		if got := strings.Count(out.String(), "\n"); got != 3 {
			t.Errorf("lines = %d; want 3:\n%s", got, out.String())
		}
		<-time.After(logEvery) // of the bubble's clock
		out.Reset()
		r.note(ReasonGarbage, addr("10.0.0.9", 1), errors.New("noise"))
		if got := out.String(); !strings.Contains(got, "before=99") {
			t.Errorf("line after a while = %q; want before=99", got)
		}
		if n := r.counts[ReasonGarbage]; n != 102 {
			t.Errorf("count = %d; want 102", n)
		}
		for i := range 10 * maxHosts {
			r.note(ReasonGarbage, addr(fmt.Sprintf("10.1.%d.%d", i/256, i%256), 1), errors.New("noise"))
		}
		if n := len(r.lines); n > maxHosts+1 {
			t.Errorf("hosts remembered = %d; want at most %d and the others", n, maxHosts)
		}
	})
}

// failing is a listener that can't accept for a while.
type failing struct {
	net.Listener
	left atomic.Int64
}

func (l *failing) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptGoesOn(t *testing.T) {
	noLeak(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: l}
	f.left.Store(3)
	var at book
	a := listen(t, &at, "a", echo, func(o *Options) { o.Listener = f })
	if _, err := a.Call(withTimeout(t), "a", "m", nil); err != nil {
		t.Errorf("Call = %v; want nil", err)
	}
}
