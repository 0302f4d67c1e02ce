package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/backup"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/internal/config"
)

// restored is what restore prints.
type restored struct {
	Node        string           `json:"node"`
	Data        string           `json:"data"`
	Cluster     string           `json:"cluster"`
	Incarnation uint64           `json:"incarnation"`
	Snapshot    *backup.Manifest `json:"snapshot"`
}

func newSnapshotRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make the data directory of a new cluster's node from a snapshot",
		Long: `Reads all of the snapshot in DIR and, if it is whole and fits the configuration, makes
the node's data directory of it, which must be empty or missing. It is done once on each
node of the new cluster, from the same snapshot; then the nodes are started, and a cluster
of several is formed with 'anabranch cluster init', which refuses nodes of different
snapshots. The pseudonym key must be that of the cluster that was saved.

The cluster begins a new incarnation, one higher than the one saved, or --incarnation: it
must be higher than that of any cluster of this name that has run on the same Kafka. Its
leaders cut off those of all incarnations before. Stop the old cluster first.`,
		Example: "  anabranch snapshot restore /backup/monday --config anabranch.yaml",
		Args:    cobra.ExactArgs(1),
	}
	var file string
	var incarnation uint64
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the node, YAML (required)")
	cmd.Flags().Uint64Var(&incarnation, "incarnation", 0, "number of the new incarnation, if not the next")
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := offlineConfig(file)
		if err != nil {
			return err
		}
		if cfg.Privacy.KeyFile == "" {
			return fmt.Errorf("%s: privacy.pseudonym_key_file is missing: name the key of the cluster that was saved, without which nobody in the state is recognised", file)
		}
		key, err := wire.LoadKey(cfg.Privacy.KeyFile)
		if err != nil {
			return err
		}
		m, err := backup.Open(args[0])
		if err != nil {
			return err
		}
		made, err := restore(cmd, args[0], m, cfg, key, incarnation)
		if err != nil {
			return oneLineOf(err)
		}
		return out.showValue(cmd.OutOrStdout(), made, func(w io.Writer) error {
			if err := render(w, snapshotGroups(m)); err != nil {
				return err
			}
			next := "start it with 'anabranch serve'"
			if len(cfg.Cluster.Join) > 1 {
				next = "do the same on the other nodes, start them, and run 'anabranch cluster init' once"
			}
			_, err := fmt.Fprintf(w, "\n%s: node %s of cluster %s, incarnation %d; %s\n", cfg.Node.Data, cfg.Node.ID, m.Cluster, made.Incarnation, next)
			return err
		})
	}
	return cmd
}

// offlineConfig reads the configuration of a node that does not run.
func offlineConfig(file string) (*config.Config, error) {
	if file == "" {
		return nil, usagef("--config is missing: name the node's configuration file")
	}
	return config.Load(file, config.Options{Topics: assembly.TopicNames()})
}

func restore(cmd *cobra.Command, dir string, m *backup.Manifest, cfg *config.Config, key wire.Key, incarnation uint64) (made *restored, err error) {
	plan, err := assembly.Plan()
	if err != nil {
		return nil, err
	}
	if incarnation, err = m.Fits(backup.Target{Cluster: cfg.Cluster.Name, Topology: plan.Name, FeatureLevel: core.Level, Shards: cfg.Cluster.Shards,
		Groups: cfg.Cluster.Groups, Clock: cfg.Cluster.Clock, Lateness: cfg.Kafka.Lateness, Fingerprint: key.Fingerprint(), Incarnation: incarnation}); err != nil {
		return nil, err
	}
	err = offline(cfg, cmd.ErrOrStderr(), func(parts node.Config) error {
		r := node.Restoring{Incarnation: incarnation, Snapshot: m.Sum}
		for _, g := range m.Groups {
			r.Parts = append(r.Parts, node.RestoringPart{Dir: backup.GroupDir(dir, g.Group), Index: g.Index, Term: g.Term})
		}
		return node.Restore(cmd.Context(), parts, r)
	})
	return &restored{Node: cfg.Node.ID, Data: cfg.Node.Data, Cluster: m.Cluster, Incarnation: incarnation, Snapshot: m}, err
}

// offline holds a node's data directory, which is made if it is missing, while fn
// changes what is in it.
func offline(cfg *config.Config, errs io.Writer, fn func(parts node.Config) error) (err error) {
	s := &server{cfg: cfg, log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.openDirectory(); err != nil {
		return err
	}
	parts, err := assembly.Parts(s.nodeConfig())
	if err != nil {
		return err
	}
	return fn(parts)
}

// exists says whether there is something at a path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
