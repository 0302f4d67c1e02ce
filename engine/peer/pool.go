package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits of the connections for calls to one node.
const (
	maxCalls = 1024 // calls at a time; more wait
	maxDials = 16   // connections being opened at a time; more wait, and the other side isn't crowded
	maxIdle  = 4    // kept for the next call
)

// target is what a pool's connections lead to.
type target struct {
	node    string // empty: whoever listens there
	address string
}

// pools are the connections for calls that this node has opened.
type pools struct {
	mu       sync.Mutex // guards what follows, and the pools in it
	byTarget map[target]*pool
	closed   bool
}

// pool are the connections to one target. There are as many pools as there are
// addresses of nodes, so they are never thrown away.
type pool struct {
	calls chan struct{} // one token for each call under way
	dials chan struct{} // one for each connection being opened
	idle  []*callConn   // last used last
	open  []*callConn   // all, to be closed
}

func (p *Port) pool(t target) *pool {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	o := p.pools.byTarget[t]
	if o == nil {
		o = &pool{calls: make(chan struct{}, maxCalls), dials: make(chan struct{}, maxDials)}
		p.pools.byTarget[t] = o
	}
	return o
}

// acquire takes a token, or gives up with ctx.
func acquire(ctx context.Context, tokens chan struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idleConn takes the connection that was used last, nil if none is left.
func (p *Port) idleConn(o *pool) *callConn {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	for len(o.idle) > 0 {
		c := o.idle[len(o.idle)-1]
		o.idle = o.idle[:len(o.idle)-1]
		c.expire.Stop() // if it is too late, drop finds the connection gone from the list
		if !c.ended() {
			return c
		}
	}
	return nil
}

// freshConn opens a connection.
func (p *Port) freshConn(ctx context.Context, o *pool, t target) (*callConn, error) {
	if err := acquire(ctx, o.dials); err != nil {
		return nil, err
	}
	defer func() { <-o.dials }()
	raw, err := p.dial(ctx, t.node, t.address, &header{kind: kindCalls, target: t.node})
	if err != nil {
		return nil, err
	}
	c := newCallConn(raw, p.o.patience.frame)
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	if p.pools.closed {
		cut(raw)
		return nil, errClosed
	}
	o.open = append(o.open, c)
	p.done.Go(func() {
		c.read()
		p.forget(o, c)
	})
	return c, nil
}

// keep puts a connection back for the next call.
func (p *Port) keep(o *pool, c *callConn) {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	if len(o.idle) >= maxIdle || p.pools.closed {
		cut(c.conn) // its reader ends
		return
	}
	o.idle = append(o.idle, c)
	c.expire = time.AfterFunc(p.o.patience.idle, func() { p.drop(o, c) })
}

// drop closes a connection that has been idle for long.
func (p *Port) drop(o *pool, c *callConn) {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	if i := slices.Index(o.idle, c); i >= 0 {
		o.idle = slices.Delete(o.idle, i, i+1)
		cut(c.conn) // its reader ends
	}
}

// forget takes a connection that has ended out of its pool.
func (p *Port) forget(o *pool, c *callConn) {
	p.pools.mu.Lock()
	defer p.pools.mu.Unlock()
	if i := slices.Index(o.idle, c); i >= 0 {
		o.idle = slices.Delete(o.idle, i, i+1)
		c.expire.Stop()
	}
	if i := slices.Index(o.open, c); i >= 0 {
		o.open = slices.Delete(o.open, i, i+1)
	}
}

// close ends all connections; their readers are waited for by the port.
func (p *pools) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, o := range p.byTarget {
		for _, c := range o.open {
			cut(c.conn) // calls on it see it as broken
		}
	}
}

// exchange makes one call. A connection that turns out dead before the request
// was on it is replaced once.
func (p *Port) exchange(ctx context.Context, t target, q *request) (*response, error) {
	o := p.pool(t)
	if err := acquire(ctx, o.calls); err != nil {
		return nil, err
	}
	defer func() { <-o.calls }()
	if c := p.idleConn(o); c != nil {
		a, err := p.ask(ctx, o, c, q)
		if !errors.Is(err, errNotSent) {
			return a, err
		}
	}
	c, err := p.freshConn(ctx, o, t)
	if err != nil {
		if ended := over(ctx); ended != nil {
			return nil, ended
		}
		// Not wrapped: a timeout of ours must not be taken for one of ctx.
		return nil, fmt.Errorf("%w: %v", ErrUnreachable, err)
	}
	a, err := p.ask(ctx, o, c, q)
	if errors.Is(err, errNotSent) {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return a, err
}

// ask makes a call on a connection and keeps it if it can carry another one.
func (p *Port) ask(ctx context.Context, o *pool, c *callConn, q *request) (*response, error) {
	stop := context.AfterFunc(ctx, func() { cut(c.conn) }) // that also ends a write that nobody reads
	a, err := c.ask(ctx, q)
	if !stop() || err != nil {
		cut(c.conn) // its reader ends
		return a, err
	}
	p.keep(o, c)
	return a, nil
}
