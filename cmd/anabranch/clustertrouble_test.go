package main

import (
	"strings"
	"testing"
	"time"
)

// healthyThree is a cluster of three that is well.
func healthyThree() clusterStatus {
	member := func(id, role string) nodeStatus {
		return nodeStatus{Node: id, Peer: id + ":8471", Ready: true, Groups: []groupStatus{
			{Replica: id + ".1", Leader: "n1", Role: role, Term: 2, Voters: 3, Delivery: "waiting: not leader"}}}
	}
	s := clusterStatus{Node: "n2", Ready: true, Nodes: []nodeStatus{member("n1", "leader"), member("n2", "follower"), member("n3", "follower")}}
	s.Nodes[0].Groups[0].Delivery = "ready"
	return s
}

func (s *clusterStatus) lose(i int) {
	n := &s.Nodes[i]
	*n = nodeStatus{Node: n.Node, Peer: n.Peer, Unreachable: "connection refused"}
}

// What stands below the tables in the situations that wake people up.
func TestVerdict(t *testing.T) {
	now := time.Date(2026, 6, 1, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		change func(s *clusterStatus)
		want   string
	}{
		{"healthy", func(*clusterStatus) {}, `All is well: 3 of 3 nodes are ready.
`},
		{"a node down", func(s *clusterStatus) { s.lose(2) }, `1. node n3 does not answer: connection refused
   -> start it if its process is gone (the end of its log says why), else look at the way to n3:8471; until then stop no other node: the cluster would stand still
`},
		{"no leader", func(s *clusterStatus) {
			s.lose(0)
			s.lose(2)
			s.Nodes[1].Groups[0].Role, s.Nodes[1].Groups[0].Leader = "candidate", ""
			s.Nodes[1].Ready, s.Nodes[1].NotReady = false, "group 0 has no leader"
		}, `1. group 0 has no leader: nothing is decided; 1 of its 3 voters answer, 2 have to
   -> start the nodes that do not answer: nothing else brings it back, and nothing is lost meanwhile
2. node n1 does not answer: connection refused
   -> start it if its process is gone (the end of its log says why), else look at the way to n1:8471; fewer nodes are sound than a majority: stop none
3. node n3 does not answer: connection refused
   -> start it if its process is gone (the end of its log says why), else look at the way to n3:8471; fewer nodes are sound than a majority: stop none
`},
		{"election", func(s *clusterStatus) { s.Nodes[0].Groups[0].Role = "follower" }, `1. group 0 has no leader: nothing is decided
   -> wait for some seconds and ask again; if it stays, look at the nodes' logs for elections and at the network between the peer ports
`},
		{"halted", func(s *clusterStatus) {
			for i := range s.Nodes {
				n := &s.Nodes[i]
				n.Ready, n.NotReady, n.Groups[0].Halted = false, "group 0 is halted", "too_many_calls at message 3 of entry 4711"
			}
			s.Nodes[0].Groups[0].Delivery = "stopped: group is halted"
		}, `1. group 0 is halted on all its replicas: too_many_calls at message 3 of entry 4711
   -> copy one node's data directory for the report, then step over that message alone: anabranch cluster skip --group 0 --entry 4711 --message 3
`},
		{"kafka away", func(s *clusterStatus) {
			g := &s.Nodes[0].Groups[0]
			g.Delivery, g.OutboxRecords, g.OutboxOldest = "waiting: broker not available", 41, now.Add(-time.Minute)
			s.Inputs = append(s.Inputs, inputStatus{Name: "retail.sales", State: "waiting: dial: refused"},
				inputStatus{Name: "retail.sales", Partition: 1, State: "waiting: dial: refused"},
				inputStatus{Name: "retail.stock", State: "waiting: dial: refused"})
		}, `1. group 0: 41 decided records wait for Kafka, the oldest from 2026-06-01T02:59:00Z: broker not available
   -> look at the brokers, and at the way from here to them; orders are decided all the same and leave when Kafka is back, do not restart nodes
2. not read: retail.sales, retail.stock, waiting: dial: refused
   -> look at the brokers, and at the way from the nodes to them; reading goes on where it was when Kafka is back, do not restart nodes
`},
		{"delivery stopped, and a gap", func(s *clusterStatus) {
			s.Nodes[0].Groups[0].Delivery = "stopped: topic denies access"
			s.Inputs = append(s.Inputs, inputStatus{Name: "retail.sales", State: "stopped: retention: offsets 100-250 are gone"})
		}, `1. group 0: 0 decided records wait for Kafka, and it is not tried again: topic denies access
   -> mend that, then have it begin anew: anabranch cluster transfer 0, or restart the leading node
2. not read: retail.sales, stopped: retention: offsets 100-250 are gone
   -> records are gone from Kafka: find out which, then accept the loss with kafka.on_gap: skip, or see docs/operating.md, Gaps
`},
		{"slow transactions, and a clock that is off", func(s *clusterStatus) {
			g := &s.Nodes[0].Groups[0]
			g.Delivery, g.OutboxRecords, g.OutboxOldest = "sending", 3, now.Add(-31*time.Second)
			s.Nodes[2].ClockAheadUS = -700_000
		}, `1. group 0: 3 decided records wait for Kafka, the oldest from 2026-06-01T02:59:29Z
   -> look at the brokers: transactions are open or slow; the log of the leading node says what it tries
2. node n3: its clock is -700ms off that of n2
   -> mend time synchronisation there; beyond a second a leader gives leadership up
`},
		{"other settings", func(s *clusterStatus) { s.Nodes[0].Differs = "delivery is at_least_once, not exactly_once" },
			`1. node n1 has other settings than n2: delivery is at_least_once, not exactly_once
   -> make the configurations equal and restart the node that is wrong; until then whoever leads goes by its own
`},
		{"changing members", func(s *clusterStatus) {
			s.Nodes[0].State, s.Nodes[1].State, s.Nodes[2].State = "joining", "draining", "leaving"
		}, `1. node n1 is joining: it is let into one group after the other
   -> wait; if it is not wanted or never answers: anabranch cluster remove n1
2. node n2 is drained: it follows, and leads nothing
   -> anabranch cluster remove n2, or bring it back: anabranch cluster drain n2 --undo
3. node n3 is being removed
   -> wait; if it lasts, the logs of the nodes that lead say what keeps its replicas
`},
		{"damaged replica", func(s *clusterStatus) {
			n := &s.Nodes[2]
			n.Ready, n.NotReady = false, "group 0 has a new replica on this node: catching up"
			n.Groups[0].Role, n.Groups[0].Replica, n.Groups[0].Damaged = "joining", "n3.2", "catching up"
		}, `1. group 0 on node n3 has a new replica that does not vote yet: catching up
   -> wait: it is filled from the leader by itself; until then stop no other node: the cluster would stand still. Then look at that node's disk, and into its quarantine folder
`},
		{"damaged replica that can't be replaced yet", func(s *clusterStatus) {
			s.lose(1)
			g := &s.Nodes[2].Groups[0]
			g.Role, g.Damaged = "damaged", "record 7 is bad; n2 does not answer: 2 of 3 members would have to be healthy. The files stay as they are"
		}, `1. node n2 does not answer: connection refused
   -> start it if its process is gone (the end of its log says why), else look at the way to n2:8471; fewer nodes are sound than a majority: stop none
2. group 0 on node n3 is damaged: record 7 is bad; n2 does not answer: 2 of 3 members would have to be healthy. The files stay as they are
   -> start the nodes that are away, if there are any, and delete nothing: these files may be the only ones that have what was promised
`},
	}
	for _, tt := range tests {
		s := healthyThree()
		tt.change(&s)
		if got := s.verdict(now); got != tt.want {
			t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.want)
		}
	}
	s := healthyThree()
	s.Nodes = append(s.Nodes, s.Nodes[1], s.Nodes[2])
	s.lose(4)
	if got := s.verdict(now); !strings.Contains(got, "the cluster goes on, and 1 more may be lost") {
		t.Errorf("one of five lost:\n%s", got)
	}
}

