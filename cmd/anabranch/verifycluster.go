package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/engine/verify"
)

// Parts of a running cluster.
const (
	partNode     verify.Part = "node"
	partSettings verify.Part = "settings"
	partReplica  verify.Part = "replica"
	partLag      verify.Part = "lag"
	partLeader   verify.Part = "leader"
	partClock    verify.Part = "clock"
)

var clusterMeanings = map[verify.Part]string{
	partNode:        "It does not do its part; the cluster goes on as long as a majority of each group's voters does. Its log says more.",
	partSettings:    "Nodes with different settings may decide differently. Bring the configuration files into line and restart the node.",
	partReplica:     "The node replaces the replica by itself as long as a majority is well.",
	partLag:         "It can't lead, and is one the less for a majority, until it has caught up. Look at its disk and its network.",
	partLeader:      "The group decides nothing until a majority of its voters is there, or until the message that halts it is skipped.",
	partClock:       "A node whose clock is off gives leadership away. Look at its time service.",
	verify.Replicas: "Replicas at one index must be equal. The nodes find the wrong one by majority and replace it; keep its quarantined files and report it.",
}

// Limits of what is well.
const (
	lagLimit   = 10_000 // entries
	clockLimit = time.Second
	// digestTries is how often nodes that have taken no digests at one entry are
	// asked for those of this moment, until they are of one index.
	digestTries = 40
	// What may pass, such as a leader that has just changed, is off if it is
	// still seen after some looks.
	maxLooks    = 4
	lookAgain   = 700 * time.Millisecond
	digestAgain = 50 * time.Millisecond
)

// clusterReport is what was found of a running cluster.
type clusterReport struct {
	Cluster  string           `json:"cluster"`
	Asked    string           `json:"asked"`
	Nodes    []string         `json:"nodes"`
	Compared []comparedGroup  `json:"compared"`
	Findings []verify.Finding `json:"findings"`
}

// comparedGroup says of which nodes the digests of a group were compared.
type comparedGroup struct {
	Group int      `json:"group"`
	Index uint64   `json:"index"` // 0: never at one index
	Nodes []string `json:"nodes"`
}

func (r *clusterReport) addf(node string, group int, part verify.Part, place, format string, args ...any) {
	r.Findings = append(r.Findings, verify.Finding{Node: node, Group: group, Part: part, Place: place,
		Text: fmt.Sprintf(format, args...), Meaning: clusterMeanings[part]})
}

func verifyCluster(cmd *cobra.Command, c *client, out format) error {
	r, err := lookAtCluster(cmd.Context(), c)
	for looks := 1; err == nil && r.passing() && looks < maxLooks; looks++ {
		if err = pause(cmd.Context(), lookAgain); err == nil {
			r, err = lookAtCluster(cmd.Context(), c)
		}
	}
	if err != nil {
		return err
	}
	if err := out.showValue(cmd.OutOrStdout(), r, r.tables); err != nil {
		return err
	}
	return foundIn(len(r.Findings))
}

// passing says whether all that was found may be gone in a moment: then it is
// looked at again.
func (r *clusterReport) passing() bool {
	lasting := func(f verify.Finding) bool {
		return f.Part == partSettings || f.Part == partReplica || f.Part == verify.Replicas
	}
	return len(r.Findings) > 0 && !slices.ContainsFunc(r.Findings, lasting)
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func lookAtCluster(ctx context.Context, c *client) (*clusterReport, error) {
	_, asked, err := askStatus(ctx, c)
	if err != nil {
		return nil, err
	}
	r := &clusterReport{Cluster: asked.Cluster, Asked: asked.Node, Nodes: []string{}, Compared: []comparedGroup{}, Findings: []verify.Finding{}}
	if asked.NodesUnknown != "" {
		r.addf(asked.Node, -1, partNode, "members", "%s", asked.NodesUnknown)
	}
	nodes := r.askNodes(ctx, c, &asked)
	r.groups(&asked)
	if err := r.digests(ctx, nodes); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.Findings, func(a, b verify.Finding) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Node, b.Node))
	})
	return r, nil
}

// askedNode is a node that answers at its own address.
type askedNode struct {
	name   string
	client *client
	groups []groupStatus // as it tells of its own replicas
}

