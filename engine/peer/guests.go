package peer

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// Limits for connections whose header is not accepted yet.
const (
	maxGuests   = 256
	maxFromHost = 64 // several nodes may share a host, and dial all at once when it starts
)

// guests are the accepted connections that have not shown an acceptable header.
type guests struct {
	mu     sync.Mutex // guards what follows
	list   []*guest   // oldest first
	closed bool
}

type guest struct {
	conn net.Conn // as accepted, below TLS
	host string
	left bool // because others came; guarded by guests.mu
}

// enter adds a connection. The oldest one of the same host, or of all, leaves if
// there are too many. It returns nil when the port is closed.
func (g *guests) enter(c net.Conn) *guest {
	n := &guest{conn: c, host: hostOf(c.RemoteAddr())}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	same, first := 0, -1
	for i, o := range g.list {
		if o.host == n.host {
			if same++; first < 0 {
				first = i
			}
		}
	}
	switch {
	case same >= maxFromHost:
		g.pushLocked(first)
	case len(g.list) >= maxGuests:
		g.pushLocked(0)
	}
	g.list = append(g.list, n)
	return n
}

func (g *guests) pushLocked(i int) {
	g.list[i].left = true
	g.list[i].conn.Close() // its reader sees it and reports
	g.list = slices.Delete(g.list, i, i+1)
}

// leave takes a connection off the list and says whether it was pushed before.
func (g *guests) leave(n *guest) (pushed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.list, n); i >= 0 {
		g.list = slices.Delete(g.list, i, i+1)
	}
	return n.left
}

func (g *guests) pushed(n *guest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return n.left
}

func (g *guests) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, n := range g.list {
		n.conn.Close() // its reader ends
	}
}

// Waits after a failed accept, doubling.
const (
	acceptFirstWait = 5 * time.Millisecond
	acceptLongWait  = time.Second
)

// accept takes connections until the port closes. A fault does not end it: too
// many open files is a state that passes.
func (p *Port) accept() {
	wait := acceptFirstWait
	for {
		c, err := p.listener.Accept()
		if err == nil {
			wait = acceptFirstWait
			if n := p.guests.enter(c); n != nil {
				p.done.Go(func() { p.greet(n) })
			} else {
				c.Close() // the port is closing
			}
			continue
		}
		if p.ctx.Err() != nil {
			return
		}
		if errors.Is(err, net.ErrClosed) {
			p.o.Log.Error("peer port accepts no more: its listener was closed by somebody else", "err", err)
			return
		}
		if wait == acceptFirstWait {
			p.o.Log.Error("peer port can't accept, tries again", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
		}
		wait = min(2*wait, acceptLongWait)
	}
}
