package node

import (
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
)

// rig is several nodes in this process, over real TCP and an embedded broker.
type rig struct {
	t      testing.TB
	broker *embedded.Broker
	cfgs   []Config
	nodes  []*running // nil: stopped
}

// newRig prepares nodes. each may change a node's configuration.
func newRig(t testing.TB, nodes int, each func(i int, cfg *Config)) *rig {
	t.Helper()
	r := &rig{t: t, broker: startBroker(t, 0, allTopics...), nodes: make([]*running, nodes)}
	var join []string
	var listeners []net.Listener
	for range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		join = append(join, l.Addr().String())
	}
	for i, l := range listeners {
		if err := l.Close(); err != nil { // the nodes listen there themselves, also after a restart
			t.Fatal(err)
		}
		cfg := config(t, t.TempDir(), r.broker.Addr())
		cfg.ID, cfg.Peer, cfg.Join, cfg.HTTP = fmt.Sprintf("n%d", i+1), join[i], slices.Clone(join), fmt.Sprintf("http-%d", i+1)
		if each != nil {
			each(i, &cfg)
		}
		r.cfgs = append(r.cfgs, cfg)
	}
	t.Cleanup(func() {
		for i := range r.nodes {
			if r.nodes[i] != nil {
				r.nodes[i].stop()
			}
		}
		for i := range r.nodes {
			if r.nodes[i] != nil {
				if err := <-r.nodes[i].done; err != nil {
					t.Errorf("node %d: Run = %v; want an orderly stop", i+1, err)
				}
			}
		}
	})
	return r
}

// startRig forms a cluster of three and waits until all are ready.
func startRig(t testing.TB, each func(i int, cfg *Config)) *rig {
	t.Helper()
	r := newRig(t, 3, each)
	r.startAll()
	if err := r.nodes[0].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	return r
}

func (r *rig) start(i int) {
	r.t.Helper()
	r.nodes[i] = start(r.t, r.cfgs[i])
}

func (r *rig) startAll() {
	r.t.Helper()
	for i := range r.nodes {
		r.start(i)
	}
}

func (r *rig) stop(i int) {
	r.t.Helper()
	n := r.nodes[i]
	r.nodes[i] = nil
	n.mustEnd()
}

// ready waits until all nodes that run are.
func (r *rig) ready() {
	r.t.Helper()
	for i, n := range r.nodes {
		if n == nil {
			continue
		}
		if err := n.Ready(patient(r.t)); err != nil {
			r.t.Fatalf("node %d: %v", i+1, err)
		}
	}
}

// leader waits for the node that leads.
func (r *rig) leader() (leader int) {
	r.t.Helper()
	eventually(r.t, "a leader", func() bool {
		leader = slices.IndexFunc(r.nodes, func(n *running) bool {
			return n != nil && n.isFormed() && n.group(0) != nil && n.group(0).Leading()
		})
		return leader >= 0
	})
	return leader
}

// follower is a node that runs and does not lead.
func (r *rig) follower() int {
	leader := r.leader()
	for i, n := range r.nodes {
		if i != leader && n != nil {
			return i
		}
	}
	r.t.Fatal("no follower runs")
	return -1
}

// sum asks a node for the total of a name.
func (r *rig) sum(i int, name string, c connectors.Consistency) int64 {
	r.t.Helper()
	answer, _, err := r.nodes[i].Ask(patient(r.t), tally.Stage, tally.Query, name, &tally.Question{}, c)
	if errors.Is(err, connectors.ErrNotFound) {
		return 0
	}
	if err != nil {
		r.t.Fatalf("node %d: Ask = %v", i+1, err)
	}
	return answer.(*tally.Total).Sum
}

// expect waits until the total of a name is n everywhere, and fails unless each
// of its sums was delivered once.
func (r *rig) expect(name string, n int) {
	r.t.Helper()
	expectOnce(r.t, r.broker.Addr(), name, n)
	for i := range r.nodes {
		if r.nodes[i] != nil {
			eventually(r.t, fmt.Sprintf("node %d: total %d", i+1, n), func() bool { return r.sum(i, name, connectors.Stale) == int64(n) })
		}
	}
}

// same fails unless all nodes come to equal digests of all shards.
func (r *rig) same() {
	r.t.Helper()
	shards := func(n *running) []connectors.ShardStatus {
		list, err := n.Shards(patient(r.t))
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range list {
			list[i].Index = 0
		}
		return list
	}
	eventually(r.t, "equal digests", func() bool {
		for _, n := range r.nodes[1:] {
			if !slices.Equal(shards(r.nodes[0]), shards(n)) {
				return false
			}
		}
		return true
	})
}

// replicaOf is the status of a node's replica.
func (r *rig) replica(i int) connectors.GroupStatus {
	r.t.Helper()
	s, err := r.nodes[i].Status(patient(r.t))
	if err != nil || len(s.Groups) != 1 {
		r.t.Fatalf("node %d: Status = %+v, %v; want one group", i+1, s, err)
	}
	return s.Groups[0]
}

// metrics is what a node says at /metrics.
func (r *rig) metrics(i int) string {
	w := httptest.NewRecorder()
	r.nodes[i].cfg.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// submit brings an event in at a node, again as long as the outcome is unknown.
func (r *rig) submit(i int, id, name string) {
	r.t.Helper()
	e := tally.Event(id, name, 1)
	for {
		reply, err := r.nodes[i].Submit(patient(r.t), e, false)
		if errors.Is(err, connectors.ErrUnknown) {
			continue
		}
		if err != nil || reply.Outcome != core.OutcomeApplied && reply.Outcome != core.OutcomeDuplicate {
			r.t.Fatalf("node %d: Submit = %+v, %v; want it applied", i+1, reply, err)
		}
		return
	}
}
