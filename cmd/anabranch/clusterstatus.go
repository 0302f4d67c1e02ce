package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// clusterStatus is what is shown of GET /v1/cluster.
type clusterStatus struct {
	Node, Cluster, Version, Durability, Clock, Fingerprint string
	LevelInForce                                           int `json:"level_in_force"`
	Ready                                                  bool
	NotReady                                               string `json:"not_ready"`
	Groups                                                 []groupStatus
	Inputs                                                 []inputStatus
	Nodes                                                  []nodeStatus
	NodesUnknown                                           string `json:"nodes_unknown"`

	unasked []trouble // readers of inputs that could not be asked
}

// inputStatus is an input partition, as a node sees it.
type inputStatus struct {
	Name, State     string
	Partition       int32
	Next, End       int64
	Events, Applied int64
	Duplicates      int64
	DeadLetters     int64 `json:"dead_letters"`
}

// nodeStatus is a member, as itself says.
type nodeStatus struct {
	Node, Peer, HTTP, Unreachable, Version string
	State                                  string
	Ready                                  bool
	NotReady                               string `json:"not_ready"`
	FeatureLevel                           int    `json:"feature_level"`
	ClockAheadUS                           int64  `json:"clock_ahead_us"`
	Differs                                string `json:"differs"`
	Groups                                 []groupStatus
}

// groupStatus is a group, as one of its replicas sees it.
type groupStatus struct {
	Group, Voters         int
	Replica, Leader, Role string
	Damaged               string
	Term, Commit          uint64
	Applied, Written      uint64
	OutboxRecords         int       `json:"outbox_records"`
	LaneMessages          int       `json:"lane_messages"`
	OutboxOldest          time.Time `json:"outbox_oldest"`
	Delivery, Halted      string
	DeadLettered          int    `json:"dead_lettered"`
	Level                 int    `json:"level"`
	SnapshotIndex         uint64 `json:"snapshot_index"`
	Digests               []takenDigest
}

func newClusterStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, replicas and inputs, and what is the matter with them",
		Long: `Nodes and replicas are shown as each says of itself, inputs as those see them that
read them. Below the tables stands what is wrong, the worst first, and what to do about
it. JSON and YAML are what the asked node says alone.

BEHIND is how many entries of the log a replica has yet to apply, CLOCK how far a node's
clock is ahead of that of the asked one, LEVEL the highest feature level that its build
knows.`,
		Example: "  anabranch cluster status --addr localhost:8470",
		Args:    cobra.NoArgs,
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, s, err := askStatus(cmd.Context(), c)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			s.askReaders(cmd.Context(), c)
			return statusTables(w, s)
		})
	}
	return cmd
}

func askStatus(ctx context.Context, c *client) ([]byte, clusterStatus, error) {
	answer, err := c.get(ctx, nil, "v1", "cluster")
	if err != nil {
		return nil, clusterStatus{}, err
	}
	s, err := decode[clusterStatus](c, answer)
	if len(s.Nodes) == 0 { // it can't tell of the others
		s.Nodes = []nodeStatus{{Node: s.Node, Version: s.Version, Ready: s.Ready, NotReady: s.NotReady, Groups: s.Groups}}
	}
	return answer, s, err
}

// notReady says which node is not ready and why, "" if all are.
func (s *clusterStatus) notReady() string {
	for _, n := range s.Nodes {
		switch {
		case n.Unreachable != "":
			return fmt.Sprintf("node %s does not answer: %s", n.Node, n.Unreachable)
		case !n.Ready:
			return fmt.Sprintf("node %s: %s", n.Node, n.NotReady)
		}
	}
	return s.NodesUnknown
}

func statusTables(w io.Writer, s clusterStatus) error {
	if _, err := fmt.Fprintf(w, "%s, asked %s  durability %s  clock %s  pseudonym key %s  feature level %d in force\n\n",
		s.Cluster, s.Node, s.Durability, s.Clock, s.Fingerprint, s.LevelInForce); err != nil {
		return err
	}
	parts := []table.Writer{nodeTable(s)}
	if t := replicaTable(s); t.Length() > 0 { // none before the cluster is formed
		parts = append(parts, t)
	}
	if len(s.Inputs) > 0 {
		parts = append(parts, inputTable(s))
	}
	for i, t := range parts {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := render(w, t); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\n"+s.verdict(time.Now()))
	return err
}

func nodeTable(s clusterStatus) table.Writer {
	t := newTable("NODE", "READY", "CLOCK", "VERSION", "LEVEL", "API", "PEERS")
	numbers(t, "CLOCK", "LEVEL")
	for _, n := range s.Nodes {
		ready, clock := "yes", (time.Duration(n.ClockAheadUS) * time.Microsecond).String()
		switch {
		case n.Unreachable != "":
			ready, clock = "no answer", ""
		case !n.Ready:
			ready = "no"
		}
		if n.State != "" && n.State != "member" {
			ready += ", " + n.State
		}
		var knows any = ""
		if n.FeatureLevel > 0 {
			knows = n.FeatureLevel
		}
		t.AppendRow(table.Row{n.Node, ready, clock, n.Version, knows, n.HTTP, n.Peer})
	}
	return t
}

func replicaTable(s clusterStatus) table.Writer {
	t := newTable("GROUP", "NODE", "REPLICA", "ROLE", "TERM", "COMMIT", "APPLIED", "BEHIND", "WRITTEN", "OUTBOX", "DEAD LETTERS", "DELIVERY")
	numbers(t, "GROUP", "TERM", "COMMIT", "APPLIED", "BEHIND", "WRITTEN", "OUTBOX", "DEAD LETTERS")
	commit := s.commits()
	type replica struct {
		node string
		groupStatus
	}
	var list []replica
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			list = append(list, replica{n.Node, g})
		}
	}
	slices.SortStableFunc(list, func(a, b replica) int { return cmp.Compare(a.Group, b.Group) })
	for _, r := range list {
		role, delivery := r.Role, ""
		if r.Halted != "" {
			role += ", halted"
		}
		if r.Leader == r.node {
			delivery = r.Delivery
		}
		t.AppendRow(table.Row{r.Group, r.node, r.Replica, role, r.Term, r.Commit, r.Applied, commit[r.Group] - min(r.Applied, commit[r.Group]),
			r.Written, r.OutboxRecords, r.DeadLettered, delivery})
	}
	return t
}

// commits is how far each group's log is committed, as far as any node knows.
func (s *clusterStatus) commits() map[int]uint64 {
	highest := map[int]uint64{}
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			highest[g.Group] = max(highest[g.Group], g.Commit)
		}
	}
	return highest
}

func inputTable(s clusterStatus) table.Writer {
	t := newTable("TOPIC", "PARTITION", "NEXT", "END", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS", "STATE")
	numbers(t, "PARTITION", "NEXT", "END", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS")
	for _, i := range s.Inputs {
		var end any = i.End
		if i.End < 0 {
			end = "" // not seen by this node
			if i.State == "waiting" && s.ledElsewhere() {
				i.State = "read by another node"
			}
		}
		t.AppendRow(table.Row{i.Name, i.Partition, i.Next, end, i.Events, i.Applied, i.Duplicates, i.DeadLetters, i.State})
	}
	return t
}

// ledElsewhere says whether another node than the asked one leads a group, and
// so reads its inputs.
func (s *clusterStatus) ledElsewhere() bool {
	return slices.ContainsFunc(s.Groups, func(g groupStatus) bool { return g.Leader != "" && g.Leader != s.Node })
}
