package faultproxy

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// link is one connection through the proxy.
type link struct {
	proxy *Proxy
	near  net.Conn
	rand  [2]*rand.Rand
	left  [2]int64 // bytes until the cut, below 0: none; of its direction's reader

	mu    sync.Mutex // guards what follows
	far   net.Conn   // nil until something may pass
	ended chan struct{}
	over  bool
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over = true
	close(l.ended)
	l.near.Close()
	if l.far != nil {
		l.far.Close()
	}
}

// run forwards both ways until both ends have closed, or one is cut.
func (l *link) run() {
	defer func() {
		l.close()
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	}()
	if _, err := l.pass(To); err != nil {
		return
	}
	far, err := net.Dial("tcp", l.proxy.target)
	if err != nil {
		return // the dialler sees its connection close
	}
	l.mu.Lock()
	l.far = far
	over := l.over
	l.mu.Unlock()
	if over {
		far.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.forward(To, l.near, far) })
	both.Go(func() { l.forward(From, far, l.near) })
	both.Wait()
}

// piece is some bytes under way.
type piece struct {
	bytes []byte
	due   time.Time
	cut   bool // the connection ends after it
}

// forward moves one direction. An orderly end is passed on as such, any other
// one cuts the connection; both not before the direction lets them through.
func (l *link) forward(d Direction, from, to net.Conn) {
	pieces := make(chan piece, 64) // so much is under way; then the sender feels it
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() {
		l.read(d, from, pieces)
		close(pieces)
	})
	for p := range pieces {
		if err := l.deliver(d, p, to); err != nil || p.cut {
			l.close() // the reader ends too
		}
	}
	if _, err := l.pass(d); err != nil {
		return
	}
	if t, ok := to.(*net.TCPConn); ok && t.CloseWrite() != nil {
		l.close()
	}
}

// read makes pieces of what comes, until the end.
func (l *link) read(d Direction, from net.Conn, pieces chan<- piece) {
	buf := make([]byte, 16<<10)
	var last time.Time
	for {
		n, err := from.Read(buf)
		p := piece{bytes: append([]byte(nil), buf[:n]...), due: l.due(d, last), cut: err != nil && err != io.EOF}
		if left := l.left[d]; left >= 0 && int64(n) >= left {
			p.bytes, p.cut = p.bytes[:left], true
		} else if left >= 0 {
			l.left[d] -= int64(n)
		}
		last = p.due
		select {
		case pieces <- p:
		case <-l.ended:
			return
		}
		if p.cut || err != nil {
			return
		}
	}
}

// due is when a piece that comes now leaves again: never before the last one.
func (l *link) due(d Direction, last time.Time) time.Time {
	f, _ := l.proxy.state(d)
	due := time.Now().Add(f.Delay)
	if f.Jitter > 0 {
		due = due.Add(time.Duration(l.rand[d].Int64N(int64(f.Jitter) + 1)))
	}
	if due.Before(last) {
		return last
	}
	return due
}

// deliver writes a piece when it is due, and no faster than allowed.
func (l *link) deliver(d Direction, p piece, to net.Conn) error {
	if err := l.wait(time.Until(p.due)); err != nil {
		return err
	}
	for {
		f, err := l.pass(d)
		if err != nil || len(p.bytes) == 0 {
			return err
		}
		n := len(p.bytes)
		if f.BytesPerSecond > 0 {
			n = min(n, max(1, f.BytesPerSecond/100)) // hundredths of a second
			if err := l.wait(time.Duration(n) * time.Second / time.Duration(f.BytesPerSecond)); err != nil {
				return err
			}
		}
		if _, err := to.Write(p.bytes[:n]); err != nil {
			return err
		}
		p.bytes = p.bytes[n:]
	}
}

// pass waits while a direction is held.
func (l *link) pass(d Direction) (Faults, error) {
	for {
		f, changed := l.proxy.state(d)
		if !f.Hold {
			return f, nil
		}
		select {
		case <-changed:
		case <-l.ended:
			return f, errEnded
		}
	}
}

func (l *link) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.ended:
		return errEnded
	}
}
