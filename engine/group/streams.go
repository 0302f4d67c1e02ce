package group

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/peer"
)

// errStreamsClosed is what Raft gets from closed streams.
var errStreamsClosed = errors.New("streams are closed")

// streams are a group's streams as Raft wants them; its addresses are replica
// ids. They know when each replica last answered, and can all be cut at once,
// which Raft's transport can't.
type streams struct {
	layer *peer.Layer
	since time.Time     // contact times count from here
	lost  chan struct{} // woken when a stream ends that another replica had opened
	cut   chan struct{} // closed by Close

	mu      sync.Mutex // guards what follows
	open    map[*stream]struct{}
	contact map[string]*atomic.Int64 // by replica: when it last answered, in ns
	waiting map[string]int           // by replica: dials that wait for it
	closed  bool
}

var _ raft.StreamLayer = (*streams)(nil)

func newStreams(layer *peer.Layer) *streams {
	return &streams{layer: layer, since: time.Now(), lost: make(chan struct{}, 1), cut: make(chan struct{}), open: map[*stream]struct{}{}, contact: map[string]*atomic.Int64{}, waiting: map[string]int{}}
}

// stream is one of them.
type stream struct {
	net.Conn
	of      *streams
	contact *atomic.Int64 // nil when the other side dialled
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n > 0 && s.contact != nil {
		s.contact.Store(int64(time.Since(s.of.since)))
	}
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	closed := s.of.closed
	s.of.mu.Unlock()
	err := s.Conn.Close()
	if closed {
		return nil
	}
	if s.contact == nil {
		select {
		case s.of.lost <- struct{}{}:
		default:
		}
	}
	return err
}

const (
	dialPatience = 30 * time.Second
	dialEvery    = 100 * time.Millisecond
	// dialWaiters is how many dials wait for one replica. While there is no
	// quorum, each of Raft's elections would add one.
	dialWaiters = 8
)

// Dial implements raft.StreamLayer. It waits for a replica that can't be
// reached: Raft would wait longer and longer between attempts, up to ten
// seconds, and so let a follower lie that has come back.
func (s *streams) Dial(replica raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := s.layer.Dial(string(replica), timeout)
	if err == nil {
		return s.add(c, string(replica))
	}
	if !s.mayWait(string(replica)) {
		return nil, err
	}
	defer s.waited(string(replica))
	limit := time.NewTimer(dialPatience)
	defer limit.Stop()
	again := time.NewTicker(dialEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-limit.C:
			return nil, err
		case <-s.cut:
			return nil, errStreamsClosed
		}
		if c, err = s.layer.Dial(string(replica), timeout); err == nil {
			return s.add(c, string(replica))
		}
	}
}

func (s *streams) mayWait(replica string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[replica] == dialWaiters {
		return false
	}
	s.waiting[replica]++
	return true
}

func (s *streams) waited(replica string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[replica]--
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	c, err := s.layer.Accept()
	if err != nil {
		return nil, err
	}
	return s.add(c, "")
}

func (s *streams) add(c net.Conn, replica string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(errStreamsClosed, c.Close())
	}
	st := &stream{Conn: c, of: s}
	if replica != "" {
		if st.contact = s.contact[replica]; st.contact == nil {
			st.contact = new(atomic.Int64)
			s.contact[replica] = st.contact
		}
	}
	s.open[st] = struct{}{}
	return st, nil
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return s.layer.Addr() }

// Close implements net.Listener: it cuts all streams, and lets none be opened
// again.
func (s *streams) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.cut)
	}
	open := s.open
	s.open = nil
	s.mu.Unlock()
	err := s.layer.Close()
	var closing sync.WaitGroup
	for st := range open {
		closing.Go(func() { st.Conn.Close() }) // TLS waits for a peer that hangs; errors don't matter any more
	}
	closing.Wait()
	return err
}

// last is when a replica last answered us, 0 for never.
func (s *streams) last(replica string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.contact[replica]; c != nil {
		return time.Duration(c.Load())
	}
	return 0
}

// heard reports whether a replica answered us within a time.
func (s *streams) heard(replica string, within time.Duration) bool {
	last := s.last(replica)
	return last > 0 && time.Since(s.since)-last <= within
}

// byContact lists the replicas that answered within a time, the last to answer
// first.
func (s *streams) byContact(servers []raft.Server, within time.Duration) []raft.Server {
	list := slices.DeleteFunc(slices.Clone(servers), func(o raft.Server) bool { return !s.heard(string(o.ID), within) })
	slices.SortStableFunc(list, func(a, b raft.Server) int {
		return cmp.Compare(s.last(string(b.ID)), s.last(string(a.ID)))
	})
	return list
}
