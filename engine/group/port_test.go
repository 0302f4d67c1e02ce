package group

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func listen(t *testing.T, cluster string, resolve func(string) (string, error)) *Port {
	t.Helper()
	p, err := Listen("127.0.0.1:0", cluster, resolve, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestPort(t *testing.T) {
	b := listen(t, "retail", nil)
	toB := func(string) (string, error) { return b.Addr().String(), nil }
	a, other := listen(t, "retail", toB), listen(t, "wholesale", toB)
	join := func(p *Port, group uint64, replica string) *layer {
		l, err := p.layer(group, replica)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	}
	lb := join(b, 1, "b.2")
	la, wrongGroup, wrongCluster := join(a, 1, "a.1"), join(a, 7, "a.1"), join(other, 1, "x.1")

	go func() {
		c, err := lb.Accept()
		if err != nil {
			return // the test ended
		}
		buf := make([]byte, 4)
		if _, err := c.Read(buf); err == nil {
			c.Write(buf)
		}
		c.Close()
	}()
	c, err := la.Dial("b.2", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); err != nil || string(buf) != "ping" {
		t.Errorf("echo = %q, %v; want ping", buf, err)
	}
	c.Close()

	for _, tt := range []struct {
		from    *layer
		replica string
		want    string
	}{
		{la, "b.1", "replica is b.2, not b.1"},
		{wrongGroup, "b.2", "group 7 is not on this node"},
		{wrongCluster, "b.2", "cluster is retail, not wholesale"},
	} {
		_, err := tt.from.Dial(raft.ServerAddress(tt.replica), time.Second)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Dial(%s) = %v; want %q", tt.replica, err, tt.want)
		}
	}
}
