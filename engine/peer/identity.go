package peer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS names PEM files: the authority that signs the certificates of this
// cluster's nodes, and this node's own certificate and key. A certificate names
// its node by a URI of the form anabranch://CLUSTER/NODE among its subject
// alternative names. Files that change are read again for the next connection.
type TLS struct{ CAFile, CertFile, KeyFile string }

func (t *TLS) files() [3]string { return [...]string{t.CAFile, t.CertFile, t.KeyFile} }

// restat is how often the files are looked at, at most.
const restat = time.Second

// identity is who this node is to others, from files that may change.
type identity struct {
	files         TLS
	cluster, node string
	log           *slog.Logger

	mu      sync.Mutex // guards what follows
	current *material
	seen    [3]os.FileInfo // of current
	looked  time.Time
	fault   string // the last one that was logged
}

// material is what the files say.
type material struct {
	authority *x509.CertPool
	cert      tls.Certificate
	server    *tls.Config
	client    *tls.Config
}

// openIdentity reads and checks the files.
func openIdentity(files TLS, cluster, node string, log *slog.Logger) (*identity, error) {
	i := &identity{files: files, cluster: cluster, node: node, log: log, looked: time.Now()}
	seen, err := i.stat()
	if err == nil {
		i.current, err = i.load()
	}
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	i.seen = seen
	return i, nil
}

// now is the material that new connections use. If the files have changed to
// something wrong, perhaps for the moment between the writing of two of them, it
// is what they were.
func (i *identity) now() *material {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.looked) < restat {
		return i.current
	}
	i.looked = time.Now()
	seen, err := i.stat()
	if err == nil && i.unchanged(seen) {
		return i.current
	}
	var m *material
	if err == nil {
		m, err = i.load()
	}
	if err != nil {
		if i.fault != err.Error() {
			i.fault = err.Error()
			i.log.Error("peer TLS files have changed and are not good: the old ones stay in use", "err", err)
		}
		return i.current
	}
	i.current, i.seen, i.fault = m, seen, ""
	i.log.Info("peer TLS files read again", "until", m.cert.Leaf.NotAfter)
	return m
}

// stat looks at the files before they are read: what changes later differs from
// it the next time.
func (i *identity) stat() (seen [3]os.FileInfo, err error) {
	for n, file := range i.files.files() {
		info, e := os.Stat(file)
		seen[n], err = info, errors.Join(err, e)
	}
	return seen, err
}

func (i *identity) unchanged(seen [3]os.FileInfo) bool {
	for n, info := range seen {
		old := i.seen[n]
		if !os.SameFile(info, old) || info.Size() != old.Size() || !info.ModTime().Equal(old.ModTime()) {
			return false
		}
	}
	return true
}

// load reads the files and checks that other nodes will take us for this one.
func (i *identity) load() (*material, error) {
	m := &material{authority: x509.NewCertPool()}
	if err := m.readAuthority(i.files.CAFile); err != nil {
		return nil, fmt.Errorf("authority %s: %w", i.files.CAFile, err)
	}
	var err error
	if m.cert, err = tls.LoadX509KeyPair(i.files.CertFile, i.files.KeyFile); err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", i.files.CertFile, i.files.KeyFile, err)
	}
	if err := i.own(m); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", i.files.CertFile, err)
	}
	m.server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.authority,
		SessionTicketsDisabled: true} // each connection shows its certificate
	m.client = &tls.Config{MinVersion: tls.VersionTLS13,
		// The certificate is shown whatever the other side asks for: then it can say what is wrong with it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &m.cert, nil },
		InsecureSkipVerify:   true} // host names mean nothing here: see verify
	return m, nil
}

// own checks our own certificate as the others will.
func (i *identity) own(m *material) error {
	chain := []*x509.Certificate{m.cert.Leaf}
	for _, der := range m.cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, c)
	}
	node, err := nodeOf(m.cert.Leaf, i.cluster)
	if err == nil && node != i.node {
		err = fmt.Errorf("certificate is that of node %s, not %s", node, i.node)
	}
	return errors.Join(err, m.signed(chain, x509.ExtKeyUsageServerAuth), m.signed(chain, x509.ExtKeyUsageClientAuth))
}

// signed checks that a certificate, with others on its way to the authority
// behind it, is good for a use.
func (m *material) signed(chain []*x509.Certificate, use x509.ExtKeyUsage) error {
	opts := x509.VerifyOptions{Roots: m.authority, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{use}}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}

// readAuthority reads all certificates of a file, and is stricter than the
// library: a bundle that is only half written must not count as the whole.
func (m *material) readAuthority(file string) error {
	rest, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			switch {
			case bytes.Contains(rest, []byte("-----BEGIN")):
				return errors.New("PEM block is cut off")
			case n == 0:
				return errors.New("no PEM certificate in it")
			}
			return nil
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("PEM block %d is a %s, want certificates only", n+1, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("PEM block %d: %w", n+1, err)
		}
		m.authority.AddCert(c)
	}
}
