package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Port is the one address on which a node talks to the others: connections of
// its groups' streams, and calls. It is safe for concurrent use.
type Port struct {
	o        Options
	listener net.Listener
	tls      *identity // nil: plain TCP
	guests   guests
	refusals refusals
	pools    pools

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   sync.WaitGroup // all goroutines; added to under mu, or by one that is counted

	mu      sync.Mutex // guards what follows
	layers  map[uint64]*Layer
	callers map[string]int // open connections for calls, by the node that opened them

	streams atomic.Int64
	calls   atomic.Uint64
	answers atomic.Uint64
}

// Options of a port. All fields are required unless said otherwise.
type Options struct {
	Address  string       // to listen on, host:port
	Listener net.Listener // in place of Address, open already; may be nil
	Cluster  string       // name of the cluster: streams of another one are refused
	Node     string       // id of this node
	// Resolve says where a node can be reached, as host:port.
	Resolve func(node string) (address string, err error)
	// Incarnation of the cluster that this node's data are of, 0 while it has
	// none. A node with data of another one is refused. Nil: always 0.
	Incarnation func() uint64
	// Admits says whether a node may call or stream: the members of a formed
	// cluster, anybody with the cluster's name before. It is asked for every
	// connection and every call.
	Admits func(node string) bool
	// Knew says whether a node that is not admitted may call all the same: it was
	// a member, and may ask what has become of it. Handle decides what it may ask.
	// Nil: none may.
	Knew func(node string) bool
	// Handle answers calls. Nil: calls are refused.
	Handle Handler
	// TLS makes both sides show a certificate; nil: plain TCP.
	TLS *TLS
	// Dial opens a connection to an address, beside a Listener of the same
	// network, for tests. Nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	Log  *slog.Logger

	patience *patience // tests have less
}

// patience is for how long a port waits for the other side.
type patience struct {
	header time.Duration // for handshake, header and answer, from the first to the last byte
	frame  time.Duration // the same for a frame
	idle   time.Duration // keeps a connection for the next call
}

// usual is every product's patience. A caller drops an idle connection sooner
// than the other side does, so that none is closed under a request.
var usual = patience{header: 5 * time.Second, frame: 30 * time.Second, idle: 30 * time.Second}

func (o *Options) validate() (err error) {
	for _, name := range []string{o.Cluster, o.Node} {
		if name == "" || len(name) > maxName || !goodName(name) {
			err = errors.Join(err, fmt.Errorf("name %q: want 1 to %d printable characters without spaces", name, maxName))
		}
	}
	if o.Resolve == nil || o.Admits == nil || o.Log == nil {
		err = errors.Join(err, errors.New("options Resolve, Admits and Log are required"))
	}
	return err
}

// Listen opens a port. It takes calls at once; streams of a group from when its
// layer is there.
func Listen(o Options) (*Port, error) {
	if o.patience == nil {
		o.patience = &usual
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	p := &Port{o: o, listener: o.Listener, layers: map[uint64]*Layer{}, callers: map[string]int{}}
	p.refusals = refusals{log: o.Log, counts: map[Reason]uint64{}, lines: map[line]*quiet{}}
	p.pools.byTarget = map[target]*pool{}
	err := o.validate()
	if err == nil && o.TLS != nil {
		p.tls, err = openIdentity(*o.TLS, o.Cluster, o.Node, o.Log)
	}
	if err == nil && p.listener == nil {
		p.listener, err = net.Listen("tcp", o.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("peer port %s: %w", o.Address, err)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.done.Go(p.accept)
	return p, nil
}

// Addr is the address listened on.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Close ends calls in both directions and connections that no group has taken
// yet, and waits for handlers, whose ctx is cancelled. Streams of groups are
// theirs to close.
func (p *Port) Close() error {
	p.mu.Lock()
	closed := p.ctx.Err() != nil
	p.cancel()
	p.mu.Unlock()
	var err error
	if !closed {
		err = p.listener.Close()
	}
	p.guests.close()
	p.pools.close()
	p.done.Wait()
	return err
}

// Stats are a port's counters since it was opened.
type Stats struct {
	Streams int               // open streams of all groups, now
	Calls   uint64            // made by this node, whatever became of them
	Answers uint64            // to calls of other nodes
	Refused map[Reason]uint64 // what came from outside and was not welcome
}

// Stats returns the counters.
func (p *Port) Stats() Stats {
	p.refusals.mu.Lock()
	defer p.refusals.mu.Unlock()
	return Stats{Streams: int(p.streams.Load()), Calls: p.calls.Load(), Answers: p.answers.Load(),
		Refused: maps.Clone(p.refusals.counts)}
}
