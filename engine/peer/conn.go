package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// errNotSent: the request was not written to its end, so nobody has read it.
var errNotSent = errors.New("request was not sent")

// callConn is a connection for calls on the side that makes them. Its reader
// always reads, so that an idle connection that ends is noticed at once.
type callConn struct {
	conn    net.Conn
	frame   time.Duration  // a response may take from its first byte to its last
	expire  *time.Timer    // while it is idle; guarded by pools.mu
	number  uint64         // of the last request; one call at a time has the connection
	waits   atomic.Bool    // a response is due
	answers chan *response // from the reader, never blocks it: no second one comes before the next request
	gone    chan struct{}  // closed when the reader has ended
	err     error          // why; written before gone is closed
}

func newCallConn(c net.Conn, frame time.Duration) *callConn {
	return &callConn{conn: c, frame: frame, answers: make(chan *response, 1), gone: make(chan struct{})}
}

// ended says whether the connection is known to be of no use.
func (c *callConn) ended() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// read hands over responses until the connection ends.
func (c *callConn) read() {
	r := bufio.NewReader(c.conn)
	for c.err == nil {
		c.err = c.readOne(r)
	}
	cut(c.conn)
	close(c.gone)
}

func (c *callConn) readOne(r *bufio.Reader) error {
	if _, err := r.Peek(1); err != nil {
		return err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(c.frame)); err != nil {
		return err
	}
	b, err := readFrame(r)
	if err != nil {
		return err
	}
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	a, err := parseResponse(b)
	if err != nil {
		return err
	}
	if !c.waits.CompareAndSwap(true, false) {
		return errors.New("a response that nobody asked for")
	}
	c.answers <- a
	return nil
}

// ask sends a request and waits for its response. After an error the connection
// must be closed; its owner closes it when ctx ends.
func (c *callConn) ask(ctx context.Context, q *request) (*response, error) {
	c.number++
	q.number, q.budget = c.number, 0
	if d, ok := ctx.Deadline(); ok {
		// A budget of nothing would mean no deadline.
		q.budget = max(time.Until(d), time.Microsecond)
	}
	if err := over(ctx); err != nil {
		return nil, err
	}
	c.waits.Store(true)
	if whole, err := writeFrame(c.conn, q.head(), q.body); err != nil && !whole {
		if ended := over(ctx); ended != nil {
			return nil, ended
		}
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	// After an error of the whole frame an answer may come all the same.
	select {
	case a := <-c.answers:
		return c.check(a, q)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.gone:
	}
	select {
	case a := <-c.answers: // it came first
		return c.check(a, q)
	default:
	}
	if ended := over(ctx); ended != nil {
		return nil, ended
	}
	return nil, fmt.Errorf("%w: %w", ErrBroken, c.err)
}

// over is ctx's error, also if only its clock has not rung yet: the other side's
// may have been quicker, and has hung up.
func over(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

func (c *callConn) check(a *response, q *request) (*response, error) {
	if a.number != q.number {
		return nil, fmt.Errorf("%w: response to request %d for request %d", ErrBroken, a.number, q.number)
	}
	return a, nil
}
