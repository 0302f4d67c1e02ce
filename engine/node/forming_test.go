package node

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/engine/internal/tally"
)

// clusterID waits until all nodes are members, of the same cluster.
func (r *rig) clusterID() string {
	r.t.Helper()
	ids := map[string]bool{}
	id := ""
	for _, n := range r.nodes {
		eventually(r.t, "node "+n.cfg.ID+" is a member", n.isFormed)
		id = n.dir.now().ClusterID
		ids[id] = true
	}
	if len(ids) != 1 {
		r.t.Fatalf("clusters %v were formed; want one", ids)
	}
	return id
}

func TestInit(t *testing.T) {
	r := newRig(t, 3, nil)
	r.startAll()
	eventually(t, "waiting for init", func() bool {
		s, err := r.nodes[0].Status(patient(t))
		return err == nil && !s.Ready && strings.Contains(s.NotReady, "anabranch cluster init")
	})
	if _, err := r.nodes[1].Submit(patient(t), tally.Event("1", "a", 1), false); err == nil || !strings.Contains(err.Error(), waitingForInit) {
		t.Errorf("Submit before init = %v; want %q", err, waitingForInit)
	}
	list, err := r.nodes[2].Nodes(patient(t))
	if err != nil || len(list) != 3 || list[0].Node != "n1" || list[0].NotReady != waitingForInit {
		t.Errorf("Nodes before init = %+v, %v; want three that wait", list, err)
	}
	if err := r.nodes[1].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.ready()
	id := r.clusterID()
	for i := range r.nodes {
		if err := r.nodes[i].Init(patient(t)); err != nil {
			t.Errorf("node %d: Init of a formed cluster = %v; want nil", i+1, err)
		}
	}
	if again := r.clusterID(); again != id {
		t.Errorf("cluster is %s after another init; want %s", again, id)
	}
}

// Two inits at once make one cluster, whatever the order of their steps.
func TestInitOnAllNodesAtOnce(t *testing.T) {
	r := newRig(t, 3, nil)
	r.startAll()
	var inits sync.WaitGroup
	for _, n := range r.nodes {
		inits.Go(func() {
			if err := n.Init(patient(t)); err != nil {
				t.Errorf("node %s: Init = %v", n.cfg.ID, err)
			}
		})
	}
	inits.Wait()
	r.clusterID()
	r.ready()
}

// An init that was interrupted is completed by the next one; of two, the one
// with the smaller id.
func TestInitGoesOn(t *testing.T) {
	r := newRig(t, 3, nil)
	r.startAll()
	q := r.nodes[0].proposal(r.nodes[0].meet(patient(t)))
	for i, id := range []string{"B", "A", "B"} {
		p := *q
		p.ClusterID = id
		if err := r.nodes[i].promise(&p); err != nil {
			t.Fatal(err)
		}
	}
	for i := range r.nodes { // the promises outlive the processes
		r.stop(i)
		r.start(i)
	}
	if err := r.nodes[2].Init(patient(t)); err != nil {
		t.Fatal(err)
	}
	if id := r.clusterID(); id != "A" {
		t.Errorf("cluster is %s; want A", id)
	}
	r.ready()
}

