package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/peer"
)

// trio is a group of three replicas that talk over TCP, in one process.
type trio struct {
	t       testing.TB
	b       *broker
	shape   func(node int, cfg *Config)
	members [3]*member
	up      [3]atomic.Pointer[running] // the same, for the goroutine that makes load

	mu    sync.Mutex // guards addrs
	addrs map[string]string
}

// member is a node's replica.
type member struct {
	*running
	node       int
	generation int
	dir        string
	port       *peer.Port
	voters     []string
	ahead      time.Duration // of its clock
}

var firstVoters = []string{"n1.1", "n2.1", "n3.1"}

// newTrio forms a group of three and waits for a leader. shape changes a
// node's configuration each time it is opened.
func newTrio(t testing.TB, shape func(node int, cfg *Config)) *trio {
	t.Helper()
	if shape == nil {
		shape = func(int, *Config) {}
	}
	c := &trio{t: t, b: &broker{}, shape: shape, addrs: map[string]string{}}
	for i := range c.members {
		c.members[i] = &member{node: i, generation: 1, dir: filepath.Join(t.TempDir(), fmt.Sprint(i)), voters: firstVoters}
		c.open(i)
	}
	t.Cleanup(c.stopAll)
	c.leader()
	return c
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func (m *member) replica() string { return fmt.Sprintf("%s.%d", nodeName(m.node), m.generation) }

func (c *trio) resolve(node string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.addrs[node]; a != "" {
		return a, nil
	}
	return "", connectors.ErrNotFound
}

func (c *trio) listen(i int) *peer.Port {
	c.t.Helper()
	port, err := peer.Listen(peer.Options{Address: "127.0.0.1:0", Cluster: "test", Node: nodeName(i), Resolve: c.resolve,
		Admits: func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.addrs[nodeName(i)] = port.Addr().String()
	c.mu.Unlock()
	return port
}

// config is what a node opens its replica with.
func (c *trio) config(i int) Config {
	m := c.members[i]
	cfg := baseConfig(c.t, m.dir, c.b)
	cfg.Replica, cfg.Voters, cfg.Port = m.replica(), m.voters, m.port
	cfg.ahead, cfg.Timeout = m.ahead, 300*time.Millisecond // the first election takes that long
	c.shape(i, &cfg)
	return cfg
}

// open starts a node's replica.
func (c *trio) open(i int) *member {
	c.t.Helper()
	m := c.members[i]
	m.port = c.listen(i)
	g, err := Open(c.config(i))
	if err != nil {
		c.t.Fatal(err)
	}
	m.running = run(c.t, g)
	c.up[i].Store(m.running)
	return m
}

// close ends a node's replica and port.
func (c *trio) close(i int) error {
	m := c.members[i]
	if m.running == nil {
		return nil
	}
	err := m.end()
	m.running = nil
	c.up[i].Store(nil)
	if e := m.port.Close(); e != nil {
		c.t.Error(e)
	}
	return err
}

var errKilled = errors.New("killed by the test")

// kill ends a node's replica without a word to the others.
func (c *trio) kill(i int) {
	m := c.members[i]
	m.stalled.Store(true) // no farewell
	if err := m.port.Close(); err != nil {
		c.t.Error(err)
	}
	m.fail("test", errKilled)
	if err := m.streams.Close(); err != nil {
		c.t.Log(err)
	}
	if err := c.close(i); !errors.Is(err, errKilled) {
		c.t.Errorf("Run = %v; want %v", err, errKilled)
	}
}

func (c *trio) stopAll() {
	for i := range c.members {
		if err := c.close(i); err != nil {
			c.t.Errorf("node %d: %v", i+1, err)
		}
	}
}

// leading finds the node that leads and serves, nil if there is none.
func (c *trio) leading() *member {
	for _, m := range c.members {
		if m.running != nil && m.Leading() {
			return m
		}
	}
	return nil
}

// leader waits for a leader.
func (c *trio) leader() (m *member) {
	c.t.Helper()
	eventually(c.t, "a leader", func() bool { m = c.leading(); return m != nil })
	return m
}

// follower is a node that doesn't lead.
func (c *trio) follower() *member {
	c.t.Helper()
	l := c.leader()
	return c.members[(l.node+1)%3]
}

// add adds one to a name, through whoever leads, until it is known to be
// applied.
func (c *trio) add(id, name string) {
	applied := within(30*time.Second, func() bool {
		for i := range c.up {
			m := c.up[i].Load()
			if m == nil || !m.Leading() {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			reply, err := m.Submit(ctx, tally.Event(id, name, 1), true)
			return err == nil && (reply.Outcome == core.OutcomeApplied || reply.Outcome == core.OutcomeDuplicate)
		}
		return false
	})
	if !applied {
		c.t.Errorf("%s was not applied within 30 s", id)
	}
}

// load adds to a name until stopped, and then says how often.
func (c *trio) load(name string) (stop func() int64) {
	c.t.Helper()
	var n atomic.Int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
			}
			c.add(fmt.Sprintf("%s-%d", name, n.Load()), name)
			n.Add(1)
		}
	}()
	stopped := false
	stop = func() int64 {
		if !stopped {
			stopped = true
			close(quit)
			<-done
		}
		return n.Load()
	}
	c.t.Cleanup(func() { stop() })
	return stop
}

// expectSame waits until all replicas that run have applied the same, and
// checks that they have the same state, in which the name has a sum.
func (c *trio) expectSame(name string, sum int64) {
	c.t.Helper()
	var first []connectors.ShardStatus
	eventually(c.t, "all replicas at one index", func() bool {
		first = nil
		for _, m := range c.members {
			if m.running == nil {
				continue
			}
			list, err := m.Shards(context.Background())
			if err != nil {
				return false
			}
			if first != nil && list[0].Index != first[0].Index {
				return false
			}
			if first != nil {
				if a, b := fmt.Sprint(list), fmt.Sprint(first); a != b {
					c.t.Fatalf("digests differ at index %d:\n%s\n%s", list[0].Index, a, b)
				}
			}
			first = list
		}
		return true
	})
	for _, m := range c.members {
		if m.running == nil {
			continue
		}
		answer, _, err := m.Ask(context.Background(), tally.Stage, tally.Query, name, &tally.Question{}, connectors.Stale)
		if err != nil || answer.(*tally.Total).Sum != sum {
			c.t.Errorf("%s has %s = %v, %v; want %d", m.replica(), name, answer, err, sum)
		}
	}
}

// rejoin opens a node anew without data, under a new id, and has it admitted.
func (c *trio) rejoin(i int) *member {
	c.t.Helper()
	m := c.members[i]
	m.generation++
	m.voters = nil
	m.dir = filepath.Join(c.t.TempDir(), m.replica())
	c.open(i)
	c.admit(m)
	return m
}

// admit asks the leader until a replica votes.
func (c *trio) admit(m *member) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	votes := within(30*time.Second, func() bool {
		if m.stopped() {
			c.t.Fatalf("%s stopped: %v", m.replica(), m.Err())
		}
		var step Admission
		step, err = c.leader().Admit(ctx, m.replica(), m.Applied())
		return err == nil && step == AdmitVoter && m.VotesHere()
	})
	if !votes {
		c.t.Fatalf("Admit(%s): %v; want a vote within 30 s", m.replica(), err)
	}
}