// Only the node that leads knows that Kafka is away: it is asked as well, and if
// it can't be, all is not called well.
func TestStatusAsksReaders(t *testing.T) {
	reader := answering(t, 200, `{"node":"n1","inputs":[{"name":"retail.sales","partition":0,"next":3,"end":9,"state":"waiting: dial: refused"}]}`, nil)
	asked := func(http string) string {
		return answering(t, 200, `{"node":"n2","inputs":[{"name":"retail.sales","partition":0,"next":2,"end":-1,"state":"waiting"}],"groups":[{"leader":"n1"}],
"nodes":[{"node":"n1","http":"`+http+`","ready":true,"groups":[{"role":"leader","leader":"n1"}]},{"node":"n2","ready":true,"groups":[{"role":"follower","leader":"n1"}]}]}`, nil)
	}
	for _, tt := range []struct{ http, want string }{
		{reader, "1. not read: retail.sales, waiting: dial: refused"},
		{"127.0.0.1:1", "1. how node n1 gets on with the inputs that it reads is not known"},
	} {
		if code, out, errs := run(t, "cluster", "status", "--addr", asked(tt.http)); code != exitDone || !strings.Contains(out, tt.want) {
			t.Errorf("status = %d: %s%s; want %q", code, out, errs, tt.want)
		}
	}
}
