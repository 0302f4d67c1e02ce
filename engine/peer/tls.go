package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
)

// scheme of the URI by which a certificate names its node.
const scheme = "anabranch"

// nodeOf is the node of a cluster that a certificate names.
func nodeOf(cert *x509.Certificate, cluster string) (string, error) {
	found := ""
	for _, u := range cert.URIs {
		if u.Scheme != scheme {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("certificate names more than one node: %s and %s", found, u)
		}
		found = u.String()
	}
	if found == "" {
		return "", fmt.Errorf("certificate names no node: no URI of the form %s://CLUSTER/NODE in it", scheme)
	}
	// Compared as text: a URI has many ways to say something else as well.
	own := scheme + "://" + cluster + "/"
	if len(found) <= len(own) || found[:len(own)] != own {
		return "", fmt.Errorf("certificate is that of %s, not of a node of cluster %s", found, cluster)
	}
	return found[len(own):], nil
}

// certified is what a guest's certificate proves: a node, or why not.
type certified struct {
	node string
	err  error
}

// secureGuest shakes hands with who dialled us. On a port without TLS it is the
// connection itself, and nothing is proven. A certificate that our authority has
// signed but that names no node of ours is no error here: it is told so in words
// after its header is read.
func (p *Port) secureGuest(raw net.Conn) (net.Conn, certified, error) {
	if p.tls == nil {
		return raw, certified{}, nil
	}
	c := tls.Server(raw, p.tls.now().server)
	err := c.HandshakeContext(p.ctx)
	if wrong, ok := errors.AsType[tls.RecordHeaderError](err); ok && wrong.Conn != nil {
		return raw, certified{}, refuse(ReasonTLS, "this port wants TLS")
	}
	if err != nil {
		return c, certified{}, handshakeFault(err)
	}
	node, err := nodeOf(c.ConnectionState().PeerCertificates[0], p.o.Cluster)
	if err != nil {
		err = refuse(ReasonCertificate, "%v", err)
	}
	return c, certified{node, err}, nil
}

// handshakeFault tells a guest who did not finish from one who did wrong.
func handshakeFault(err error) error {
	network, ok := errors.AsType[net.Error](err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && network.Timeout() {
		return err
	}
	return refuse(ReasonTLS, "%v", err)
}

// secureDialed shakes hands with whom we dialled.
func (p *Port) secureDialed(ctx context.Context, raw net.Conn, node string) (net.Conn, error) {
	if p.tls == nil {
		return raw, nil
	}
	m := p.tls.now()
	conf := m.client.Clone()
	conf.VerifyConnection = func(s tls.ConnectionState) error { return m.verify(s, p.o.Cluster, node) }
	c := tls.Client(raw, conf)
	err := c.HandshakeContext(ctx)
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return c, fmt.Errorf("no TLS there: %w", err)
	}
	return c, err
}

// verify checks whom we have dialled, in place of the library's check of a host
// name.
func (m *material) verify(s tls.ConnectionState, cluster, node string) error {
	if err := m.signed(s.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	got, err := nodeOf(s.PeerCertificates[0], cluster)
	if err != nil {
		return err
	}
	if node != "" && got != node {
		return fmt.Errorf("certificate is that of node %s, not %s", got, node)
	}
	return nil
}
