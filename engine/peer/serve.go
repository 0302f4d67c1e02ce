package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// maxConns bounds the connections for calls from one node, which may have a
	// pool for our name and one for our address.
	maxConns = 2 * maxCalls
	// lastWords bounds how long the port's Close waits for an answer to be taken.
	lastWords = time.Second
)

// caller is a connection for calls on the side that answers.
type caller struct {
	port   *Port
	conn   net.Conn
	from   string
	ctx    context.Context // ends with the connection and with the port
	cancel context.CancelFunc
}

// welcomeCalls serves a connection until it ends.
func (p *Port) welcomeCalls(g *guest, conn net.Conn, from string) error {
	p.mu.Lock()
	busy := p.callers[from] >= maxConns
	if !busy {
		p.callers[from]++
	}
	p.mu.Unlock()
	if busy {
		return refuse(ReasonBusy, "node %s has %d connections for calls already", from, maxConns)
	}
	err := net.ErrClosed // to make room
	if !p.guests.leave(g) {
		err = writeAnswer(conn, "")
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil {
		c := &caller{port: p, conn: conn, from: from}
		c.ctx, c.cancel = context.WithCancel(p.ctx)
		p.done.Go(c.serve)
		return nil
	}
	p.leftCalls(from)
	return err
}

func (p *Port) leftCalls(from string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callers[from]--; p.callers[from] == 0 {
		delete(p.callers, from)
	}
}

// serve runs a handler for each request, and reads on meanwhile: the end of the
// connection is the end of the handler's ctx.
func (c *caller) serve() {
	stop := context.AfterFunc(c.ctx, func() {
		c.readWithin(0)
		c.writeWithin(lastWords)
	})
	var handler sync.WaitGroup
	err := c.requests(&handler)
	c.cancel()
	handler.Wait()
	stop()
	cut(c.conn)
	c.port.leftCalls(c.from)
	if r, ok := errors.AsType[*refusal](err); ok && c.port.ctx.Err() == nil {
		c.port.refusals.note(r.reason, c.conn.RemoteAddr(), fmt.Errorf("calls from node %s: %w", c.from, err))
	}
}

// requests reads requests until the connection ends or brings something else.
func (c *caller) requests(handler *sync.WaitGroup) error {
	r := bufio.NewReader(c.conn)
	c.readWithin(2 * c.port.o.patience.idle)
	for {
		if _, err := r.Peek(1); err != nil {
			return err
		}
		// One at a time: a request is not read before the last one's answer is
		// written. A caller may have read that before we know that it is.
		handler.Wait()
		c.readWithin(c.port.o.patience.frame)
		b, err := readFrame(r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refuse(ReasonSlow, "a frame is not complete after %s", c.port.o.patience.frame)
		}
		if err != nil {
			return err
		}
		q, err := parseRequest(b)
		if err != nil {
			return err
		}
		c.readWithin(0)
		handler.Go(func() { c.handle(q) })
	}
}

// handle runs the handler and answers.
func (c *caller) handle(q *request) {
	a := c.answer(q)
	if a == nil {
		cut(c.conn)
		return
	}
	a.number = q.number
	c.port.answers.Add(1)
	c.writeWithin(c.port.o.patience.frame)
	if _, err := writeFrame(c.conn, a.head(), a.body); err != nil {
		cut(c.conn) // the caller sees it as broken
		return
	}
	c.readWithin(2 * c.port.o.patience.idle)
}

// answer is what a request leads to: nil if that can't be said, because the
// handler was interrupted.
func (c *caller) answer(q *request) *response {
	ctx := c.ctx
	if q.budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.budget)
		defer cancel()
	}
	switch {
	case c.ctx.Err() != nil:
		return &response{status: statusNotRun, text: errClosed.Error()}
	case !c.port.o.Admits(c.from) && !c.port.knew(c.from): // not any more
		return &response{status: statusNotRun, text: c.port.noMember(c.from).Error()}
	}
	body, err := c.port.o.Handle(ctx, c.from, q.method, q.body)
	no, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		return &response{status: statusRefused, code: no.Code, text: no.Text}
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil
	case err != nil:
		return &response{status: statusRefused, text: err.Error()}
	case len(body) > MaxMessage:
		return &response{status: statusRefused, code: CodeTooLarge,
			text: fmt.Sprintf("response of %d bytes is above the limit of %d", len(body), MaxMessage)}
	}
	return &response{status: statusDone, body: body}
}

// readWithin bounds reading, 0 meaning that it may take for ever; but when the
// connection's ctx has ended, it ends at once. A connection that can't take a
// deadline is closed, and reading says so.
func (c *caller) readWithin(d time.Duration) {
	var end time.Time
	if d > 0 {
		end = time.Now().Add(d)
	}
	c.conn.SetReadDeadline(end)
	if c.ctx.Err() != nil {
		c.conn.SetReadDeadline(past)
	}
}

// writeWithin bounds writing in the same way; when the port closes, there is a
// moment for last words.
func (c *caller) writeWithin(d time.Duration) {
	c.conn.SetWriteDeadline(time.Now().Add(d))
	if c.ctx.Err() != nil {
		c.conn.SetWriteDeadline(time.Now().Add(min(d, lastWords)))
	}
}
