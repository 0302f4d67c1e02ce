package linear

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

const nodes = 3

// cluster is three whole nodes with their APIs in one bubble of virtual time.
// Only Kafka is missing: events come in by the APIs, and what is delivered goes
// to a sink in memory.
type cluster struct {
	t       *testing.T
	net     *network
	topics  *topics
	key     wire.Key
	power   bool // machines lose power, not only processes die
	members [nodes]*member
	ended   []*life
}

// member is a node through its lives.
type member struct {
	address string
	disk    *disk
	life    atomic.Pointer[life] // nil: it is down
	paused  atomic.Bool
	lives   int
}

func (m *member) name() string { name, _, _ := net.SplitHostPort(m.address); return name }

// life is a node from one start to its end.
type life struct {
	*node.Node
	number  int
	handler http.Handler
	ctx     context.Context // of its requests, ends with the life
	cancel  context.CancelFunc
	stop    context.CancelFunc
	done    chan error
}

// newCluster starts three nodes and makes them a cluster that is ready.
func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(seed), topics: &topics{}, power: seed%2 == 0}
	var err error
	if c.key, err = wire.CreateKey(filepath.Join(t.TempDir(), "key")); err != nil {
		t.Fatal(err)
	}
	for i := range c.members {
		c.members[i] = &member{address: fmt.Sprintf("n%d:1", i+1), disk: newDisk(t)}
	}
	for i := range c.members {
		c.start(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.members[0].life.Load().Init(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.ready(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits until every node that runs is.
func (c *cluster) ready(ctx context.Context) error {
	for i, m := range c.members {
		if l := m.life.Load(); l != nil {
			if err := l.Ready(ctx); err != nil {
				return fmt.Errorf("node %d: not ready: %w", i+1, err)
			}
		}
	}
	return nil
}

// config is that of a node's next life.
func (c *cluster) config(i int) node.Config {
	c.t.Helper()
	m := c.members[i]
	cfg := assembly.Config{ID: fmt.Sprintf("n%d", i+1), Dir: m.disk.dir, Key: c.key, Peer: m.address, Listener: c.net.listen(m.address),
		Shards: 8, HotMemory: 1 << 20, NewSink: c.topics.sink, Log: logger(c.t, i+1)}
	for _, m := range c.members {
		cfg.Join = append(cfg.Join, m.address)
	}
	if !c.power {
		cfg.Durability = node.DurabilityMemory
	}
	parts, err := assembly.Parts(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	parts.NewFetcher = nil // events come in by the APIs only
	fs := m.disk.fs
	parts.OpenStore = func(o node.StoreOptions) (group.Store, error) {
		s, err := pebblestate.Open(pebblestate.Options{Dir: stateDir, FS: fs, Tables: o.Tables, Codec: codec.New(), HotBytes: o.HotMemory})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	parts.Disk = m.disk.options
	parts.Dial = func(ctx context.Context, to string) (net.Conn, error) { return c.net.dial(ctx, m.address, to) }
	return parts
}

// logger shows what the nodes log if that is wished.
func logger(t testing.TB, node int) *slog.Logger {
	if os.Getenv("ANABRANCH_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", node)
}

// start begins a node's next life.
func (c *cluster) start(i int) {
	c.t.Helper()
	m := c.members[i]
	cfg := c.config(i)
	n, err := node.Open(cfg)
	if err != nil {
		c.t.Fatalf("node %d: %v", i+1, err)
	}
	m.lives++
	l := &life{Node: n, number: m.lives, done: make(chan error, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if l.handler, err = httpapi.New(httpapi.Config{Cluster: n, Plan: cfg.Plan, Decoder: cfg.Decoder, Encoder: cfg.Encoder, Version: "test"}); err != nil {
		c.t.Fatal(err)
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go func() { l.done <- n.Run(ctx) }()
	m.life.Store(l)
}

// kill ends a node's life. What it still does reaches neither the others nor a
// client, and its disk stays behind.
func (c *cluster) kill(i int, dice *rand.Rand) {
	c.t.Helper()
	m := c.members[i]
	l := m.life.Swap(nil)
	l.cancel()
	c.net.kill(m.address, c.power)
	kept := 100
	if c.power {
		kept = 50 * dice.IntN(2)
	}
	m.disk = m.disk.after(c.t, kept, dice)
	l.stop()
	c.ended = append(c.ended, l)
}

// end stops all nodes in order.
func (c *cluster) end() {
	c.t.Helper()
	for i, m := range c.members {
		if l := m.life.Swap(nil); l != nil {
			l.stop()
			if err := <-l.done; err != nil {
				c.t.Errorf("node %d: Run = %v; want an orderly stop", i+1, err)
			}
			l.cancel()
		}
	}
	for _, l := range c.ended {
		<-l.done // a life that was killed may end as it likes
	}
}

// leader is the node that leads, -1 for none.
func (c *cluster) leader() int {
	for i := range c.members {
		if c.role(i) == "leader" {
			return i
		}
	}
	return -1
}

// role is a node's, as it says itself; empty if it is down.
func (c *cluster) role(i int) string {
	l := c.members[i].life.Load()
	if l == nil {
		return ""
	}
	s, err := l.Status(l.ctx)
	if err != nil || len(s.Groups) != 1 {
		return ""
	}
	return s.Groups[0].Role
}

var errNoAnswer = errors.New("no answer")

// api brings a request to a node, as over HTTP: a node that is down answers
// nothing, one that is paused later.
func (c *cluster) api(ctx context.Context, i int, r *Request) (*Answer, error) {
	m := c.members[i]
	l := m.life.Load()
	if l == nil || !m.awake(ctx) {
		return nil, errNoAnswer
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	w := httptest.NewRecorder()
	q := httptest.NewRequestWithContext(ctx, r.Method, r.Path, bytes.NewReader([]byte(r.Body)))
	q.Header.Set("Content-Type", "application/json")
	if r.Key != "" {
		q.Header.Set("Idempotency-Key", r.Key)
	}
	l.handler.ServeHTTP(w, q)
	if !m.awake(ctx) || l.ctx.Err() != nil || ctx.Err() != nil {
		return nil, errNoAnswer
	}
	a := &Answer{Status: w.Code, Life: l.number, Body: w.Body.Bytes()}
	a.Index, _ = strconv.ParseUint(w.Header().Get("Anabranch-Index"), 10, 64) // 0: it names none
	return a, nil
}

// awake waits until a node is not paused.
func (m *member) awake(ctx context.Context) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for m.paused.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// topics are where decisions are delivered: as Kafka's, they belong to the
// leader that opened them last.
type topics struct {
	mu      sync.Mutex // guards what follows
	owner   *sink
	through map[uint16]uint64
}

type sink struct{ t *topics }

func (t *topics) sink(node.SinkOptions) (connectors.Sink, error) { return &sink{t}, nil }

// Open implements connectors.Sink.
func (s *sink) Open(context.Context, int64) (connectors.Progress, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.owner = s
	return connectors.Progress{Through: maps.Clone(s.t.through)}, nil
}

// Send implements connectors.Sink.
func (s *sink) Send(_ context.Context, _ int, _ []connectors.OutRecord, through map[uint16]uint64) (int64, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.owner != s {
		return 0, connectors.ErrFenced
	}
	if s.t.through == nil {
		s.t.through = map[uint16]uint64{}
	}
	maps.Copy(s.t.through, through)
	return 0, nil
}

// Slots implements connectors.Sink.
func (s *sink) Slots() int { return 1 }

// Close implements connectors.Sink.
func (s *sink) Close() {}
