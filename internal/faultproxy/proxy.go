// Package faultproxy stands between two ends of TCP connections in tests and
// does to them what networks do: it holds bytes back (a partition, in one
// direction or both), delays them, lets them through slowly, cuts connections.
//
// What is held is neither lost nor closed: as in a real partition neither end
// learns anything, not even that the other one has died, and what was under way
// arrives when the fault is lifted. Chance is seeded: connections are numbered as
// they come, and the n-th one of a seed always has the same jitter and the same
// place where it is cut.
//
// All goroutines are the proxy's; [Proxy.Close] ends them and waits. It is no
// part of the product.
package faultproxy

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Direction of bytes.
type Direction int

// Directions.
const (
	To   Direction = iota // from who dials the proxy to the target
	From                  // back
)

// Faults of one direction. The zero value is a good network.
type Faults struct {
	Hold           bool          // nothing passes; new connections are not made either if they are held on the way there
	Delay          time.Duration // of each byte, without slowing down the stream
	Jitter         time.Duration // more delay, between 0 and this; order is kept
	BytesPerSecond int           // 0: no limit
	// CutAfter cuts a connection opened from now on after a number of bytes
	// between 1 and twice this. 0: never.
	CutAfter int64
}

// Proxy forwards connections to one target.
type Proxy struct {
	listener net.Listener
	target   string
	seed     uint64
	done     sync.WaitGroup
	closed   chan struct{}

	mu      sync.Mutex // guards what follows
	faults  [2]Faults
	changed chan struct{} // closed and renewed when faults change
	links   map[*link]struct{}
	count   uint64 // connections so far
	stopped bool
}

// Listen opens a proxy to a target on a free loopback port.
func Listen(target string, seed uint64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, seed: seed, closed: make(chan struct{}),
		changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.done.Go(p.accept)
	return p, nil
}

// Addr is where to dial in place of the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set gives a direction its faults, from the next byte on.
func (p *Proxy) Set(d Direction, f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[d] = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// Partition holds both directions.
func (p *Proxy) Partition() {
	p.Set(To, Faults{Hold: true})
	p.Set(From, Faults{Hold: true})
}

// Heal lifts all faults.
func (p *Proxy) Heal() {
	p.Set(To, Faults{})
	p.Set(From, Faults{})
}

// Cut closes all connections at both ends, and returns how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.close()
	}
	return n
}

// Open is the number of connections.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close ends everything and waits.
func (p *Proxy) Close() error {
	p.mu.Lock()
	stopped := p.stopped
	p.stopped = true
	p.mu.Unlock()
	if stopped {
		return nil
	}
	close(p.closed)
	err := p.listener.Close()
	p.Cut()
	p.done.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		l := &link{proxy: p, near: c, ended: make(chan struct{})}
		for d := range l.rand {
			l.rand[d] = rand.New(rand.NewPCG(p.seed, p.count<<1|uint64(d)))
			l.left[d] = -1
			if n := p.faults[d].CutAfter; n > 0 {
				l.left[d] = 1 + l.rand[d].Int64N(2*n)
			}
		}
		p.count++
		p.links[l] = struct{}{}
		if p.stopped {
			l.close()
		}
		p.mu.Unlock()
		p.done.Go(l.run)
	}
}

func (p *Proxy) state(d Direction) (Faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults[d], p.changed
}

var errEnded = errors.New("connection has ended")
