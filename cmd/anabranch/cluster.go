package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newCluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster",
		Short:   "Look at a cluster, and help it over what halts it",
		Example: "  anabranch cluster status",
	}
	cmd.AddCommand(newClusterStatus(), newClusterSkip())
	return cmd
}

// clusterStatus is what the table shows of GET /v1/cluster.
type clusterStatus struct {
	Node, Cluster, Version, Durability, Clock, Fingerprint string
	Ready                                                  bool
	NotReady                                               string `json:"not_ready"`
	Groups                                                 []struct {
		Group, Voters    int
		Leader, Role     string
		Term, Commit     uint64
		Applied, Written uint64
		OutboxRecords    int `json:"outbox_records"`
		Delivery, Halted string
		DeadLettered     int `json:"dead_lettered"`
	}
	Inputs []struct {
		Name, State     string
		Partition       int32
		Next, End       int64
		Events, Applied int64
		Duplicates      int64
		DeadLetters     int64 `json:"dead_letters"`
	}
}

func newClusterStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show groups and inputs as a node sees them",
		Example: "  anabranch cluster status --addr localhost:8470",
		Args:    cobra.NoArgs,
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := c.get(cmd.Context(), nil, "v1", "cluster")
		if err != nil {
			return err
		}
		s, err := decode[clusterStatus](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error { return statusTables(w, s) })
	}
	return cmd
}

func statusTables(w io.Writer, s clusterStatus) error {
	ready := "ready"
	if !s.Ready {
		ready = "not ready: " + s.NotReady
	}
	if _, err := fmt.Fprintf(w, "%s/%s  %s  version %s  durability %s  clock %s  pseudonym key %s\n\n",
		s.Cluster, s.Node, ready, s.Version, s.Durability, s.Clock, s.Fingerprint); err != nil {
		return err
	}
	groups := newTable("GROUP", "ROLE", "LEADER", "TERM", "COMMIT", "APPLIED", "WRITTEN", "OUTBOX", "DEAD LETTERS", "DELIVERY")
	numbers(groups, "GROUP", "TERM", "COMMIT", "APPLIED", "WRITTEN", "OUTBOX", "DEAD LETTERS")
	for _, g := range s.Groups {
		role := g.Role
		if g.Halted != "" {
			role = "halted: " + g.Halted
		}
		groups.AppendRow(table.Row{g.Group, role, g.Leader, g.Term, g.Commit, g.Applied, g.Written, g.OutboxRecords, g.DeadLettered, g.Delivery})
	}
	if err := render(w, groups); err != nil {
		return err
	}
	if len(s.Inputs) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	inputs := newTable("TOPIC", "PARTITION", "NEXT", "END", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS", "STATE")
	numbers(inputs, "PARTITION", "NEXT", "END", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS")
	for _, i := range s.Inputs {
		inputs.AppendRow(table.Row{i.Name, i.Partition, i.Next, i.End, i.Events, i.Applied, i.Duplicates, i.DeadLetters, i.State})
	}
	return render(w, inputs)
}

func newClusterSkip() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "skip",
		Short: "Step over the one message that halts a group",
		Long: `A group halts when a message breaks an invariant. 'cluster status' names the
entry and the message. Skipping takes it out on every replica, and nothing else; it
becomes a dead letter with the reason "skipped", which can be redriven.`,
		Example: "  anabranch cluster skip --group 0 --entry 4711 --message 3",
		Args:    cobra.NoArgs,
	}
	var body struct {
		Group   int    `json:"group"`
		Index   uint64 `json:"index"`
		Message uint64 `json:"message"`
	}
	cmd.Flags().IntVar(&body.Group, "group", 0, "group that is halted")
	cmd.Flags().Uint64Var(&body.Index, "entry", 0, "index of the entry (required)")
	cmd.Flags().Uint64Var(&body.Message, "message", 0, "message in the entry, from 0")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if body.Index == 0 {
			return usagef("--entry is missing; 'anabranch cluster status' names the entry")
		}
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		answer, err := c.post(cmd.Context(), b, nil, "v1", "cluster", "skip")
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "group %d: message %d of entry %d skipped\n", body.Group, body.Message, body.Index)
			return err
		})
	}
	return cmd
}
