package acceptance

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

const goodToken = "a-token-of-the-shop"

// Two groups, led by different nodes, with TLS and tokens: every operation is
// asked of the leader of either group and of the node that leads none, and keeps
// what the OpenAPI document says, also while a leader is dead.
func TestHTTPContractSecured(t *testing.T) {
	skipShort(t, "asks three processes for everything")
	f, c := startSecured(t)
	f.spread(2)
	k := c.newContract(c.stockAt(0), 1)
	ops := k.spec.operations(t)
	victim, nodes := -1, []int{0, 1, 2}
	for _, op := range ops {
		k.unknown(op, nodes)
		requests := k.maker.requests(op)
		for n, r := range requests {
			switch {
			case op.OperationID == "submit-event" && n == len(requests)/2:
				victim = f.leader()
				f.kill(victim)
				nodes = []int{(victim + 1) % 3, (victim + 2) % 3}
			case op.OperationID == "place-order" && n == len(requests)/2:
				f.start(victim)
				c.base[victim] = f.nodes[victim].HTTP
				f.caughtUp(victim)
				nodes = []int{0, 1, 2}
			}
			if n == 0 {
				k.ask(op, r, nodes...)
			} else {
				k.ask(op, r, nodes[n%len(nodes)])
			}
		}
	}
	if victim < 0 {
		t.Error("no leader was killed")
	}
	k.report(200, 400, 401, 404, 409, 413, 415, 422)
	for id, statuses := range k.byOperation {
		switch id {
		case "skip", "remove-node", "read-snapshot": // nothing is halted, drained or saved
		default:
			if statuses[200] == 0 {
				t.Errorf("%s was never done: %v", id, statuses)
			}
		}
	}
}

// unknown asks without a token and with a wrong one.
func (k *contract) unknown(op *operation, nodes []int) {
	k.t.Helper()
	if !strings.HasPrefix(op.path, "/v1/") {
		return
	}
	r := k.maker.good(op)
	before := k.statuses[http.StatusUnauthorized]
	for _, shown := range []string{"", "Bearer not-one-of-the-tokens", "Basic " + goodToken} {
		k.ask(op, k.maker.with(r, func(r *request) {
			r.headers = map[string]string{"Content-Type": "application/json", "Authorization": shown}
		}), nodes...)
	}
	if refused, want := k.statuses[http.StatusUnauthorized]-before, 3*len(nodes); refused != want {
		k.t.Errorf("%s: %d of %d strangers refused", op.OperationID, refused, want)
	}
}

// startSecured starts a cluster of two groups whose APIs have TLS and want a
// token.
func startSecured(t *testing.T) (*fleet, *apis) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "people.key")
	if p := process.Start(t, "key", "create", key); p.End() != 0 {
		t.Fatal(p.Output())
	}
	pool := newAuthority(t).serverFiles(t, dir)
	f := newFleet(t, startOwnKafka(t).address(), key, ", groups: 2", func(int) string {
		return fmt.Sprintf("http: {tls: {cert_file: %s/http.pem, key_file: %[1]s/http.key}, auth: {tokens_file: %[1]s/token}}", dir)
	})
	f.secure = func(n *process.Node) { n.Secure(dir+"/http-ca.pem", dir+"/token") }
	f.form()
	c := &apis{t: t, token: goodToken, http: &http.Client{Timeout: time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	for _, n := range f.nodes {
		c.base = append(c.base, n.HTTP)
	}
	return f, c
}

// serverFiles writes a certificate for APIs on this machine and a token, and
// returns what trusts it.
func (a *authority) serverFiles(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: time.Unix(0, 0), NotAfter: a.cert.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert, public)
	for name, text := range map[string][]byte{
		"http-ca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}),
		"http.pem":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"http.key":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"token":       []byte(goodToken + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
