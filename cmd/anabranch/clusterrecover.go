package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/engine/node"
)

func newClusterRecover() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Make a cluster of the nodes that are left when its majority is lost for good",
		Long: `Makes of a stopped node's data directory that of a node of a new incarnation of the
cluster, whose members are the survivors only. It is done on each survivor, with the same
list, before any of them is started. Without --acknowledge-loss it only says what would
be kept and what may be lost.

Each group goes on with all that the survivors have of it, committed or not. What only the
lost nodes had is gone: entries that were acknowledged by them and not by a survivor, and
with them decisions that may be on Kafka already. Groups go on from different moments, so
what they had for each other is sent again. The inputs are read again from where each
group was, and what was applied already is known by its source and id.

Never start a lost node with its old data again; the survivors refuse it. The old
directory is kept beside the new one. If a majority can still be started, do that: then
nothing is lost. A backup, if there is one of the time, is a consistent alternative.`,
		Example: `  anabranch cluster recover --config anabranch.yaml --survivors n1
  anabranch cluster recover --config anabranch.yaml --survivors n1 --acknowledge-loss retail`,
		Args: cobra.NoArgs,
	}
	var file, acknowledged string
	r := node.Recovering{}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the node, YAML (required)")
	cmd.Flags().StringSliceVar(&r.Survivors, "survivors", nil, "ids of all nodes that are left, the same list on each (required)")
	cmd.Flags().StringVar(&acknowledged, "acknowledge-loss", "", "name of the cluster, typed out: what was lost is given up")
	cmd.Flags().Uint64Var(&r.Incarnation, "incarnation", 0, "number of the new incarnation, if not the next")
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := offlineConfig(file)
		if err != nil {
			return err
		}
		switch {
		case len(r.Survivors) == 0:
			return usagef("--survivors is missing: name the nodes that are left, this one among them")
		case acknowledged != "" && acknowledged != cfg.Cluster.Name:
			return usagef("--acknowledge-loss is %q; the cluster is named %s", acknowledged, cfg.Cluster.Name)
		case !exists(filepath.Join(cfg.Node.Data, "node")):
			return fmt.Errorf("data directory %s: there is no node in it", cfg.Node.Data)
		}
		r.Apply, r.Now = acknowledged != "", time.Now()
		var done *node.Recovered
		err = offline(cfg, cmd.ErrOrStderr(), func(parts node.Config) (err error) {
			done, err = node.Recover(cmd.Context(), parts, r)
			return err
		})
		if err != nil {
			return oneLineOf(err)
		}
		return out.showValue(cmd.OutOrStdout(), done, func(w io.Writer) error { return showRecovered(w, done, r.Now) })
	}
	return cmd
}

func showRecovered(w io.Writer, d *node.Recovered, now time.Time) error {
	t := newTable("GROUP", "KEPT UP TO", "TERM", "LOG TIME", "AGE", "UNREADABLE", "UNDELIVERED", "ON LANES")
	numbers(t, "GROUP", "KEPT UP TO", "TERM", "AGE", "UNREADABLE", "UNDELIVERED", "ON LANES")
	var faults []string
	for _, g := range d.Groups {
		t.AppendRow(table.Row{g.Group, g.Index, g.Term, g.LogTime.Format(time.RFC3339), now.Sub(g.LogTime).Round(time.Second), g.Unreadable, g.OutboxRecords, g.LaneMessages})
		for _, f := range g.Faults {
			faults = append(faults, fmt.Sprintf("group %d: %s", g.Group, f))
		}
	}
	if err := render(w, t); err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range faults {
		fmt.Fprintln(&text, f)
	}
	for _, s := range d.Shards {
		fmt.Fprintln(&text, s)
	}
	lost := strings.Join(d.Lost, ", ")
	if lost == "" {
		lost = "this node"
	}
	fmt.Fprintf(&text, "\nMay be lost: what %s decided after these entries, though it may be on Kafka.\n"+
		"May stand on Kafka twice: what is undelivered here and was delivered all the same.\n", lost)
	if d.Before == "" {
		fmt.Fprintf(&text, "Nothing was changed. To go on with %s as incarnation %d: --acknowledge-loss %s\n", strings.Join(d.Survivors, ", "), d.Incarnation, d.Cluster)
	} else {
		fmt.Fprintf(&text, "Node %s is one of incarnation %d of cluster %s now, with %s. What it was is in %s\n", d.Node, d.Incarnation, d.Cluster, strings.Join(d.Survivors, ", "), d.Before)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
