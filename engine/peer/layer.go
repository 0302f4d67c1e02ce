package peer

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Layer carries the streams of one group: a listener, and Dial. Addresses are
// replica ids.
type Layer struct {
	port    *Port
	group   uint64
	replica string // ours
	streams chan arrival
	ctx     context.Context // ends with Close, and with the port
	cancel  context.CancelFunc
}

// arrival is a stream that waits for its group.
type arrival struct {
	guest *guest
	conn  net.Conn
}

// Layer registers a group's replica at the port.
func (p *Port) Layer(group uint64, replica string) (*Layer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	if p.layers[group] != nil {
		return nil, fmt.Errorf("group %d is at this port already", group)
	}
	l := &Layer{port: p, group: group, replica: replica, streams: make(chan arrival)}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	p.layers[group] = l
	return l, nil
}

// welcomeStream hands a stream to its group.
func (p *Port) welcomeStream(g *guest, c net.Conn, h *header) error {
	p.mu.Lock()
	l := p.layers[h.group]
	p.mu.Unlock()
	switch {
	case l == nil:
		return refuse(ReasonTarget, "group %d is not on this node", h.group)
	case h.target != l.replica:
		return refuse(ReasonTarget, "group %d: replica is %s, not %s", h.group, l.replica, h.target)
	}
	patience := time.NewTimer(p.o.patience.header)
	defer patience.Stop()
	select {
	case l.streams <- arrival{g, c}:
		return nil
	case <-l.ctx.Done():
		return refuse(ReasonTarget, "group %d is leaving this node", h.group)
	case <-patience.C:
		return refuse(ReasonBusy, "group %d takes no streams now", h.group)
	}
}

// Accept implements net.Listener. The stream is told that it is welcome only
// now: before, it could still be refused.
func (l *Layer) Accept() (net.Conn, error) {
	for {
		select {
		case a := <-l.streams:
			if l.port.guests.leave(a.guest) {
				continue // closed to make room
			}
			err := writeAnswer(a.conn, "")
			if err == nil {
				err = a.conn.SetDeadline(time.Time{})
			}
			if err == nil {
				return l.port.stream(a.conn), nil
			}
			a.guest.conn.Close() // it broke before it began
			l.port.refusals.note(ReasonSlow, a.guest.conn.RemoteAddr(), err)
		case <-l.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener. Streams live on.
func (l *Layer) Close() error {
	l.cancel()
	l.port.mu.Lock()
	defer l.port.mu.Unlock()
	if l.port.layers[l.group] == l {
		delete(l.port.layers, l.group)
	}
	return nil
}

// Addr implements net.Listener: our replica, by which Raft names us.
func (l *Layer) Addr() net.Addr { return replicaAddr(l.replica) }

// Dial opens a stream to another replica of the group.
func (l *Layer) Dial(replica string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	node := NodeOf(replica)
	address, err := l.port.o.Resolve(node)
	if err != nil {
		return nil, fmt.Errorf("group %d: dial replica %s: %w", l.group, replica, err)
	}
	c, err := l.port.dial(ctx, node, address, &header{kind: kindStream, group: l.group, target: replica})
	if err != nil {
		return nil, fmt.Errorf("group %d: dial replica %s: %w", l.group, replica, err)
	}
	return l.port.stream(c), nil
}

// stream counts a connection of a group while it is open, and is otherwise the
// connection itself.
type stream struct {
	net.Conn
	port *Port
	once sync.Once
}

func (p *Port) stream(c net.Conn) net.Conn {
	p.streams.Add(1)
	return &stream{Conn: c, port: p}
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.once.Do(func() { s.port.streams.Add(-1) })
	return s.Conn.Close()
}

// ReadFrom keeps the connection's own way to send a file, where it has one.
func (s *stream) ReadFrom(r io.Reader) (int64, error) { return io.Copy(s.Conn, r) }

// replicaAddr is a replica's id as an address.
type replicaAddr string

func (a replicaAddr) Network() string { return "replica" }
func (a replicaAddr) String() string  { return string(a) }

// NodeOf is the node of a replica: replicas are named node.generation, because
// one that rejoins after a loss must not be taken for what it was.
func NodeOf(replica string) string {
	if i := strings.LastIndexByte(replica, '.'); i > 0 {
		return replica[:i]
	}
	return replica
}
