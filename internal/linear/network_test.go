package linear

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// network joins the nodes of a cluster in memory, in virtual time. It is as slow
// and unfair as it is told to be, per direction, and never loses a byte of a
// connection that lives: as TCP does, it delivers late what a cut held up.
type network struct {
	mu      sync.Mutex // guards all of the network, its connections included
	dice    *rand.Rand
	hosts   map[string]*host // by address
	cut     map[path]bool
	slow    map[path]time.Duration // by how much a delivery may be late
	changed chan struct{}          // closed and renewed when anything changes
}

// path is one direction between two nodes, by address.
type path struct{ from, to string }

// host is one life of a node at an address.
type host struct {
	listener *listener // nil: nobody listens
	silent   bool      // it lost its power: not even its kernel answers
	ends     []*end    // of its connections
}

func newNetwork(seed uint64) *network {
	return &network{dice: rand.New(rand.NewPCG(seed, 1)), hosts: map[string]*host{}, cut: map[path]bool{},
		slow: map[path]time.Duration{}, changed: make(chan struct{})}
}

// change tells all who wait to look again. The caller holds mu.
func (n *network) change() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// setCut holds up, or lets through, what one node sends another.
func (n *network) setCut(p path, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[p] = cut
	n.change()
}

// setSlow has deliveries of one direction come up to so much later.
func (n *network) setSlow(p path, late time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[p] = late
}

// heal ends cuts and slowness.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.slow)
	n.change()
}

// listen begins a node's life at an address. What its life before had open is
// reset, if that had no time to.
func (n *network) listen(address string) *listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.hosts[address]; old != nil {
		old.reset(n)
	}
	l := &listener{n: n, address: address}
	n.hosts[address] = &host{listener: l}
	n.change()
	return l
}

// kill ends a node's life: its connections are reset, or, when the machine has
// lost its power, say nothing any more. What the life still does reaches nobody.
func (n *network) kill(address string, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[address]
	h.listener.closed, h.silent = true, silent
	for _, e := range h.ends {
		e.dead = true
	}
	if !silent {
		h.reset(n)
	}
	n.change()
}

// reset has the other ends of a life's connections hear that it is over, in place
// of what is still on its way to them. The caller holds mu.
func (h *host) reset(n *network) {
	now := time.Now()
	for _, e := range h.ends {
		e.out.chunks = slices.DeleteFunc(e.out.chunks, func(c chunk) bool { return c.arrives.After(now) })
		e.out.push(n, chunk{err: syscall.ECONNRESET})
	}
	h.ends = nil
}

// dial opens a connection from one address to another.
func (n *network) dial(ctx context.Context, from, to string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "memory", Addr: address(to), Err: syscall.ECONNREFUSED}
	n.mu.Lock()
	defer n.mu.Unlock()
	own := n.hosts[from]
	if own == nil || own.silent || own.listener.closed {
		return nil, refused // the node that dials is no more
	}
	for {
		h := n.hosts[to]
		if !n.cut[path{from, to}] && !n.cut[path{to, from}] && (h == nil || !h.silent) {
			if h == nil || h.listener.closed {
				return nil, refused
			}
			here, there := n.pair(from, to)
			own.ends, h.ends = append(own.ends, here), append(h.ends, there)
			h.listener.waiting = append(h.listener.waiting, there)
			n.change()
			return here, nil
		}
		if err := n.wait(ctx.Done(), 0); err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

var errWaitEnded = errors.New("nothing came of waiting")

// wait gives mu up until something changes or, if bound is not 0, so long. It
// returns an error when done is closed first.
func (n *network) wait(done <-chan struct{}, bound time.Duration) error {
	changed := n.changed
	n.mu.Unlock()
	defer n.mu.Lock()
	var due <-chan time.Time
	if bound > 0 {
		t := time.NewTimer(bound)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
	case <-due:
	case <-done:
		return errWaitEnded
	}
	return nil
}

// listener takes a node's connections.
type listener struct {
	n       *network
	address string
	waiting []*end
	closed  bool
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	for {
		if l.closed {
			return nil, net.ErrClosed
		}
		if len(l.waiting) > 0 {
			c := l.waiting[0]
			l.waiting = l.waiting[1:]
			return c, nil
		}
		if err := l.n.wait(nil, 0); err != nil {
			return nil, err
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	l.n.change()
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.address) }

// address is a node's.
type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// lag is how long a delivery takes now. The caller holds mu.
func (n *network) lag(p path) time.Duration {
	lag := 100*time.Microsecond + time.Duration(n.dice.Int64N(int64(900*time.Microsecond)))
	if late := n.slow[p]; late > 0 {
		lag += time.Duration(n.dice.Int64N(int64(late)))
	}
	return lag
}
