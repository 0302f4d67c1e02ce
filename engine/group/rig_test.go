package group

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/metrics"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

// broker is a topic and its progress in memory. It outlives groups.
type broker struct {
	mu      sync.Mutex
	records []string
	through map[uint16]uint64
	fail    func() error // asked before each transaction; an error ends it
	after   func() error // asked after each; an error hides that it committed
	owner   *sink
}

type sink struct{ b *broker }

func (b *broker) sink() (connectors.Sink, error) { return &sink{b}, nil }

func (s *sink) Open(context.Context, int64) (connectors.Progress, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.owner = s
	p := connectors.Progress{Through: map[uint16]uint64{}}
	for shard, n := range s.b.through {
		p.Through[shard] = n
	}
	return p, nil
}

func (s *sink) Send(_ context.Context, _ int, records []connectors.OutRecord, through map[uint16]uint64) (int64, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.owner != s {
		return 0, connectors.ErrFenced
	}
	if s.b.fail != nil {
		if err := s.b.fail(); err != nil {
			return 0, err
		}
	}
	for _, r := range records {
		s.b.records = append(s.b.records, string(r.Value))
	}
	if s.b.through == nil {
		s.b.through = map[uint16]uint64{}
	}
	for shard, n := range through {
		s.b.through[shard] = n
	}
	if s.b.after != nil {
		return 0, s.b.after()
	}
	return 0, nil
}

func (s *sink) Slots() int { return 1 }
func (s *sink) Close()     {}

func (b *broker) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.records...)
}

const testShards = 16

// config is that of a group of one replica.
func config(t testing.TB, dir string, b *broker) Config {
	t.Helper()
	port, err := peer.Listen(peer.Options{Address: "127.0.0.1:0", Cluster: "test", Node: "n1",
		Resolve: func(string) (string, error) { return "", connectors.ErrNotFound },
		Admits:  func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := baseConfig(t, dir, b)
	cfg.Replica, cfg.Voters, cfg.Port = "n1.1", []string{"n1.1"}, port
	return cfg
}

// baseConfig has no port yet.
func baseConfig(t testing.TB, dir string, b *broker) Config {
	t.Helper()
	plan, err := tally.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Dir: dir, Cluster: "test",
		Core: core.Config{Plan: plan, Codec: codec.New(), Shards: testShards, Groups: 1,
			GroupOf: func(state.Shard) int { return 0 }, Incarnation: 1, Clock: core.ClockWall},
		Durability: raftlog.Disk,
		OpenStore: func(dir string, _ bool) (Store, error) {
			s, err := pebblestate.Open(pebblestate.Options{Dir: dir, Tables: core.Tables(plan), Codec: codec.New(), HotBytes: 1 << 20})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		NewSink: b.sink, Encoder: tally.Codec{},
		Records: func([]*operators.Record) {}, Fetch: func(uint64, []leader.Action) {}, Changed: func() {},
		SendLane: func(*core.Lane) {}, SendLaneAck: func(core.LaneAck) {},
		Log: slog.New(slog.DiscardHandler), Metrics: metrics.New().Group(0),
	}
}

// running is a group that runs in a test.
type running struct {
	*Group
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, cfg Config) *running {
	t.Helper()
	changed := make(chan struct{}, 1)
	cfg.Changed = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	g, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, g)
	limit := time.After(30 * time.Second)
	for !g.Leading() && !g.Halted() {
		select {
		case <-changed:
		case err := <-r.done:
			t.Fatalf("group ended: %v", err)
		case <-limit:
			t.Fatal("no leader")
		}
	}
	return r
}

// run runs an open group.
func run(t testing.TB, g *Group) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Group: g, t: t, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- g.Run(ctx) }()
	return r
}

// end stops the group in order and returns what Run returned.
func (r *running) end() error {
	r.stop()
	return <-r.done
}

func (r *running) mustEnd() {
	r.t.Helper()
	if err := r.end(); err != nil {
		r.t.Fatalf("Run = %v; want an orderly stop", err)
	}
}

func (r *running) submit(id, name string, n int64) (connectors.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return r.Submit(ctx, tally.Event(id, name, n), true)
}

func (r *running) add(id, name string, n int64) connectors.Reply {
	r.t.Helper()
	reply, err := r.submit(id, name, n)
	if err != nil || reply.Outcome != core.OutcomeApplied || reply.Decision == "" {
		r.t.Fatalf("Submit(%s, %s, %d) = %+v, %v; want it applied, with a decision", id, name, n, reply, err)
	}
	return reply
}

func (r *running) sum(name string) int64 {
	r.t.Helper()
	answer, _, err := r.Ask(context.Background(), tally.Stage, tally.Query, name, &tally.Question{}, connectors.Linearizable)
	if err != nil {
		r.t.Fatalf("Ask(%s): %v", name, err)
	}
	return answer.(*tally.Total).Sum
}

// quiet waits until nothing is in flight: all records are delivered and that is
// acknowledged.
func (r *running) quiet() {
	r.t.Helper()
	eventually(r.t, "an acknowledged outbox", func() bool {
		s, err := r.Status(context.Background())
		return err == nil && s.OutboxRecords == 0 && s.Applied == s.Commit
	})
}
