package assembly_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/internal/assembly"
)

func open(t *testing.T, path string) *assembly.DataDir {
	t.Helper()
	d, err := assembly.OpenDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDataDirKeepsItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "deep")
	first := open(t, path)
	if !first.New {
		t.Error("New = false at the first opening")
	}
	if _, err := assembly.OpenDataDir(path); !errors.Is(err, assembly.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("second opening = %v; want it in use, with the path", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	if again.New || again.Key.Fingerprint() != first.Key.Fingerprint() {
		t.Errorf("New = %v, key %s; want the key of the first opening, %s", again.New, again.Key.Fingerprint(), first.Key.Fingerprint())
	}
}

// A directory that holds anything else is refused and not touched.
func TestDataDirRefuses(t *testing.T) {
	tests := []struct {
		name, file, text, want string
	}{
		{"foreign", "holiday.jpg", "x", "not an Anabranch data directory"},
		{"marker of others", "anabranch.json", `{"format":"something"}`, "not an Anabranch data directory"},
		{"broken marker", "anabranch.json", `{`, "not an Anabranch data directory"},
		{"newer layout", "anabranch.json", `{"format":"anabranch data directory","layout":99}`, "layout 99"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := assembly.OpenDataDir(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("OpenDataDir = %v; want one line with %q", err, tt.want)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("directory holds %v afterwards (%v); want it untouched", entries, err)
			}
		})
	}
}

// Without its key the state's people could never be recognised again: a new key
// must not be made in silence.
func TestDataDirMissesKey(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if err := errors.Join(os.Mkdir(d.Node(0), 0o755), d.Close(), os.Remove(filepath.Join(path, "pseudonym.key"))); err != nil {
		t.Fatal(err)
	}
	if _, err := assembly.OpenDataDir(path); err == nil || !strings.Contains(err.Error(), "pseudonym.key is missing") {
		t.Errorf("OpenDataDir = %v; want it to miss the key", err)
	}
}

// What holds three nodes is not started as one, nor the other way round.
func TestDataDirKeepsItsNodes(t *testing.T) {
	three, one := t.TempDir(), t.TempDir()
	d, err := assembly.DataDirConfig{Path: three, Nodes: 3}.Open()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := filepath.Base(d.Node(0)), filepath.Base(d.Node(2)); a != "n1" || b != "n3" {
		t.Errorf("nodes are in %s and %s; want n1 and n3", a, b)
	}
	if err := errors.Join(d.Close(), open(t, one).Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := assembly.OpenDataDir(three); err == nil || !strings.Contains(err.Error(), "holds a cluster of 3 nodes, not of 1: start it with --nodes 3") {
		t.Errorf("opening three as one = %v", err)
	}
	if _, err := (assembly.DataDirConfig{Path: one, Nodes: 3}).Open(); err == nil || !strings.Contains(err.Error(), "holds a cluster of 1 node, not of 3") {
		t.Errorf("opening one as three = %v", err)
	}
	if d, err = (assembly.DataDirConfig{Path: three, Nodes: 3}).Open(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// A key file of its own is used, and none is made.
func TestDataDirWithKeyFile(t *testing.T) {
	key := filepath.Join(t.TempDir(), "people.key")
	made, err := wire.CreateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	d, err := assembly.DataDirConfig{Path: path, KeyFile: key}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := os.Stat(filepath.Join(path, "pseudonym.key")); !errors.Is(err, fs.ErrNotExist) || d.Key.Fingerprint() != made.Fingerprint() {
		t.Errorf("key in the directory: %v, fingerprint %s; want none, and %s", err, d.Key.Fingerprint(), made.Fingerprint())
	}
}

// An opening that was cut off is begun again.
func TestDataDirCutOff(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := open(t, path); !d.New {
		t.Error("New = false; want the opening begun again")
	}
}

func TestTopicsHaveNames(t *testing.T) {
	plan, err := assembly.Plan()
	if err != nil {
		t.Fatal(err)
	}
	compacted := map[string]bool{}
	for _, topic := range assembly.BrokerTopics(plan) {
		if topic.Name == "" || topic.Partitions < 1 {
			t.Errorf("topic = %+v", topic)
		}
		compacted[topic.Name] = topic.Compacted
	}
	if !compacted["retail.stock-levels"] || !compacted["retail.reference"] || compacted["retail.sales"] {
		t.Errorf("compacted = %v; want stock levels and reference data only", compacted)
	}
}
