package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/engine/backup"
)

func newSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Back a whole cluster up, and make a new one of a backup",
		Example: `  anabranch snapshot save /backup/monday --addr 10.0.0.1:8470
  anabranch snapshot list /backup
  anabranch snapshot restore /backup/monday --config anabranch.yaml`,
	}
	cmd.AddCommand(newSnapshotSave(), newSnapshotList(), newSnapshotRestore())
	return cmd
}

func newSnapshotSave() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "save DIR",
		Short: "Save a snapshot of a running cluster into a new folder here",
		Long: `Takes one consistent cut of all groups while the cluster goes on deciding, fetches the
files from the nodes that lead them, through the asked one, and writes them into DIR on
this machine. DIR appears when everything is in it, on disk. Cut off by anything, it
leaves DIR.partial, which the next save replaces.

The pseudonym key is not in it: keep that elsewhere. Kafka's topics are not in it either.`,
		Example: "  anabranch snapshot save /backup/monday --addr 10.0.0.1:8470,10.0.0.2:8470",
		Args:    cobra.ExactArgs(1),
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		began := time.Now()
		p := newProgress(cmd.ErrOrStderr(), "bytes saved", 0)
		m, err := backup.Saving{Dir: args[0], From: &snapshotClient{c}, Progress: func(done, total int64) {
			if p.all != total {
				p.total(total)
			}
			p.set(done)
		}}.Save(cmd.Context())
		if err != nil {
			return err
		}
		return out.showValue(cmd.OutOrStdout(), m, func(w io.Writer) error {
			if err := render(w, snapshotGroups(m)); err != nil {
				return err
			}
			_, err := fmt.Fprintf(w, "\n%s: cluster %s, incarnation %d, %s in %s, saved in %.1f s\n", args[0], m.Cluster, m.Incarnation,
				bytesText(m.Bytes()), count(snapshotFiles(m), "file"), time.Since(began).Seconds())
			return err
		})
	}
	return cmd
}

func snapshotFiles(m *backup.Manifest) (n int) {
	for _, g := range m.Groups {
		n += len(g.Files)
	}
	return n
}

func snapshotGroups(m *backup.Manifest) table.Writer {
	t := newTable("GROUP", "INDEX", "TERM", "LOG TIME", "FILES")
	numbers(t, "GROUP", "INDEX", "TERM", "FILES")
	for _, g := range m.Groups {
		t.AppendRow(table.Row{g.Group, g.Index, g.Term, g.LogTime.Format(time.RFC3339Nano), len(g.Files)})
	}
	return t
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// listedSnapshot is a folder as list shows it.
type listedSnapshot struct {
	Dir      string           `json:"dir"`
	Whole    bool             `json:"whole"`
	Faults   []string         `json:"faults,omitempty"`
	Manifest *backup.Manifest `json:"manifest,omitempty"`
}

func newSnapshotList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list DIR...",
		Short: "Show what snapshots are in folders, and whether they are whole",
		Long: `Lists the snapshots that the folders are, or hold, and reads all of each: every file
must have the length and the checksum that the manifest tells, and the manifest its own.
The exit code is 3 if one is not whole.`,
		Example: "  anabranch snapshot list /backup",
		Args:    cobra.MinimumNArgs(1),
	}
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list := []listedSnapshot{}
		for _, dir := range args {
			found, err := snapshotsIn(dir)
			if err != nil {
				return err
			}
			list = append(list, found...)
		}
		broken := 0
		for _, s := range list {
			if !s.Whole {
				broken++
			}
		}
		if err := out.showValue(cmd.OutOrStdout(), list, func(w io.Writer) error { return listSnapshots(w, list) }); err != nil {
			return err
		}
		if broken > 0 {
			return &foundError{fmt.Sprintf("%s not whole", count(broken, "snapshot"))}
		}
		return nil
	}
	return cmd
}

// snapshotsIn looks at a folder, or at those in it.
func snapshotsIn(dir string) (list []listedSnapshot, err error) {
	s, err := lookAtSnapshot(dir)
	if err == nil {
		return []listedSnapshot{s}, nil
	}
	if !errors.Is(err, backup.ErrNoSnapshot) {
		return nil, err
	}
	entries, failed := os.ReadDir(dir)
	if failed != nil {
		return nil, failed
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		switch s, err := lookAtSnapshot(filepath.Join(dir, e.Name())); {
		case err == nil:
			list = append(list, s)
		case !errors.Is(err, backup.ErrNoSnapshot):
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, err
	}
	return list, nil
}

func lookAtSnapshot(dir string) (listedSnapshot, error) {
	s := listedSnapshot{Dir: dir}
	m, err := backup.Describe(dir)
	if err == nil {
		s.Manifest = m
		err = backup.Check(dir, m)
	}
	switch {
	case err == nil:
		s.Whole = true
	case errors.Is(err, backup.ErrDamaged):
		s.Faults = faultsOf(err)
	default:
		return s, err
	}
	return s, nil
}

// faultsOf takes joined errors apart.
func faultsOf(err error) []string { return strings.Split(err.Error(), "\n") }

func listSnapshots(w io.Writer, list []listedSnapshot) error {
	t := newTable("FOLDER", "CLUSTER", "INCARNATION", "TAKEN", "GROUPS", "FILES", "SIZE", "WHOLE")
	numbers(t, "INCARNATION", "GROUPS", "FILES", "SIZE")
	for _, s := range list {
		whole := "yes"
		if !s.Whole {
			whole = "no"
		}
		if m := s.Manifest; m != nil {
			t.AppendRow(table.Row{s.Dir, m.Cluster, m.Incarnation, m.Taken.Format(time.RFC3339), len(m.Groups), snapshotFiles(m), bytesText(m.Bytes()), whole})
		} else {
			t.AppendRow(table.Row{s.Dir, "", "", "", "", "", "", whole})
		}
	}
	if err := render(w, t); err != nil {
		return err
	}
	for _, s := range list {
		for _, f := range s.Faults {
			if _, err := fmt.Fprintf(w, "%s\n", f); err != nil {
				return err
			}
		}
	}
	return nil
}
