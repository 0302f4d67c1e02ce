package peer

import (
	"errors"
	"io"
	"net"
	"time"
)

// greet reads a guest's header and hands the connection to whom it is for, or
// refuses it with a reason.
func (p *Port) greet(g *guest) {
	c, h, err := p.introduced(g.conn)
	if err == nil {
		err = p.welcome(g, c, h)
	}
	if err == nil {
		return // it is somebody else's now
	}
	p.sendAway(g, c, err)
	p.guests.leave(g)
	g.conn.Close() // nobody waits for it
}

// sendAway counts and says why a guest is not welcome. It stays one until it has
// heard that.
func (p *Port) sendAway(g *guest, c net.Conn, err error) {
	reason := reasonOf(err)
	switch {
	case p.ctx.Err() != nil:
		return
	case p.guests.pushed(g):
		reason, err = ReasonCrowd, errors.New("too many connections without a header")
	case errors.Is(err, io.EOF):
		reason = ReasonSilent
	}
	p.refusals.note(reason, g.conn.RemoteAddr(), err)
	if r, ok := errors.AsType[*refusal](err); ok {
		dismiss(g.conn, c, r.text)
	}
}

// introduced reads who is there and what for, and checks it as far as that can be
// done without asking those it is for.
func (p *Port) introduced(raw net.Conn) (net.Conn, *header, error) {
	if err := tune(raw); err != nil {
		return raw, nil, err
	}
	if err := raw.SetDeadline(time.Now().Add(p.o.patience.header)); err != nil {
		return raw, nil, err
	}
	c, certified, err := p.secureGuest(raw)
	if err != nil {
		return c, nil, err
	}
	h, err := readHeader(c)
	switch {
	case err != nil:
	case certified.err != nil:
		err = certified.err
	case h.cluster != p.o.Cluster:
		err = refuse(ReasonCluster, "cluster is %s, not %s", p.o.Cluster, h.cluster)
	case p.tls != nil && h.from != certified.node:
		err = refuse(ReasonNode, "certificate is that of node %s, not %s", certified.node, h.from)
	default:
		err = p.sameLife(h)
	}
	if err == nil && !p.o.Admits(h.from) && (h.kind != kindCalls || !p.knew(h.from)) {
		err = p.noMember(h.from)
	}
	return c, h, err
}

func (p *Port) knew(node string) bool { return p.o.Knew != nil && p.o.Knew(node) }

// sameLife refuses a node whose data are of another incarnation of the cluster:
// what it says was true in a life that is over, or has not begun here.
func (p *Port) sameLife(h *header) error {
	if own := p.life(); h.life != 0 && own != 0 && h.life != own {
		return refuse(ReasonIncarnation, "node %s has data of incarnation %d of cluster %s, and node %s of incarnation %d: "+
			"the cluster was restored or recovered in between", h.from, h.life, p.o.Cluster, p.o.Node, own)
	}
	return nil
}

// life is the incarnation that this node's data are of, 0 if it has none.
func (p *Port) life() uint64 {
	if p.o.Incarnation == nil {
		return 0
	}
	return p.o.Incarnation()
}

func (p *Port) noMember(node string) error {
	return refuse(ReasonNode, "node %s is not a member of cluster %s", node, p.o.Cluster)
}

// welcome hands a connection over.
func (p *Port) welcome(g *guest, c net.Conn, h *header) error {
	if h.kind == kindStream {
		return p.welcomeStream(g, c, h)
	}
	switch {
	case p.o.Handle == nil:
		return refuse(ReasonTarget, "node %s answers no calls", p.o.Node)
	case h.target != "" && h.target != p.o.Node:
		return refuse(ReasonTarget, "node is %s, not %s", p.o.Node, h.target)
	}
	return p.welcomeCalls(g, c, h.from)
}

// farewell bounds how long a refused connection stays open, so that the reason
// arrives: closing with unread bytes would reset the connection and lose it.
const (
	farewell      = 250 * time.Millisecond
	farewellBytes = 16 << 10
)

// dismiss tells why, and waits until the other side has heard it. Nobody is
// helped by knowing that it could not be told.
func dismiss(raw, c net.Conn, reason string) {
	if err := raw.SetDeadline(time.Now().Add(farewell)); err != nil {
		return
	}
	writeAnswer(c, reason) // not after a failed handshake, whose alert is the answer
	if half, ok := raw.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		io.CopyN(io.Discard, raw, farewellBytes)
	}
}

// keepAlive finds a host that vanished, on connections where nothing is sent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}

// tune sets what a listener that we did not open may have left out. TCP_NODELAY
// is Go's default.
func tune(c net.Conn) error {
	if t, ok := c.(*net.TCPConn); ok {
		return t.SetKeepAliveConfig(keepAlive)
	}
	return nil
}
