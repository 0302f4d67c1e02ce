package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"anabranch.dev/connectors"
)

// hold keeps the first request that initialises a transactional id back.
type hold struct {
	id      string
	once    sync.Once
	reached chan struct{} // closed when it is about to be sent
	release chan struct{} // to be closed
}

func (h *hold) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, kind, address)
	return &heldConn{c, h}, err
}

type heldConn struct {
	net.Conn
	hold *hold
}

func (c *heldConn) Write(p []byte) (int, error) {
	if len(p) > 6 && int16(binary.BigEndian.Uint16(p[4:])) == int16(kmsg.InitProducerID) && bytes.Contains(p, []byte(c.hold.id)) {
		c.hold.once.Do(func() {
			close(c.hold.reached)
			<-c.hold.release
		})
	}
	return c.Conn.Write(p)
}

// TestLateOpen has a leader take the first slot from a newer one that has
// written already: it then has all other slots too, and knows what was written.
func TestLateOpen(t *testing.T) { eachBroker(t, testLateOpen) }

func testLateOpen(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	fresh := b.sink(b.config())
	h := &hold{id: fresh.transactionalID(0), reached: make(chan struct{}), release: make(chan struct{})}
	cfg := b.config()
	cfg.dial = h.dial
	late := b.sink(cfg)
	b.open(b.sink(b.config()), 0) // topics and coordinators are there
	type opened struct {
		progress connectors.Progress
		err      error
	}
	done := make(chan opened, 1)
	go func() {
		p, err := late.Open(b.ctx, 0)
		done <- opened{p, err}
	}()
	<-h.reached
	b.open(fresh, 0)
	if _, err := b.send(fresh, 0, out, 1, "1"); err != nil {
		t.Fatal(err)
	}
	close(h.release)
	o := <-done
	if o.err != nil || o.progress.Through[7] != 1 {
		t.Fatalf("late Open = %+v, %v; want progress 1", o.progress, o.err)
	}
	if _, err := b.send(fresh, 1, out, 2, "2"); !errors.Is(err, connectors.ErrFenced) {
		t.Errorf("Send on the second slot after a late Open: %v; want %v", err, connectors.ErrFenced)
	}
	if _, err := b.send(late, 0, out, 2, "2"); err != nil {
		t.Error(err)
	}
	if got, _ := b.readAll(out, 0); len(got) != 2 {
		t.Errorf("records = %v; want 1 and 2", got)
	}
}
