package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newCluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Form a cluster, change it, look at it, and help it over what halts it",
		Example: `  anabranch cluster init --addr 10.0.0.1:8470
  anabranch cluster status --addr 10.0.0.1:8470,10.0.0.2:8470,10.0.0.3:8470`,
	}
	cmd.AddCommand(newClusterInit(), newClusterStatus(), newClusterTransfer(), newClusterMove(), newClusterSkip(),
		newClusterAdd(), newClusterDrain(), newClusterRemove(), newClusterUpgrade(), newClusterRecover())
	return cmd
}

func newClusterInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Form a new cluster, and wait until its nodes are ready",
		Long: `Forms the cluster of the nodes that the asked one was configured to join. All must
run, be new and agree on the cluster's settings and the pseudonym key. It is done once,
on any node; doing it again completes what was interrupted and changes nothing else.`,
		Example: "  anabranch cluster init --addr 10.0.0.1:8470",
		Args:    cobra.NoArgs,
	}
	wait := cmd.Flags().Duration("wait", time.Minute, "how long to wait for the nodes to be ready")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), *wait)
		defer cancel()
		answer, s, err := formCluster(ctx, c)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			if _, err := fmt.Fprintf(w, "cluster %s is formed of %s\n\n", s.Cluster, count(len(s.Nodes), "node")); err != nil {
				return err
			}
			return render(w, nodeTable(s))
		})
	}
	return cmd
}

// formCluster asks for the cluster to be formed and waits until every node is
// ready.
func formCluster(ctx context.Context, c *client) ([]byte, clusterStatus, error) {
	if _, err := c.post(ctx, nil, nil, "v1", "cluster", "init"); err != nil {
		return nil, clusterStatus{}, err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	why := "no node has answered"
	for {
		answer, s, err := askStatus(ctx, c)
		if err == nil {
			if why = s.notReady(); why == "" {
				return answer, s, nil
			}
		} else if ctx.Err() == nil {
			why = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil, s, fmt.Errorf("the cluster is formed, but not ready in time: %s; 'anabranch cluster status' shows how it goes on", why)
		case <-again.C:
		}
	}
}

func newClusterTransfer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transfer GROUP",
		Short: "Hand the leadership of a group to another node",
		Long: `The leader stops taking events, lets the other node catch up and hands over; events
wait meanwhile and none is lost. Without --to any node that is caught up gets it.`,
		Example: "  anabranch cluster transfer 0 --to n2",
		Args:    cobra.ExactArgs(1),
	}
	var body struct {
		Group int    `json:"group"`
		To    string `json:"to,omitempty"`
	}
	cmd.Flags().StringVar(&body.To, "to", "", "node that shall lead")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if body.Group, err = strconv.Atoi(args[0]); err != nil || body.Group < 0 {
			return usagef("GROUP is %q, not the number of a group", args[0])
		}
		request, err := json.Marshal(body)
		if err != nil {
			return err
		}
		answer, err := c.post(cmd.Context(), request, nil, "v1", "cluster", "transfer")
		if err != nil {
			return err
		}
		done, err := decode[struct {
			From, Leader string
			TookUS       int64 `json:"took_us"`
		}](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "group %d: %s leads, before it was %s; handed over in %.1f ms\n", body.Group, done.Leader, done.From, float64(done.TookUS)/1000)
			return err
		})
	}
	return cmd
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
