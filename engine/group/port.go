package group

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Port is the one address on which a node's groups talk to their peers. A
// stream begins with a header that names cluster, group and target replica,
// because Raft's own messages name none of them: without it, a wiped node at an
// old address would vote as the replica that it was.
type Port struct {
	cluster  string
	listener net.Listener
	resolve  func(replica string) (address string, err error)
	log      *slog.Logger

	mu     sync.Mutex // guards what follows
	layers map[uint64]*layer
	open   map[net.Conn]struct{} // accepted, header not read yet
	closed bool

	done sync.WaitGroup // accept loop and header readers
}

// headerTimeout bounds how long a stranger may hold a connection.
const headerTimeout = 5 * time.Second

// headerMagic begins every stream; its last byte is the header's version.
const headerMagic = 0x616e6201

// maxName bounds the names in a header.
const maxName = 255

// errPortClosed is returned by Accept after Close.
var errPortClosed = errors.New("port is closed")

// Listen opens a port. resolve says where a replica can be reached.
func Listen(address, cluster string, resolve func(replica string) (string, error), log *slog.Logger) (*Port, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("peer port %s: %w", address, err)
	}
	p := &Port{cluster: cluster, listener: l, resolve: resolve, log: log,
		layers: map[uint64]*layer{}, open: map[net.Conn]struct{}{}}
	p.done.Go(p.accept)
	return p, nil
}

// Addr is the address listened on.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Close ends all streams that no group has taken yet and waits.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	for c := range p.open {
		c.Close() // its reader reports the error
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.done.Wait()
	return err
}

func (p *Port) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.log.Error("peer port accepts no more", "err", err)
			}
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.Close()
			return
		}
		p.open[c] = struct{}{}
		p.mu.Unlock()
		p.done.Go(func() { p.greet(c) })
	}
}

// greet reads a stream's header and hands it to its group, or refuses it with
// a reason.
func (p *Port) greet(c net.Conn) {
	l, err := p.readHeader(c)
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	if err == nil {
		err = l.take(c)
	}
	if err == nil {
		return
	}
	p.log.Warn("peer stream refused", "from", c.RemoteAddr(), "err", err)
	writeName(c, err.Error()) // the other side may be gone; it is closed anyway
	c.Close()
}

func (p *Port) readHeader(c net.Conn) (*layer, error) {
	if err := c.SetDeadline(time.Now().Add(headerTimeout)); err != nil {
		return nil, err
	}
	var fixed [12]byte
	if _, err := io.ReadFull(c, fixed[:]); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if binary.BigEndian.Uint32(fixed[:]) != headerMagic {
		return nil, errors.New("not a stream of anabranch, or of another version")
	}
	group := binary.BigEndian.Uint64(fixed[4:])
	cluster, err := readName(c)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	replica, err := readName(c)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	p.mu.Lock()
	l := p.layers[group]
	p.mu.Unlock()
	switch {
	case cluster != p.cluster:
		return nil, fmt.Errorf("cluster is %s, not %s", p.cluster, cluster)
	case l == nil:
		return nil, fmt.Errorf("group %d is not on this node", group)
	case replica != l.replica:
		return nil, fmt.Errorf("group %d: replica is %s, not %s", group, l.replica, replica)
	}
	return l, nil
}

func writeName(w io.Writer, s string) error {
	s = s[:min(len(s), maxName)]
	_, err := w.Write(append([]byte{byte(len(s))}, s...))
	return err
}

func readName(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, n[0])
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// layer is the stream layer of one group.
type layer struct {
	port    *Port
	group   uint64
	replica string // ours
	streams chan net.Conn
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
}

var _ raft.StreamLayer = (*layer)(nil)

// layer registers a group's replica at the port.
func (p *Port) layer(group uint64, replica string) (*layer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errPortClosed
	}
	if p.layers[group] != nil {
		return nil, fmt.Errorf("group %d is at this port already", group)
	}
	l := &layer{port: p, group: group, replica: replica, streams: make(chan net.Conn)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	p.layers[group] = l
	return l, nil
}

// take accepts a stream: an empty refusal, then Raft.
func (l *layer) take(c net.Conn) error {
	if err := writeName(c, ""); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	select {
	case l.streams <- c:
		return nil
	case <-l.ctx.Done():
		return errPortClosed
	}
}

// Accept implements net.Listener.
func (l *layer) Accept() (net.Conn, error) {
	select {
	case c := <-l.streams:
		return c, nil
	case <-l.ctx.Done():
		return nil, errPortClosed
	}
}

// Close implements net.Listener.
func (l *layer) Close() error {
	l.cancel()
	l.port.mu.Lock()
	defer l.port.mu.Unlock()
	delete(l.port.layers, l.group)
	return nil
}

// Addr implements net.Listener: our replica, by which Raft names us.
func (l *layer) Addr() net.Addr { return replicaAddr(l.replica) }

// Dial implements raft.StreamLayer. Raft's addresses are replica ids.
func (l *layer) Dial(replica raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	address, err := l.port.resolve(string(replica))
	if err != nil {
		return nil, fmt.Errorf("group %d: dial replica %s: %w", l.group, replica, err)
	}
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		err = l.introduce(c, string(replica), timeout)
	}
	if err != nil {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
		return nil, fmt.Errorf("group %d: dial replica %s: %w", l.group, replica, err)
	}
	return c, nil
}

// introduce sends the header and reads the answer.
func (l *layer) introduce(c net.Conn, replica string, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	w := bufio.NewWriter(c)
	var fixed [12]byte
	binary.BigEndian.PutUint32(fixed[:], headerMagic)
	binary.BigEndian.PutUint64(fixed[4:], l.group)
	w.Write(fixed[:]) // bufio keeps the first error for Flush
	writeName(w, l.port.cluster)
	writeName(w, replica)
	if err := w.Flush(); err != nil {
		return err
	}
	refusal, err := readName(c)
	if err != nil {
		return err
	}
	if refusal != "" {
		return errors.New("refused: " + refusal)
	}
	return c.SetDeadline(time.Time{})
}

// replicaAddr is a replica's id as an address.
type replicaAddr string

func (a replicaAddr) Network() string { return "replica" }
func (a replicaAddr) String() string  { return string(a) }
