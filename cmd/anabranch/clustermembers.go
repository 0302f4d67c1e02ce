package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// membership is what is decided about a member.
type membership struct {
	Node, State string
	Members     int
	Version     uint64
}

func newClusterAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add ID PEER",
		Short: "Let a new node into the running cluster",
		Long: `The node runs already, with an empty data directory, the cluster's settings and key,
and cluster.join naming members and itself; it waits. PEER is its node.peer. It is
filled from the leaders, and votes in one group after the other as soon as it has
caught up. Asked again it goes on; a node that is not wanted any more while it joins is
taken out with 'cluster remove'.`,
		Example: "  anabranch cluster add n4 10.0.0.4:8471",
		Args:    cobra.ExactArgs(2),
	}
	wait := cmd.Flags().Duration("wait", 10*time.Minute, "how long to wait until it takes full part")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, s, err := changeMembers(cmd.Context(), c, *wait, "add", map[string]any{"node": args[0], "peer": args[1]}, func(s *clusterStatus) string {
			n := s.member(args[0])
			switch {
			case n == nil:
				return "the asked node does not know it yet"
			case n.State != "member":
				return fmt.Sprintf("it is %s; %s%s", n.State, n.NotReady, n.Unreachable)
			}
			return s.notReady()
		})
		if err != nil {
			return err
		}
		return showMembers(cmd, out, m, s, fmt.Sprintf("node %s is a member; the cluster has %s", args[0], count(len(s.Nodes), "node")))
	}
	return cmd
}

func newClusterDrain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain ID",
		Short: "Take the leaderships from a node, and give it none",
		Long: `Its replicas go on following and voting, so that nothing is less safe. A node is
drained before it is removed, or before work on its machine. Restarts don't end it,
--undo does.`,
		Example: `  anabranch cluster drain n1
  anabranch cluster drain n1 --undo`,
		Args: cobra.ExactArgs(1),
	}
	undo := cmd.Flags().Bool("undo", false, "let it lead again")
	wait := cmd.Flags().Duration("wait", time.Minute, "how long to wait until it leads nothing")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id := args[0]
		m, s, err := changeMembers(cmd.Context(), c, *wait, "drain", map[string]any{"node": id, "undo": *undo}, func(s *clusterStatus) string {
			if *undo {
				return ""
			}
			for _, n := range s.Nodes {
				for _, g := range n.Groups {
					if g.Leader == id {
						return fmt.Sprintf("it leads group %d", g.Group)
					}
				}
			}
			return ""
		})
		if err != nil {
			return err
		}
		said := fmt.Sprintf("node %s is drained: it leads nothing", id)
		if *undo {
			said = fmt.Sprintf("node %s is a member as before: it may lead again", id)
		}
		return showMembers(cmd, out, m, s, said)
	}
	return cmd
}

func newClusterRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Take a node out of the cluster",
		Long: `The node is drained, or still joining; one that does not answer and never will is
removed with --force. Its replicas are taken out of all groups, then the node out of the
list. Its process ends with that reason and refuses to start with the same data again.
Refused where the nodes that remain would be no quorum. Ask another node than the one to
be removed.`,
		Example: `  anabranch cluster remove n1
  anabranch cluster remove n3 --force`,
		Args: cobra.ExactArgs(1),
	}
	force := cmd.Flags().Bool("force", false, "also if it was not drained, when it does not answer")
	wait := cmd.Flags().Duration("wait", time.Minute, "how long to wait until it is out")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, s, err := askStatus(cmd.Context(), c); err != nil {
			return err
		} else if s.Node == args[0] {
			return usagef("%s is node %s itself: ask another one, with --addr", c.at, s.Node)
		}
		m, s, err := changeMembers(cmd.Context(), c, *wait, "remove", map[string]any{"node": args[0], "force": *force}, func(s *clusterStatus) string {
			if s.member(args[0]) != nil {
				return "its replicas are being taken out"
			}
			return ""
		})
		if err != nil {
			return err
		}
		said := fmt.Sprintf("node %s is removed; the cluster has %s", args[0], count(len(s.Nodes), "node"))
		if len(s.Nodes) == 2 {
			said += ". Two stop when either is lost: add a third soon"
		}
		return showMembers(cmd, out, m, s, said)
	}
	return cmd
}

// changeMembers has a change decided and waits until it is carried out: until
// why says nothing any more.
func changeMembers(ctx context.Context, c *client, wait time.Duration, path string, body map[string]any, why func(s *clusterStatus) string) ([]byte, clusterStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	request, err := json.Marshal(body)
	if err != nil {
		return nil, clusterStatus{}, err
	}
	answer, err := c.post(ctx, request, nil, "v1", "cluster", path)
	if err != nil {
		return nil, clusterStatus{}, err
	}
	m, err := decode[membership](c, answer)
	if err != nil {
		return nil, clusterStatus{}, err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	missing := "no node has answered since"
	for {
		_, s, err := askStatus(ctx, c)
		if err == nil {
			if missing = why(&s); missing == "" {
				return answer, s, nil
			}
		} else if ctx.Err() == nil {
			missing = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil, s, fmt.Errorf("it is decided that node %s is %s, but not carried out in time: %s; 'anabranch cluster status' shows how it goes on",
				m.Node, m.State, missing)
		case <-again.C:
		}
	}
}

func showMembers(cmd *cobra.Command, out *format, answer []byte, s clusterStatus, said string) error {
	return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s\n\n", said); err != nil {
			return err
		}
		return render(w, nodeTable(s))
	})
}

// member finds a node of the cluster, nil if there is none.
func (s *clusterStatus) member(id string) *nodeStatus {
	if i := slices.IndexFunc(s.Nodes, func(n nodeStatus) bool { return n.Node == id }); i >= 0 {
		return &s.Nodes[i]
	}
	return nil
}
