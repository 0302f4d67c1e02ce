package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
)

// A network passes everything on until it is told to lose the next request of a
// kind, or the answer to it. Then it is down until it is healed.
type network struct {
	mu   sync.Mutex // guards all
	key  kmsg.Key
	lose string // "", "request", "answer"
	down bool
}

func (n *network) arm(key kmsg.Key, lose string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.key, n.lose = key, lose
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down, n.lose = false, ""
}

func (n *network) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// loses decides about a request and takes the network down if it is lost.
func (n *network) loses(request []byte) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lose == "" || len(request) < 6 || int16(binary.BigEndian.Uint16(request[4:])) != int16(n.key) {
		return ""
	}
	lose := n.lose
	n.lose, n.down = "", true
	return lose
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	if n.isDown() {
		return nil, errors.New("network is down")
	}
	c, err := new(net.Dialer).DialContext(ctx, kind, address)
	return &faultyConn{c, n}, err
}

type faultyConn struct {
	net.Conn
	network *network
}

func (c *faultyConn) Write(p []byte) (int, error) {
	lost := c.network.loses(p)
	if lost == "answer" { // let the broker do it, and see that it has
		if _, err := c.Conn.Write(p); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c.Conn, make([]byte, 8)); err != nil {
			return 0, err
		}
	}
	if lost != "" || c.network.isDown() {
		return 0, errors.Join(errors.New("network is down"), c.Conn.Close())
	}
	return c.Conn.Write(p)
}

// TestExactlyOnceOverFaults loses requests and answers, and lets a rival fence.
func TestExactlyOnceOverFaults(t *testing.T) { eachBroker(t, testExactlyOnceOverFaults) }

func testExactlyOnceOverFaults(t *testing.T, b *testBroker) {
	lossy := new(network)
	cfg := b.config()
	cfg.dial = lossy.dial
	cfg.TransactionTimeout = 500 * time.Millisecond
	c := b.courier(cfg, 1)
	faults := map[int]func(){
		5:  func() { lossy.arm(kmsg.EndTxn, "request") },
		9:  func() { lossy.arm(kmsg.EndTxn, "answer") },
		20: func() { lossy.arm(kmsg.Produce, "request") },
		26: func() { lossy.arm(kmsg.Produce, "answer") },
		35: func() { b.open(b.sink(b.config()), 0) },
		36: func() { lossy.arm(kmsg.EndTxn, "answer") },
		50: func() { c.sink.Close() },
	}
	for attempt := 0; c.done < 180; attempt++ {
		c.open()
		if fault := faults[attempt]; fault != nil {
			fault()
		}
		c.send()
		lossy.heal()
	}
	c.check()
	if c.outcomes["maybe"] != 3 || c.outcomes["fenced"] != 1 || c.outcomes["again"] != 3 {
		t.Errorf("outcomes = %v; want 3 unknown, 1 fenced, 3 to try again", c.outcomes)
	}
}

// TestEmbeddedBrokerRestart goes on with the same fetcher and a sink opened anew.
func TestEmbeddedBrokerRestart(t *testing.T) {
	cfg := embedded.Config{DataDir: t.TempDir()}
	b := newEmbedded(t, cfg)
	out := b.topic("out", 1)[0]
	conf := b.config()
	conf.TransactionTimeout = time.Second
	s := b.sink(conf)
	b.open(s, 0)
	next, err := b.send(s, 0, out, 1, "a")
	if err != nil {
		t.Fatal(err)
	}
	f := b.fetcher()
	f.Assign(out, 0)
	b.poll(f, atEnd)

	if err := b.broker.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(s, 1, out, 2, "b"); err == nil || errors.Is(err, connectors.ErrPermanent) || errors.Is(err, connectors.ErrMaybe) {
		t.Errorf("Send without a broker: %v; want an error that may be retried", err)
	}
	if _, err := f.Poll(b.ctx); err == nil {
		t.Error("Poll without a broker succeeded")
	}
	cfg.Port = b.broker.Port()
	again, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.PortTaken() {
		t.Skipf("port %d was taken meanwhile", cfg.Port)
	}
	if p := b.open(s, next); len(p.Through) != 0 {
		t.Errorf("Open(%d) = %+v; want nothing new", next, p)
	}
	if _, err := b.send(s, 1, out, 2, "b"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) == 0 {
		fetches, err := f.Poll(b.ctx) // fails until it has found the broker again
		if err != nil && b.ctx.Err() != nil {
			t.Fatal(err)
		}
		for _, fetch := range fetches {
			for _, r := range fetch.Records {
				if !r.Control {
					got = append(got, string(r.Value))
				}
			}
		}
	}
	if !slices.Equal(got, []string{"b"}) {
		t.Errorf("records after the restart = %v; want [b]", got)
	}
}