// A node that was away when the cluster was decided learns it by asking.
func TestSecondPhaseMissed(t *testing.T) {
	r := newRig(t, 3, nil)
	r.startAll()
	q := r.nodes[0].proposal(r.nodes[0].meet(patient(t)))
	for _, n := range r.nodes {
		if err := n.promise(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.nodes[0].decide(q); err != nil {
		t.Fatal(err)
	}
	r.clusterID()
	r.ready()
	for i := range r.nodes {
		if got := r.replica(i).Replica; got != fmt.Sprintf("n%d.1", i+1) {
			t.Errorf("node %d has replica %s; want a founding one", i+1, got)
		}
	}
}

// A decision needs the promise to stand.
func TestPromises(t *testing.T) {
	r := newRig(t, 3, nil)
	r.startAll()
	n := r.nodes[0]
	of := func(id string) *formRequest {
		q := n.proposal(n.meet(patient(t)))
		q.ClusterID = id
		return q
	}
	b, a, c := of("B"), of("A"), of("C")
	if err := n.promise(b); err != nil {
		t.Fatal(err)
	}
	if err := n.promise(c); err == nil {
		t.Error("a promise was changed for a larger id")
	}
	if err := n.promise(a); err != nil {
		t.Errorf("promise of a smaller id = %v; want nil", err)
	}
	if err := n.decide(b); err == nil {
		t.Error("a cluster was decided whose promise was changed")
	}
	if err := n.decide(a); err != nil {
		t.Fatal(err)
	}
	if err := n.promise(b); err == nil {
		t.Error("a member promised to be one of another cluster")
	}
	if err := n.promise(a); err != nil {
		t.Errorf("promise of the cluster it is in = %v; want nil", err)
	}
}

// Every difference is named, all at once, and nothing is written.
func TestInitNamesAllFaults(t *testing.T) {
	r := newRig(t, 3, func(i int, cfg *Config) {
		switch i {
		case 1:
			cfg.Shards, cfg.Durability, cfg.Fingerprint, cfg.Clock = 32, DurabilityMemory, "f2", ClockReplay
		case 2:
			cfg.Delivery, cfg.OnGap, cfg.Lateness = AtLeastOnce, GapSkip, time.Minute
		}
	})
	r.startAll()
	err := r.nodes[0].Init(patient(t))
	for _, want := range []string{
		"node n2", "shards is 32, not 16", "durability is memory, not disk", "fingerprint is f2, not f1", "clock is replay, not wall",
		"node n3", "delivery is at_least_once, not exactly_once", "on_gap is skip, not stop", "lateness is 1m0s, not 10s",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Init = %v; want it to say %q", err, want)
		}
	}
	for _, n := range r.nodes {
		if id := n.dir.now(); id.Stage != stageNew {
			t.Errorf("node %s is %s after an init that was refused; want it new", n.cfg.ID, id.Stage)
		}
	}
}

func TestInitNeedsAllNodes(t *testing.T) {
	r := newRig(t, 3, func(i int, cfg *Config) {
		if i == 2 {
			cfg.ID = "n1"
		}
	})
	r.start(0)
	r.start(1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.nodes[0].Init(ctx); err == nil || !strings.Contains(err.Error(), r.cfgs[2].Peer+" does not answer") {
		t.Errorf("Init without node 3 = %v; want it to name its address", err)
	}
	r.start(2)
	if err := r.nodes[0].Init(ctx); err == nil || !strings.Contains(err.Error(), "both have the id n1") {
		t.Errorf("Init with an id twice = %v; want it to say so", err)
	}
}

// A wiped node that doesn't fit the cluster stays out, and says why.
func TestRefusedByTheCluster(t *testing.T) {
	r := startRig(t, nil)
	for _, tt := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Fingerprint = "f2" }, "fingerprint is f2, not f1"},
		{func(c *Config) { c.Cluster = "other" }, "cluster is test, not other"},
		{func(c *Config) { c.ID = "n9" }, "n9 is not a member"},
	} {
		r.stop(2)
		if err := os.RemoveAll(r.cfgs[2].Dir); err != nil {
			t.Fatal(err)
		}
		good := r.cfgs[2]
		tt.change(&r.cfgs[2])
		r.start(2)
		n := r.nodes[2]
		eventually(t, "a reason", func() bool { return n.outside.Load() != nil && strings.Contains(*n.outside.Load(), tt.want) })
		if err := n.Init(patient(t)); err == nil || n.isFormed() {
			t.Errorf("Init with %+v = %v; want it refused", tt.want, err)
		}
		if list, err := r.nodes[0].Nodes(patient(t)); err != nil || list[2].Unreachable == "" {
			t.Errorf("Nodes = %+v, %v; want n3 not to answer", list, err)
		}
		r.stop(2)
		r.cfgs[2] = good
		if err := os.RemoveAll(r.cfgs[2].Dir); err != nil {
			t.Fatal(err)
		}
		r.start(2)
		r.ready()
	}
}

// Nodes that come back under other addresses find each other.
func TestAddressesChange(t *testing.T) {
	r := startRig(t, nil)
	produce(t, r.broker.Addr(), lines(0, 30)...)
	r.expect("a", 30)
	fresh := newRig(t, 3, nil) // for its free ports
	for i := range r.nodes {
		r.stop(i)
		r.cfgs[i].Peer, r.cfgs[i].Join, r.cfgs[i].HTTP = fresh.cfgs[i].Peer, fresh.cfgs[i].Join, fmt.Sprint("moved-", i+1)
	}
	r.startAll()
	r.ready()
	produce(t, r.broker.Addr(), lines(30, 60)...)
	r.expect("a", 60)
	// One that moves alone is known by what it says.
	fresh = newRig(t, 1, nil)
	r.stop(0)
	r.cfgs[0].Peer, r.cfgs[0].Join = fresh.cfgs[0].Peer, nil
	r.start(0)
	r.ready()
	eventually(t, "the new address of n1 is known", func() bool {
		id := r.nodes[1].dir.now()
		return id.member("n1").Peer == r.cfgs[0].Peer && id.member("n1").HTTP == "moved-1"
	})
	produce(t, r.broker.Addr(), lines(60, 90)...)
	r.expect("a", 90)
}

func TestValidateJoin(t *testing.T) {
	cfg := func(change func(c *Config)) error {
		c := config(t, t.TempDir(), "127.0.0.1:1")
		change(&c)
		return c.WithDefaults().Validate()
	}
	for _, tt := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Join = []string{"10.0.0.1"} }, "want host:port"},
		{func(c *Config) { c.Join = []string{"a:1", "a:1", "b:1"} }, "a:1 is to be joined twice"},
		{func(c *Config) { c.Peer, c.Join = "10.0.0.2:1", []string{"10.0.0.1:1"} }, "not this node's"},
		{func(c *Config) { c.Groups, c.Join = 2, []string{"a:1", "b:1"} }, ""},
		{func(c *Config) { c.Peer, c.Join = "0.0.0.0:1", []string{"10.0.0.1:1"} }, ""},
		{func(c *Config) { c.Join = []string{"a:1", "b:1", "c:1"} }, ""},
	} {
		err := cfg(tt.change)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Validate = %v; want %q", err, tt.want)
		}
	}
}
