package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(50, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue signs a certificate with these URIs. until 0 is far away.
func (a *authority) issue(t testing.TB, until time.Time, uris ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if until.IsZero() {
		until = a.cert.NotAfter
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Unix(0, 0), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, s := range uris {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		tmpl.URIs = append(tmpl.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// files writes a node's files to a directory.
func (a *authority) files(t testing.TB, dir, uri string) *TLS {
	t.Helper()
	cert, key := a.issue(t, time.Time{}, uri)
	f := &TLS{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	write(t, f.CAFile, a.pem)
	write(t, f.CertFile, cert)
	write(t, f.KeyFile, key)
	return f
}

func write(t testing.TB, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// with gives a node of a cluster a certificate of this authority.
func (a *authority) with(t testing.TB, node string) func(*Options) {
	return func(o *Options) { o.TLS = a.files(t, t.TempDir(), "anabranch://"+o.Cluster+"/"+node) }
}

// transports are the ways in which nodes talk: options for a node of each.
func transports(t testing.TB) map[string]func(node string) func(*Options) {
	ca := newAuthority(t)
	return map[string]func(string) func(*Options){
		"plain": func(string) func(*Options) { return func(*Options) {} },
		"tls":   func(node string) func(*Options) { return ca.with(t, node) },
	}
}

func TestTLS(t *testing.T) {
	noLeak(t)
	var at book
	ca := newAuthority(t)
	a, b := listen(t, &at, "a", echo, ca.with(t, "a")), listen(t, &at, "b", echo, ca.with(t, "b"))
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, body := range [][]byte{[]byte("hello"), big} {
		got, err := a.Call(withTimeout(t), "b", "say", body)
		if want := "a say " + string(body); err != nil || string(got) != want {
			t.Errorf("Call = %.20q, %v; want %.20q", got, err, want)
		}
	}
	if got, err := a.CallAddress(withTimeout(t), b.Addr().String(), "say", nil); err != nil || string(got) != "a say " {
		t.Errorf("CallAddress = %q, %v", got, err)
	}
	echoes(t, join(t, b, 1, "b.1"))
	c, err := join(t, a, 1, "a.1").Dial("b.1", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	pingPong(t, c)
	if v := c.(*stream).Conn.(*tls.Conn).ConnectionState().Version; v != tls.VersionTLS13 {
		t.Errorf("version of TLS = %#x; want 1.3", v)
	}
	c.Close()
}

// What a dialled node shows must be the certificate of that node.
func TestTLSDialled(t *testing.T) {
	noLeak(t)
	var at book
	ca := newAuthority(t)
	a := listen(t, &at, "a", echo, ca.with(t, "a"))
	b := listen(t, &at, "b", echo, ca.with(t, "b"))
	at.set("c", b.Addr().String()) // where c was once
	listen(t, &at, "w", echo, func(o *Options) { o.Cluster = "wholesale" }, ca.with(t, "w"))
	listen(t, &at, "s", echo, newAuthority(t).with(t, "s"))
	listen(t, &at, "plain", echo)
	toTLS := listen(t, &at, "p", echo)
	for _, tt := range []struct {
		from       *Port
		node, want string
	}{
		{a, "c", "certificate is that of node b, not c"},
		{a, "w", "certificate is that of anabranch://wholesale/w, not of a node of cluster retail"},
		{a, "s", "unknown authority"},
		{a, "plain", "no TLS there"},
		{toTLS, "b", "this port wants TLS"},
	} {
		_, err := tt.from.Call(withTimeout(t), tt.node, "m", nil)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Call(%s) = %v; want it unreachable: %q", tt.node, err, tt.want)
		}
	}
	// The plain one, and a, who did not like the certificate.
	eventually(t, "refusals are counted", func() bool { return b.refused(ReasonTLS) == 2 })
}

// Strangers with all sorts of certificates, and what they hear.
func TestTLSGuests(t *testing.T) {
	noLeak(t)
	var at book
	ca := newAuthority(t)
	b := listen(t, &at, "b", echo, ca.with(t, "b"), func(o *Options) { o.Admits = func(node string) bool { return node != "expelled" } })
	pair := func(by *authority, until time.Time, uris ...string) []tls.Certificate {
		c, err := tls.X509KeyPair(by.issue(t, until, uris...))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	var ever time.Time
	for _, tt := range []struct {
		name   string
		certs  []tls.Certificate
		from   string
		most   uint16 // version of TLS
		reason Reason
		want   string
	}{
		{"member", pair(ca, ever, "anabranch://retail/a"), "a", 0, "", ""},
		{"another name", pair(ca, ever, "anabranch://retail/c"), "a", 0, ReasonNode, "certificate is that of node c, not a"},
		{"not admitted", pair(ca, ever, "anabranch://retail/expelled"), "expelled", 0, ReasonNode, "node expelled is not a member"},
		{"another cluster", pair(ca, ever, "anabranch://wholesale/a"), "a", 0, ReasonCertificate, "not of a node of cluster retail"},
		{"cluster that begins so", pair(ca, ever, "anabranch://retail.x/a"), "a", 0, ReasonCertificate, "not of a node of cluster retail"},
		{"no node", pair(ca, ever, "https://retail/a"), "a", 0, ReasonCertificate, "names no node"},
		{"empty node", pair(ca, ever, "anabranch://retail/"), "", 0, ReasonGarbage, "a name in the header is missing"},
		{"two nodes", pair(ca, ever, "anabranch://retail/a", "anabranch://retail/b"), "a", 0, ReasonCertificate, "more than one node"},
		{"expired", pair(ca, time.Now().Add(-time.Hour), "anabranch://retail/a"), "a", 0, ReasonTLS, "expired certificate"},
		{"another authority", pair(newAuthority(t), ever, "anabranch://retail/a"), "a", 0, ReasonTLS, "unknown certificate authority"},
		{"no certificate", []tls.Certificate{{}}, "a", 0, ReasonTLS, "certificate required"},
		{"old TLS", pair(ca, ever, "anabranch://retail/a"), "a", tls.VersionTLS12, ReasonTLS, "protocol version"},
	} {
		before := b.refused(tt.reason)
		c := tls.Client(connect(t, b), &tls.Config{InsecureSkipVerify: true, MaxVersion: tt.most,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.certs[0], nil }})
		_, err := c.Write((&header{kind: kindCalls, cluster: "retail", from: tt.from, target: "b"}).append(nil))
		if err == nil {
			err = readAnswer(c)
		}
		c.Close()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: answer = %v; want %q", tt.name, err, tt.want)
		}
		if tt.reason != "" {
			eventually(t, tt.name+" is counted", func() bool { return b.refused(tt.reason) == before+1 })
		}
	}
}

// A handshake that does not end, or is none.
func TestTLSHandshakeNotFinished(t *testing.T) {
	noLeak(t)
	var at book
	ca := newAuthority(t)
	b := listen(t, &at, "b", echo, ca.with(t, "b"), hurried(5*moment, 0, 0))
	silent, half := connect(t, b), connect(t, b)
	half.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")) // a client's hello, the beginning
	closes(t, silent)
	closes(t, half)
	eventually(t, "slow ones are counted", func() bool { return b.refused(ReasonSlow) == 2 })
	connect(t, b).Close()
	eventually(t, "a silent one is counted", func() bool { return b.refused(ReasonSilent) == 1 })
	s := connect(t, b)
	io.WriteString(s, "\x16\x03\x01\x00\x04\xff\xff\xff\xff")
	closes(t, s)
	eventually(t, "a wrong one is counted", func() bool { return b.refused(ReasonTLS) == 1 })
}

func TestTLSFiles(t *testing.T) {
	ca := newAuthority(t)
	for name, tt := range map[string]struct {
		spoil func(f *TLS)
		want  string
	}{
		"good":            {func(*TLS) {}, ""},
		"no authority":    {func(f *TLS) { f.CAFile += "x" }, "ca.pemx: no such file"},
		"no key":          {func(f *TLS) { f.KeyFile = "" }, "no such file"},
		"other key":       {func(f *TLS) { _, key := ca.issue(t, time.Time{}, "x:y"); write(t, f.KeyFile, key) }, "private key does not match"},
		"other node":      {func(f *TLS) { *f = *ca.files(t, t.TempDir(), "anabranch://retail/z") }, "that of node z, not a"},
		"other cluster":   {func(f *TLS) { *f = *ca.files(t, t.TempDir(), "anabranch://whole/a") }, "not of a node of cluster retail"},
		"other authority": {func(f *TLS) { write(t, f.CAFile, newAuthority(t).pem) }, "unknown authority"},
		"key for CA":      {func(f *TLS) { f.CAFile = f.KeyFile }, "is a EC PRIVATE KEY, want certificates only"},
		"CA cut off":      {func(f *TLS) { write(t, f.CAFile, append(ca.pem, ca.pem[:200]...)) }, "cut off"},
		"CA empty":        {func(f *TLS) { write(t, f.CAFile, nil) }, "no PEM certificate"},
		"expired": {func(f *TLS) {
			cert, key := ca.issue(t, time.Now().Add(-time.Minute), "anabranch://retail/a")
			write(t, f.CertFile, cert)
			write(t, f.KeyFile, key)
		}, "expired"},
	} {
		f := ca.files(t, t.TempDir(), "anabranch://retail/a")
		tt.spoil(f)
		var at book
		p, err := Listen(Options{Address: "127.0.0.1:0", Cluster: "retail", Node: "a", Resolve: at.resolve, TLS: f,
			Admits: func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			p.Close()
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Listen = %v; want %q", name, err, tt.want)
		}
	}
}

// Changed files are read again, but not at every connection, and not while they
// are wrong.
func TestTLSFilesChange(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	f := ca.files(t, dir, "anabranch://retail/a")
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		i, err := openIdentity(*f, "retail", "a", slog.New(slog.NewTextHandler(&out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		first := i.now()
		cert, key := ca.issue(t, time.Time{}, "anabranch://retail/a")
		write(t, f.CertFile, cert)
		write(t, f.KeyFile, key)
		if i.now() != first {
			t.Error("files were read again at once")
		}
		_, otherKey := ca.issue(t, time.Time{}, "anabranch://retail/a")
		write(t, f.KeyFile, otherKey)
		for range 3 { // the key is not this one's
			<-time.After(restat)
			if i.now() != first {
				t.Error("half of a change was taken")
			}
		}
		if n := strings.Count(out.String(), "not good"); n != 1 {
			t.Errorf("lines about wrong files = %d; want 1:\n%s", n, out.String())
		}
		write(t, f.KeyFile, key)
		<-time.After(restat)
		second := i.now()
		if second == first || !bytes.Equal(second.cert.Certificate[0], pemBytes(cert)) {
			t.Error("changed files were not read")
		}
		<-time.After(restat)
		if i.now() != second {
			t.Error("unchanged files were read again")
		}
		if err := os.Remove(f.CAFile); err != nil {
			t.Fatal(err)
		}
		<-time.After(restat)
		if i.now() != second {
			t.Error("a missing file was taken")
		}
	})
}

func pemBytes(b []byte) []byte {
	block, _ := pem.Decode(b)
	return block.Bytes
}

// Nodes change to another authority one after the other without a restart, by way
// of a file that holds both.
func TestTLSRotation(t *testing.T) {
	var at book
	old, young := newAuthority(t), newAuthority(t)
	nodes := []string{"a", "b"}
	ports, files := map[string]*Port{}, map[string]*TLS{}
	for _, n := range nodes {
		files[n] = old.files(t, t.TempDir(), "anabranch://retail/"+n)
		ports[n] = listen(t, &at, n, echo, func(o *Options) { o.TLS = files[n] })
	}
	look := func(n string) { // as after a while
		p := ports[n]
		p.pools.mu.Lock()
		for _, o := range p.pools.byTarget {
			for _, c := range o.open {
				cut(c.conn)
			}
		}
		p.pools.mu.Unlock()
		i := p.tls
		i.mu.Lock()
		defer i.mu.Unlock()
		i.looked = time.Time{}
	}
	check := func(step string) {
		t.Helper()
		for _, from := range nodes {
			for _, to := range nodes {
				look(from)
				look(to)
				eventually(t, "idle connections end", func() bool { return openConns(ports[from], to) == 0 })
				if _, err := ports[from].Call(withTimeout(t), to, "m", nil); err != nil {
					t.Errorf("%s: Call from %s to %s = %v", step, from, to, err)
				}
			}
		}
	}
	check("old")
	for _, n := range nodes {
		write(t, files[n].CAFile, append(bytes.Clone(old.pem), young.pem...))
		check("both for " + n)
	}
	for _, n := range nodes {
		cert, key := young.issue(t, time.Time{}, "anabranch://retail/"+n)
		write(t, files[n].CertFile, cert)
		write(t, files[n].KeyFile, key)
		check("young certificate for " + n)
	}
	for _, n := range nodes {
		write(t, files[n].CAFile, young.pem)
		check("young for " + n)
	}
	c := tls.Client(connect(t, ports["a"]), &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		return s.PeerCertificates[0].CheckSignatureFrom(young.cert)
	}})
	if err := c.Handshake(); err != nil {
		t.Errorf("in the end: %v", err)
	}
}
