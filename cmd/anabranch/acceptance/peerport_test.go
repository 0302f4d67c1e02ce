package acceptance

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// hello is the header that begins a connection to a peer port.
type hello struct {
	calls                 bool // a connection for calls, else a stream of group 0
	cluster, from, target string
}

// peerMagic begins a header and its answer.
const peerMagic = 0x616e6203

func (h hello) bytes() []byte {
	kind := byte(1)
	if h.calls {
		kind = 2
	}
	rest := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{kind}, 0), 0) // group and incarnation
	for _, name := range []string{h.cluster, h.from, h.target} {
		rest = append(append(rest, byte(len(name))), name...)
	}
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, peerMagic), uint16(len(rest))), rest...)
}

// intruder is a connection to a peer port that is to be refused.
type intruder struct {
	what   string
	cert   *tls.Certificate // nil: no TLS
	say    []byte
	answer string // part of it; empty: whatever, but no welcome
	reason string // in the log
}

func TestPeerPort(t *testing.T) {
	skipShort(t, "attacks the peer ports of a cluster")
	t.Run("plain", func(t *testing.T) {
		r := newTrial(t, 300, func(int) string { return "" })
		r.intruded(t, nil, []intruder{
			{what: "TLS on a plain port", say: []byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3}, answer: "this port has no TLS", reason: "tls"},
		})
	})
	t.Run("mTLS", func(t *testing.T) {
		ca, other := newAuthority(t), newAuthority(t)
		r := newTrial(t, 300, func(i int) string { return ca.section(t, fmt.Sprintf("anabranch://dev/n%d", i+1)) })
		own := ca.certificate(t, "anabranch://dev/n1")
		foreign, unknown, nobody := ca.certificate(t, "anabranch://other/n1"), other.certificate(t, "anabranch://dev/n1"), ca.certificate(t, "https://example.org/n1")
		call := hello{calls: true, cluster: "dev", from: "n1"}.bytes()
		r.intruded(t, &own, []intruder{
			{what: "no TLS", say: call, answer: "this port wants TLS", reason: "tls"},
			{what: "certificate of another cluster", cert: &foreign, say: call, answer: "not of a node of cluster dev", reason: "certificate"},
			{what: "certificate that names no node", cert: &nobody, say: call, answer: "certificate names no node", reason: "certificate"},
			{what: "certificate of another authority", cert: &unknown, say: call, reason: "tls"},
			{what: "another node's name", cert: &own, say: hello{calls: true, cluster: "dev", from: "n2"}.bytes(), answer: "certificate is that of node n1, not n2", reason: "node"},
		})
	})
}

// intruded tries everything at the ports of a cluster that decides. cert is one
// that the ports accept, if they want any.
func (r *trial) intruded(t *testing.T, cert *tls.Certificate, list []intruder) {
	t.Helper()
	lead, others := r.followers()
	replacedNode := others[0]
	old, began := r.replica(replacedNode), time.Now()
	r.kill(replacedNode)
	remove(t, r.data(replacedNode))
	r.start(replacedNode)
	r.replaced(t, replacedNode, old, began)

	list = append(list,
		intruder{what: "another cluster", cert: cert, say: hello{cluster: "other", from: "n1", target: "n1.1"}.bytes(), answer: "cluster is dev, not other", reason: "cluster"},
		intruder{what: "a replica that never was", cert: cert, say: hello{cluster: "dev", from: "n1", target: "n1.99"}.bytes(), answer: ", not n1.99", reason: "target"},
		intruder{what: "a replica that was replaced", cert: cert, say: hello{cluster: "dev", from: "n1", target: old}.bytes(), answer: ", not " + old, reason: "target"},
		intruder{what: "garbage", cert: cert, say: bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 200), answer: "not a node of anabranch", reason: "garbage"},
	)
	if cert == nil { // else its certificate is asked first
		list = append(list, intruder{what: "a stranger", say: hello{calls: true, cluster: "dev", from: "n9"}.bytes(), answer: "node n9 is not a member of cluster dev", reason: "node"})
	}
	term := r.term(lead)
	began = time.Now()
	idle := r.crowd(t, 200)
	for node, peer := range r.peers {
		for _, i := range list {
			i.try(t, peer)
			r.nodes[node].Wait(`"peer connection refused","reason":"` + i.reason + `"`)
		}
	}
	for node, conns := range idle {
		for _, c := range conns {
			if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Fatalf("n%d keeps a connection without a header: %v", node+1, err)
			}
		}
		r.nodes[node].Wait(`"peer connection refused","reason":"(slow|crowd)"`)
	}
	took := time.Since(began)
	r.decide(100)
	if now := r.term(lead); now != term || r.leader() != lead {
		t.Errorf("term = %d, n%d leads; want %d and n%d as before", now, r.leader()+1, term, lead+1)
	}
	t.Logf("%d connections refused in %v; longest time without a decision %v", len(r.peers)*(len(list)+200), took.Round(time.Millisecond),
		r.gaps.within(began, began.Add(took)))
	r.finish()
}

// crowd opens connections to each port that say nothing, or a byte of a header
// now and then, until they are closed.
func (r *trial) crowd(t *testing.T, n int) [][]net.Conn {
	t.Helper()
	all := make([][]net.Conn, len(r.peers))
	say := hello{cluster: "dev", from: "n1", target: "n1.1"}.bytes()
	for node, peer := range r.peers {
		for i := range n {
			c := dial(t, peer)
			all[node] = append(all[node], c)
			if i%2 == 0 {
				go dribble(t, c, say)
			}
		}
	}
	return all
}

// dribble says something so slowly that it is never said in time.
func dribble(t *testing.T, c net.Conn, say []byte) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := c.Write(say[i%len(say) : i%len(say)+1]); err != nil {
			return
		}
		select {
		case <-t.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(process.Patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// try speaks to a port and wants a refusal.
func (i *intruder) try(t *testing.T, address string) {
	t.Helper()
	var c net.Conn = dial(t, address)
	if i.cert != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.cert, nil }})
	}
	if _, err := c.Write(i.say); err != nil && i.answer != "" {
		t.Errorf("%s: %v", i.what, err)
		return
	}
	answer, err := io.ReadAll(c)
	welcome := len(answer) == 5 && binary.BigEndian.Uint32(answer) == peerMagic && answer[4] == 0
	if welcome || !bytes.Contains(answer, []byte(i.answer)) {
		t.Errorf("%s at %s: answer %q, %v; want a refusal with %q", i.what, address, answer, err, i.answer)
	}
}
