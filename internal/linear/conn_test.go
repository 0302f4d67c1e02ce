package linear

import (
	"io"
	"net"
	"os"
	"time"
)

// maxUnread bounds what is on its way in one direction of a connection: above it
// a writer waits, as on a full socket.
const maxUnread = 1 << 20

// end is one side of a connection. The network's mu guards its fields.
type end struct {
	n               *network
	local, remote   address
	in, out         *flow
	closed          bool
	dead            bool // the life that it belonged to is over
	readBy, writeBy time.Time
}

// flow is one direction of a connection.
type flow struct {
	path   path
	chunks []chunk
	bytes  int
	last   time.Time // when the newest chunk arrives: nothing overtakes it
	broken bool      // its reader is gone
}

// chunk is what was written at once, or how the flow ends.
type chunk struct {
	data    []byte
	err     error
	arrives time.Time
}

// pair makes a connection. The caller holds mu.
func (n *network) pair(from, to string) (here, there *end) {
	forth, back := &flow{path: path{from, to}}, &flow{path: path{to, from}}
	return &end{n: n, local: address(from), remote: address(to), in: back, out: forth},
		&end{n: n, local: address(to), remote: address(from), in: forth, out: back}
}

// push sends a chunk on its way. The caller holds mu.
func (f *flow) push(n *network, c chunk) {
	c.arrives = time.Now().Add(n.lag(f.path))
	if c.arrives.Before(f.last) {
		c.arrives = f.last
	}
	f.last = c.arrives
	f.chunks = append(f.chunks, c)
	f.bytes += len(c.data)
	n.change()
}

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case e.closed || e.dead:
			return 0, net.ErrClosed
		case !e.readBy.IsZero() && !now.Before(e.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		var bound time.Duration
		if !e.readBy.IsZero() {
			bound = e.readBy.Sub(now)
		}
		if len(e.in.chunks) > 0 && !e.n.cut[e.in.path] {
			c := &e.in.chunks[0]
			if late := c.arrives.Sub(now); late <= 0 {
				if c.err != nil {
					return 0, c.err
				}
				return e.take(c, b), nil
			} else if bound == 0 || late < bound {
				bound = late
			}
		}
		if err := e.n.wait(nil, bound); err != nil {
			return 0, err
		}
	}
}

// take reads from a chunk that has arrived.
func (e *end) take(c *chunk, b []byte) int {
	m := copy(b, c.data)
	e.in.bytes -= m
	if c.data = c.data[m:]; len(c.data) == 0 {
		e.in.chunks = e.in.chunks[1:]
	}
	if e.in.bytes+m > maxUnread {
		e.n.change()
	}
	return m
}

// Write implements net.Conn.
func (e *end) Write(b []byte) (int, error) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case e.closed || e.dead:
			return 0, net.ErrClosed
		case !e.writeBy.IsZero() && !now.Before(e.writeBy):
			return 0, os.ErrDeadlineExceeded
		case e.out.broken:
			return 0, io.ErrClosedPipe
		case e.out.bytes <= maxUnread:
			e.out.push(e.n, chunk{data: append([]byte(nil), b...)})
			return len(b), nil
		}
		var bound time.Duration
		if !e.writeBy.IsZero() {
			bound = e.writeBy.Sub(now)
		}
		if err := e.n.wait(nil, bound); err != nil {
			return 0, err
		}
	}
}

// Close implements net.Conn.
func (e *end) Close() error {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	if !e.dead {
		e.in.broken = true
		e.out.push(e.n, chunk{err: io.EOF})
	}
	e.n.change()
	return nil
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.local }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.remote }

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error { return e.setDeadlines(&t, &t) }

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error { return e.setDeadlines(&t, nil) }

// SetWriteDeadline implements net.Conn.
func (e *end) SetWriteDeadline(t time.Time) error { return e.setDeadlines(nil, &t) }

func (e *end) setDeadlines(read, write *time.Time) error {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	if read != nil {
		e.readBy = *read
	}
	if write != nil {
		e.writeBy = *write
	}
	e.n.change()
	return nil
}
