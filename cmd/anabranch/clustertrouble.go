package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// trouble is something that is not as it should be, and what to do about it
// first.
type trouble struct {
	rank     int // the lower the worse
	what, do string
}

// Ranks: what stands still comes before what is late, and that before what is
// only less safe than it was.
const (
	rankStopped = iota
	rankLate
	rankUnsafe
	rankSoon
)

// limits of what is no trouble yet.
const (
	outboxPatience = 30 * time.Second
	clockPatience  = 500 * time.Millisecond
)

// verdict says below the tables whether all is well, and if not what is wrong,
// the worst first.
func (s *clusterStatus) verdict(now time.Time) string {
	list := s.troubles(now)
	if len(list) == 0 {
		return fmt.Sprintf("All is well: %d of %d nodes are ready.\n", len(s.Nodes), len(s.Nodes))
	}
	var b strings.Builder
	for i, t := range list {
		fmt.Fprintf(&b, "%d. %s\n   -> %s\n", i+1, t.what, t.do)
	}
	return b.String()
}

func (s *clusterStatus) troubles(now time.Time) []trouble {
	var list []trouble
	if s.NodesUnknown != "" {
		list = append(list, trouble{rankSoon, "the other nodes are not known: " + s.NodesUnknown, "ask another node, with --addr"})
	}
	for _, g := range s.groupNumbers() {
		list = append(list, s.groupTroubles(g, now)...)
	}
	for i := range s.Nodes {
		list = append(list, s.nodeTroubles(&s.Nodes[i])...)
	}
	list = append(append(list, s.inputTroubles()...), s.levelTroubles()...)
	slices.SortStableFunc(list, func(a, b trouble) int { return cmp.Compare(a.rank, b.rank) })
	return list
}

