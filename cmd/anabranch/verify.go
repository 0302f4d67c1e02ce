package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/engine/verify"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail/check"
)

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [DIR|ADDR]",
		Short: "Check a stopped node's data directory, or a running cluster",
		Long: `Of a data directory that no process has open, everything is read and compared: the
identity, every record of the log, every file of every snapshot, every block of every
table and every row of the state, digests, outboxes, lanes, timers and positions, and the
stock and order invariants. Nothing in it is changed. The embedded broker's files are not
looked at.

Of a running cluster, each node is asked at its own address: all must answer, be ready,
have the same settings, keep up, and have the same digests at one index. Nodes go on
comparing digests and reading their files through by themselves.

The exit code is 0 if all is well, 3 if anything is off, 1 if it could not be looked at.`,
		Example: `  anabranch verify /var/lib/anabranch
  anabranch verify 10.0.0.1:8470 -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && isDirectory(args[0]) {
			return verifyDirectory(cmd, args[0], *out)
		}
		if len(args) == 1 {
			c.addr = args[0]
		}
		return verifyCluster(cmd, c, *out)
	}
	return cmd
}

// isDirectory tells a directory from an address: it is there, or looks like a
// path.
func isDirectory(arg string) bool {
	if _, err := os.Stat(arg); err == nil {
		return true
	}
	return !strings.Contains(arg, "://") && (strings.ContainsRune(arg, filepath.Separator) || strings.HasPrefix(arg, "."))
}

func verifyDirectory(cmd *cobra.Command, path string, out format) (err error) {
	held, err := assembly.HoldDataDir(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	report, err := lookAt(cmd.Context(), path, held, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := out.showValue(cmd.OutOrStdout(), report, func(w io.Writer) error { return directoryTables(w, report) }); err != nil {
		return err
	}
	return foundIn(len(report.Findings) + report.Left)
}

// foundIn is what the exit code is made of.
func foundIn(findings int) error {
	if findings == 0 {
		return nil
	}
	return &foundError{count(findings, "finding")}
}

func lookAt(ctx context.Context, path string, held *assembly.HeldDir, progress io.Writer) (*verify.Report, error) {
	plan, err := assembly.Plan()
	if err != nil {
		return nil, err
	}
	said := time.Now()
	report, err := verify.Directory(ctx, verify.Config{
		Plan: plan, Codec: codec.New(), Invariants: invariants(plan), Fingerprint: held.Fingerprint,
		Progress: func(what string) {
			if time.Since(said) >= progressEvery {
				said = time.Now()
				say(progress, "reading %s\n", what)
			}
		},
	}, path, held.Nodes)
	if err != nil {
		return nil, err
	}
	for _, fault := range held.Faults {
		report.Add(verify.Identity, path, fault)
	}
	return report, nil
}

// invariants are the shipped topology's. What is under way is left alone: rows
// of several groups are not of one moment.
func invariants(plan *topology.Plan) func(r state.Reader, shards []state.Shard, broken func(place, what string)) error {
	return func(r state.Reader, shards []state.Shard, broken func(place, what string)) error {
		vs, err := check.State(plan, []check.View{{Reader: r, Shards: shards}}, false)
		for _, v := range vs {
			broken(v.Key, v.Code+": "+v.Text)
		}
		return err
	}
}

func directoryTables(w io.Writer, r *verify.Report) error {
	t := newTable("NODE", "GROUP", "REPLICA", "LOG", "RECORDS", "SNAPSHOT", "APPLIED", "TABLES", "ROWS")
	numbers(t, "GROUP", "RECORDS", "SNAPSHOT", "APPLIED", "TABLES", "ROWS")
	for _, a := range r.Replicas {
		t.AppendRow(table.Row{a.Node, a.Group, a.Replica, fmt.Sprintf("%d-%d", a.First, a.Last), a.Records, a.Snapshot, a.Applied, a.Tables, a.Rows})
	}
	if t.Length() > 0 {
		if err := render(w, t); err != nil {
			return err
		}
	}
	return findings(w, r.Findings, r.Left)
}

// findings prints what is off, and once per part what it means.
func findings(w io.Writer, list []verify.Finding, left int) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "\nnothing is off")
		return err
	}
	t := newTable("NODE", "GROUP", "PART", "PLACE", "FINDING")
	for _, f := range list {
		var group any = f.Group
		if f.Group < 0 {
			group = ""
		}
		t.AppendRow(table.Row{f.Node, group, f.Part, f.Place, f.Text})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := render(w, t); err != nil {
		return err
	}
	var text strings.Builder
	if left > 0 {
		fmt.Fprintf(&text, "and %d more of the same kinds\n", left)
	}
	said := map[string]bool{}
	for _, f := range list {
		if line := fmt.Sprintf("\n%s: %s\n", f.Part, f.Meaning); f.Meaning != "" && !said[line] {
			said[line] = true
			text.WriteString(line)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
