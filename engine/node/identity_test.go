package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"anabranch.dev/engine/raftlog"
)

// A node's identity that was changed on the disk is not believed, even if it
// still reads well.
func TestIdentityIsChecked(t *testing.T) {
	want := identity{Format: identityFormat, Cluster: "c", Node: "n1", Shards: 16, Groups: 1, Stage: stageFormed,
		Replicas: []replicaState{{Generation: 2, Made: true}}}
	d := &directory{path: t.TempDir()}
	if err := d.identify(want); err != nil {
		t.Fatal(err)
	}
	if err := (&directory{path: d.path}).identify(want); err != nil {
		t.Errorf("identify(sound) = %v", err)
	}
	path := filepath.Join(d.path, identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(b, []byte(`"generation": 2`), []byte(`"generation": 3`), 1)
	if err := os.WriteFile(path, changed, 0o644); err != nil || bytes.Equal(b, changed) {
		t.Fatal(err, "or nothing changed")
	}
	if err := (&directory{path: d.path}).identify(want); !errors.Is(err, raftlog.ErrCorrupt) {
		t.Errorf("identify(changed) = %v; want %v", err, raftlog.ErrCorrupt)
	}
}
