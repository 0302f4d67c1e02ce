package verify

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/node"
	"anabranch.dev/state"
)

func lookedAt(t *testing.T, dir string) *Report {
	t.Helper()
	r, err := Directory(t.Context(), verifyConfig(t), dir, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// harm is something done to a directory by hand, and the finding that names it.
type harm struct {
	name  string
	do    func(t *testing.T, dir, group string)
	part  Part
	place string // what the place holds
	text  string // what the finding holds
}

func table(t *testing.T, name string) *state.Table {
	t.Helper()
	for _, table := range core.Tables(verifyConfig(t).Plan) {
		if table.String() == name {
			return table
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}

func harms() []harm {
	return []harm{
		{"bit in a log record", func(t *testing.T, _, g string) {
			alter(t, one(t, g, "log", "*.wal"), flipIn(t, "000000000000000"))
		}, Record, "log record ", "checksum"},
		{"log cut off below its mark", func(t *testing.T, _, g string) {
			alter(t, one(t, g, "log", "*.wal"), func(b []byte) []byte { return b[:len(b)/1000] })
		}, Log, "log", "the mark is"},
		{"mark", func(t *testing.T, _, g string) { alter(t, filepath.Join(g, "log", "mark"), flip(20)) },
			Mark, "log/mark", "checksum"},
		{"vote in the log's meta store", func(t *testing.T, _, g string) {
			alter(t, filepath.Join(g, "log", "wal-meta.db"), flipBehind(t, "CurrentTerm"))
		}, Meta, "log/wal-meta.db", "checksum of CurrentTerm"},
		{"header of the log's meta store", func(t *testing.T, _, g string) {
			alter(t, filepath.Join(g, "log", "wal-meta.db"), flip(16+40))
		}, Meta, "log/wal-meta.db", "header 0"},
		{"snapshot's list of files", func(t *testing.T, _, g string) {
			alter(t, one(t, g, "snapshots", "*", "meta.json"), flip(40))
		}, Snapshot, "meta.json", ""},
		{"snapshot's table", func(t *testing.T, _, g string) {
			alter(t, one(t, g, "snapshots", "*", "state", "*.sst"), flip(200))
		}, Snapshot, ".sst", "checksum"},
		{"snapshot's file missing", func(t *testing.T, _, g string) { remove(t, one(t, g, "snapshots", "*", "state", "MANIFEST-*")) },
			Snapshot, "MANIFEST-", "missing"},
		{"block of a table", func(t *testing.T, _, g string) { alter(t, one(t, g, "state", "*.sst"), flip(200)) },
			Table, ".sst", "checksum"},
		{"missing table", func(t *testing.T, _, g string) { remove(t, one(t, g, "state", "*.sst")) },
			Table, "state", "file does not exist"},
		{"MANIFEST", func(t *testing.T, _, g string) { alter(t, one(t, g, "state", "MANIFEST-*"), flip(60)) },
			Manifest, "state manifest", "is not what was synced"},
		{"mark of the MANIFEST", func(t *testing.T, _, g string) { alter(t, filepath.Join(g, "state", "manifest-mark"), flip(20)) },
			Manifest, "state manifest", "slot 0"},
		{"row that was never written", func(t *testing.T, _, g string) {
			forge(t, filepath.Join(g, "state"), table(t, "tally/sum"), moreSum, false)
		}, Digest, "state shard ", "digest is"},
		{"row that breaks an invariant", func(t *testing.T, _, g string) {
			forge(t, filepath.Join(g, "state"), table(t, "tally/sum"), noSum, true)
		}, Invariant, "0", "the sum is 0"},
		{"timer out of the index", func(t *testing.T, _, g string) {
			forge(t, filepath.Join(g, "state"), table(t, "!timer/due"), gone, true)
		}, Core, "shard ", "is not in the index of timers"},
		{"index without its register", func(t *testing.T, _, g string) {
			forge(t, filepath.Join(g, "state"), table(t, "!cell/register"), gone, true)
		}, Core, "shard ", "index of timers names"},
		{"identity", func(t *testing.T, dir, _ string) { alter(t, filepath.Join(dir, "node.json"), flipIn(t, `"groups": 2`)) },
			Identity, "node.json", ""},
		{"identity's text", func(t *testing.T, dir, _ string) {
			alter(t, filepath.Join(dir, "node.json"), flipBehind(t, `"cluster_id": "`))
		},
			Identity, "node.json", "checksum"},
		{"groups swapped", func(t *testing.T, dir, g string) {
			other := filepath.Join(dir, "group-1")
			if err := errors.Join(os.Rename(g, g+"x"), os.Rename(other, g), os.Rename(g+"x", other)); err != nil {
				t.Fatal(err)
			}
		}, Record, "log record ", "checksum"},
		{"files of another node", func(t *testing.T, dir, _ string) {
			alter(t, filepath.Join(dir, "node.json"), func(b []byte) []byte {
				text, _, _ := strings.Cut(strings.ReplaceAll(string(b), `"n1"`, `"n7"`), `,
  "sum"`)
				return []byte(text + "\n}\n")
			})
		}, Identity, "group-0", "not of replica n7.1"},
		{"state of another group", func(t *testing.T, dir, g string) {
			if err := errors.Join(os.RemoveAll(filepath.Join(g, "state")), os.Rename(filepath.Join(dir, "group-1", "state"), filepath.Join(g, "state"))); err != nil {
				t.Fatal(err)
			}
		}, Core, "shard ", "is not one of group 0's"},
		{"a group too many", func(t *testing.T, dir, _ string) {
			if err := os.Mkdir(filepath.Join(dir, "group-5"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, Identity, "group-5", "no replica of group 5"},
		{"no group directory", func(t *testing.T, _, g string) {
			if err := os.RemoveAll(g); err != nil {
				t.Fatal(err)
			}
		}, Log, "group-0", "its files are gone"},
		{"noted damage", func(t *testing.T, _, g string) {
			if err := os.WriteFile(filepath.Join(g, "damaged"), []byte("disk failed\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, Note, "damaged", "disk failed"},
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A directory that a node has left is clean, and stays as it is while it is
// looked at; whatever is done to it by hand is found, by name.
func TestDirectory(t *testing.T) {
	dir := life(t)
	before := contents(t, dir)
	r := lookedAt(t, dir)
	if len(r.Findings) > 0 || len(r.Replicas) != 2 {
		t.Fatalf("clean directory: %+v", r)
	}
	for _, a := range r.Replicas {
		if a.Records < 10 || a.Snapshot == 0 || a.Rows < 100 || a.Tables == 0 || a.Applied <= a.Snapshot {
			t.Errorf("replica %+v; want log, snapshot and state to be read", a)
		}
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Errorf("the directory has changed")
	}
	for _, h := range harms() {
		t.Run(h.name, func(t *testing.T) {
			copied := copyDir(t, dir)
			h.do(t, copied, filepath.Join(copied, "group-0"))
			before := fingerprint(t, copied)
			r := lookedAt(t, copied)
			found := false
			for _, f := range r.Findings {
				found = found || f.Part == h.part && strings.Contains(f.Place, h.place) && strings.Contains(f.Text, h.text) && f.Meaning != ""
			}
			if !found {
				t.Errorf("findings = %+v\nwant one of part %s at %q with %q", r.Findings, h.part, h.place, h.text)
			}
			if after := fingerprint(t, copied); !maps.Equal(before, after) {
				t.Errorf("the directory has changed")
			}
		})
	}
}

// What can't be looked at is an error, not a finding.
func TestDirectoryNotLookedAt(t *testing.T) {
	if _, err := Directory(t.Context(), verifyConfig(t), "", []string{t.TempDir()}); !errors.Is(err, node.ErrForeign) {
		t.Errorf("empty directory = %v; want it another's", err)
	}
	dir := t.TempDir()
	n, err := node.Open(nodeConfig(t, dir, "127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Directory(t.Context(), verifyConfig(t), "", []string{dir}); !errors.Is(err, node.ErrInUse) {
		t.Errorf("directory in use = %v; want it in use", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if r := lookedAt(t, dir); len(r.Findings) > 0 {
		t.Errorf("node that never ran: %+v", r)
	}
}