func (s *clusterStatus) groupNumbers() []int {
	seen := map[int]bool{}
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			seen[g.Group] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// groupTroubles are those of a group as a whole: nobody leads it, it is halted,
// or what it has decided does not leave.
func (s *clusterStatus) groupTroubles(group int, now time.Time) (list []trouble) {
	var leader *groupStatus
	halted, voters, voting := "", 0, 0
	for i := range s.Nodes {
		for j := range s.Nodes[i].Groups {
			g := &s.Nodes[i].Groups[j]
			if g.Group != group {
				continue
			}
			switch g.Role {
			case "leader":
				if leader == nil || g.Term > leader.Term {
					leader = g
				}
				voting++
			case "follower", "candidate":
				voting++
			}
			halted, voters = cmp.Or(halted, g.Halted), max(voters, g.Voters)
		}
	}
	if leader == nil {
		list = append(list, leaderless(group, voting, voters))
	}
	if halted != "" {
		list = append(list, haltedGroup(group, halted))
	} else if leader != nil {
		list = append(list, undelivered(leader, now)...)
	}
	return list
}

func leaderless(group, voting, voters int) trouble {
	t := trouble{rankStopped, fmt.Sprintf("group %d has no leader: nothing is decided", group),
		"wait for some seconds and ask again; if it stays, look at the nodes' logs for elections and at the network between the peer ports"}
	if need := voters/2 + 1; voting < need {
		t.what += fmt.Sprintf("; %d of its %d voters answer, %d have to", voting, voters, need)
		t.do = "start the nodes that do not answer: nothing else brings it back, and nothing is lost meanwhile"
	}
	return t
}

// haltedGroup names the command that steps over the message, with the numbers
// that the status says: code at message M of entry E.
func haltedGroup(group int, halted string) trouble {
	t := trouble{rank: rankStopped, what: fmt.Sprintf("group %d is halted on all its replicas: %s", group, halted)}
	var code string
	var message, entry uint64
	if n, err := fmt.Sscanf(halted, "%s at message %d of entry %d", &code, &message, &entry); err != nil || n != 3 {
		t.do = "'anabranch cluster skip' steps over the message"
		return t
	}
	t.do = fmt.Sprintf("copy one node's data directory for the report, then step over that message alone: anabranch cluster skip --group %d --entry %d --message %d",
		group, entry, message)
	return t
}

// undelivered says what keeps a leader's decisions from Kafka.
func undelivered(g *groupStatus, now time.Time) []trouble {
	state, why, _ := strings.Cut(g.Delivery, ": ")
	waits := fmt.Sprintf("group %d: %d decided records wait for Kafka", g.Group, g.OutboxRecords)
	if !g.OutboxOldest.IsZero() {
		waits += ", the oldest from " + g.OutboxOldest.UTC().Format(time.RFC3339)
	}
	old := !g.OutboxOldest.IsZero() && now.Sub(g.OutboxOldest) > outboxPatience
	switch {
	case state == "stopped":
		return []trouble{{rankStopped, waits + ", and it is not tried again: " + why,
			fmt.Sprintf("mend that, then have it begin anew: anabranch cluster transfer %d, or restart the leading node", g.Group)}}
	case why != "" && why != "not leader":
		return []trouble{{rankLate, waits + ": " + why,
			"look at the brokers, and at the way from here to them; orders are decided all the same and leave when Kafka is back, do not restart nodes"}}
	case old && g.OutboxRecords > 0:
		return []trouble{{rankLate, waits, "look at the brokers: transactions are open or slow; the log of the leading node says what it tries"}}
	}
	return nil
}

// nodeTroubles are those of one node: it is away, not ready, damaged, its
// clock is off, or its settings are not those of the others.
func (s *clusterStatus) nodeTroubles(n *nodeStatus) (list []trouble) {
	name := cmp.Or(n.Node, n.Peer)
	list = append(list, changing(n)...)
	if n.Unreachable != "" {
		do := fmt.Sprintf("start it if its process is gone (the end of its log says why), else look at the way to %s; %s", n.Peer, s.margin())
		return append(list, trouble{rankUnsafe, fmt.Sprintf("node %s does not answer: %s", name, n.Unreachable), do})
	}
	known := false
	for _, g := range n.Groups {
		if g.Damaged == "" {
			continue
		}
		known = true
		list = append(list, s.damagedReplica(name, &g))
	}
	switch {
	case n.Ready || known || s.explained(n):
	case strings.HasPrefix(n.NotReady, "waiting for cluster init"):
		list = append(list, trouble{rankStopped, fmt.Sprintf("node %s is not ready: %s", name, n.NotReady), "form the cluster once, when all nodes run: anabranch cluster init"})
	default:
		list = append(list, trouble{rankSoon, fmt.Sprintf("node %s is not ready: %s", name, n.NotReady), "wait while it gets on; docs/operating.md says what each reason means"})
	}
	if off := time.Duration(n.ClockAheadUS) * time.Microsecond; off.Abs() > clockPatience {
		list = append(list, trouble{rankUnsafe, fmt.Sprintf("node %s: its clock is %s off that of %s", name, off, s.Node),
			"mend time synchronisation there; beyond a second a leader gives leadership up"})
	}
	if n.Differs != "" {
		list = append(list, trouble{rankUnsafe, fmt.Sprintf("node %s has other settings than %s: %s", name, s.Node, n.Differs),
			"make the configurations equal and restart the node that is wrong; until then whoever leads goes by its own"})
	}
	return list
}

// changing says of a member that takes no full part what comes next.
func changing(n *nodeStatus) []trouble {
	switch n.State {
	case "joining":
		return []trouble{{rankSoon, fmt.Sprintf("node %s is joining: it is let into one group after the other", n.Node),
			fmt.Sprintf("wait; if it is not wanted or never answers: anabranch cluster remove %s", n.Node)}}
	case "draining":
		return []trouble{{rankSoon, fmt.Sprintf("node %s is drained: it follows, and leads nothing", n.Node),
			fmt.Sprintf("anabranch cluster remove %s, or bring it back: anabranch cluster drain %s --undo", n.Node, n.Node)}}
	case "leaving":
		return []trouble{{rankSoon, fmt.Sprintf("node %s is being removed", n.Node),
			"wait; if it lasts, the logs of the nodes that lead say what keeps its replicas"}}
	}
	return nil
}

// damagedReplica says whether a replica is being replaced, or what keeps it from it.
func (s *clusterStatus) damagedReplica(node string, g *groupStatus) trouble {
	t := trouble{rank: rankUnsafe, what: fmt.Sprintf("group %d on node %s is damaged: %s", g.Group, node, g.Damaged)}
	switch {
	case g.Role == "joining":
		t.what = fmt.Sprintf("group %d on node %s has a new replica that does not vote yet: %s", g.Group, node, g.Damaged)
		t.do = fmt.Sprintf("wait: it is filled from the leader by itself; %s. Then look at that node's disk, and into its quarantine folder", s.margin())
	case strings.Contains(g.Damaged, "stay as they are"):
		t.do = "start the nodes that are away, if there are any, and delete nothing: these files may be the only ones that have what was promised"
	default:
		t.do = fmt.Sprintf("wait: it is replaced from the leader by itself; %s. Then look at that node's disk", s.margin())
	}
	return t
}

// explained says whether a node is not ready for a reason that its group's
// trouble tells already.
func (s *clusterStatus) explained(n *nodeStatus) bool {
	return strings.HasSuffix(n.NotReady, " has no leader") || strings.HasSuffix(n.NotReady, " is halted")
}

// margin says how many more nodes may be lost.
func (s *clusterStatus) margin() string {
	sound := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Unreachable == "" && len(n.Groups) > 0 && !slices.ContainsFunc(n.Groups, func(g groupStatus) bool { return g.Damaged != "" }) {
			sound++
		}
	}
	switch spare := sound - (len(s.Nodes)/2 + 1); {
	case spare < 0:
		return "fewer nodes are sound than a majority: stop none"
	case spare == 0:
		return "until then stop no other node: the cluster would stand still"
	default:
		return fmt.Sprintf("the cluster goes on, and %d more may be lost", spare)
	}
}