// askNodes asks each member at its own address, and compares what they say of
// themselves with what the first one says.
func (r *clusterReport) askNodes(ctx context.Context, c *client, first *clusterStatus) (nodes []askedNode) {
	for _, n := range first.Nodes {
		r.Nodes = append(r.Nodes, n.Node)
		switch {
		case n.Unreachable != "":
			r.addf(n.Node, -1, partNode, n.Peer, "does not answer node %s: %s", first.Node, n.Unreachable)
		case !n.Ready:
			r.addf(n.Node, -1, partNode, n.Peer, "is not ready: %s", n.NotReady)
		}
		if ahead := time.Duration(n.ClockAheadUS) * time.Microsecond; ahead.Abs() > clockLimit {
			r.addf(n.Node, -1, partClock, n.Node, "is %s ahead of node %s", ahead, first.Node)
		}
		own := *c
		if n.Node != first.Node {
			own.addr, own.at = scheme(c.at)+n.HTTP, ""
		} else {
			own.addr = c.at
		}
		if n.HTTP == "" && n.Node != first.Node {
			continue // it says where only when it answers
		}
		_, s, err := askStatus(ctx, &own)
		if err != nil {
			r.addf(n.Node, -1, partNode, n.HTTP, "its API can't be asked: %v", err)
			continue
		}
		if s.Node != n.Node {
			r.addf(n.Node, -1, partNode, n.HTTP, "node %s of cluster %s answers there", s.Node, s.Cluster)
			continue
		}
		r.settings(first, &s)
		nodes = append(nodes, askedNode{n.Node, &own, s.Groups})
	}
	return nodes
}

// scheme is that of an address, with which the other nodes are asked too.
func scheme(addr string) string {
	if i := strings.Index(addr, "://"); i >= 0 {
		return addr[:i+3]
	}
	return ""
}

func (r *clusterReport) settings(first, s *clusterStatus) {
	check := func(what string, has, want any) {
		if has != want {
			r.addf(s.Node, -1, partSettings, what, "is %v, on node %s %v", has, first.Node, want)
		}
	}
	check("cluster", s.Cluster, first.Cluster)
	check("version", s.Version, first.Version)
	check("feature level in force", s.LevelInForce, first.LevelInForce)
	check("durability", s.Durability, first.Durability)
	check("clock", s.Clock, first.Clock)
	check("pseudonym key", s.Fingerprint, first.Fingerprint)
	check("groups", len(s.Groups), len(first.Groups))
}

// groups looks at every replica, as its node tells of it.
func (r *clusterReport) groups(s *clusterStatus) {
	commits, leaders := s.commits(), map[int][]string{}
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			if g.Role == "leader" {
				leaders[g.Group] = append(leaders[g.Group], n.Node)
			}
			if g.Damaged != "" {
				r.addf(n.Node, g.Group, partReplica, g.Replica, "is damaged: %s", g.Damaged)
			}
			if g.Halted != "" && g.Role == "leader" {
				r.addf(n.Node, g.Group, partLeader, g.Replica, "the group is halted: %s", g.Halted)
			}
			if g.Role == "leader" && strings.HasPrefix(g.Delivery, "stopped") {
				r.addf(n.Node, g.Group, partLeader, g.Replica, "delivery is %s", g.Delivery)
			}
			if behind := commits[g.Group] - min(g.Applied, commits[g.Group]); behind > lagLimit {
				r.addf(n.Node, g.Group, partLag, g.Replica, "is %d entries behind", behind)
			}
		}
	}
	for _, g := range s.Groups {
		switch list := leaders[g.Group]; {
		case len(list) == 0:
			r.addf("", g.Group, partLeader, "", "the group has no leader")
		case len(list) > 1: // one of them may just have been deposed
			r.addf("", g.Group, partLeader, "", "%s say that they lead", strings.Join(list, " and "))
		}
	}
}

func (r *clusterReport) tables(w io.Writer) error {
	t := newTable("GROUP", "COMPARED AT", "NODES")
	numbers(t, "GROUP", "COMPARED AT")
	for _, g := range r.Compared {
		var index any = g.Index
		if g.Index == 0 {
			index = "never at one index"
		}
		t.AppendRow([]any{g.Group, index, strings.Join(g.Nodes, ", ")})
	}
	if _, err := fmt.Fprintf(w, "%s, asked %s: %s\n", r.Cluster, r.Asked, count(len(r.Nodes), "node")); err != nil {
		return err
	}
	if t.Length() > 0 {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := render(w, t); err != nil {
			return err
		}
	}
	return findings(w, r.Findings, 0)
}
