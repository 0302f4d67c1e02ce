package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// dial opens a connection and shows the header, which it completes. node is who
// must answer, empty for any node of the cluster. It ends with ctx, with the
// port, and with its patience.
func (p *Port) dial(ctx context.Context, node, address string, h *header) (net.Conn, error) {
	h.cluster, h.from, h.life = p.o.Cluster, p.o.Node, p.life()
	ctx, cancel := context.WithTimeout(ctx, p.o.patience.header)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	raw, err := p.o.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c, err := p.introduce(ctx, raw, node, h)
	if err != nil {
		raw.Close() // err says what matters
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return c, nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	return d.DialContext(ctx, "tcp", address)
}

// past is a deadline that ends reading and writing at once.
var past = time.Unix(1, 0)

// introduce makes an open connection one of ours.
func (p *Port) introduce(ctx context.Context, raw net.Conn, node string, h *header) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(past) })
	c, err := p.secureDialed(ctx, raw, node)
	if err == nil {
		_, err = c.Write(h.append(nil))
	}
	if err == nil {
		err = readAnswer(c)
	}
	if !stop() { // the deadline may come at any time, and would hit the connection's new owner
		return nil, errors.Join(ctx.Err(), err)
	}
	return c, err
}

// cut closes a connection without TLS's farewell, which blocks while the other
// side does not read.
func cut(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	c.Close() // nobody waits for what may be lost
}
