package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

// source has a snapshot of two groups.
type source struct {
	files   map[string][]byte
	fail    error // of the second read
	reads   int
	dropped []string
}

func newSource() *source {
	return &source{files: map[string][]byte{"000001.sst": bytes.Repeat([]byte("rows"), 100_000), "MANIFEST-000002": []byte("list"), "empty": nil}}
}

func (s *source) TakeSnapshot(context.Context) (connectors.Snapshot, error) {
	return connectors.Snapshot{ID: "s1", Cluster: "retail", Incarnation: 4, Topology: "retail", FeatureLevel: 1, Version: "test", Shards: 256, Groups: 2,
		Clock: "wall", Lateness: 10 * time.Second, Fingerprint: "f1",
		Parts: []connectors.SnapshotPart{{Group: 0, Node: "n1", Index: 100, Term: 3, LogTime: 1}, {Group: 1, Node: "n2", Index: 7, Term: 2, LogTime: 2}}}, nil
}

func (s *source) DescribeSnapshot(ctx context.Context, _ string) (connectors.Snapshot, error) {
	c, err := s.TakeSnapshot(ctx)
	for i := range c.Parts {
		for _, name := range []string{"000001.sst", "MANIFEST-000002", "empty"} {
			c.Parts[i].Files = append(c.Parts[i].Files, connectors.SnapshotFile{Name: name, Size: int64(len(s.files[name]))})
		}
	}
	return c, err
}

func (s *source) ReadSnapshot(_ context.Context, _ string, _ int, file string, offset int64) ([]byte, error) {
	if s.reads++; s.reads == 2 && s.fail != nil {
		return nil, s.fail
	}
	rest := s.files[file][offset:]
	return rest[:min(len(rest), 150_000)], nil
}

func (s *source) DropSnapshot(_ context.Context, id string) error {
	s.dropped = append(s.dropped, id)
	return nil
}

func save(t *testing.T, from *source) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "monday")
	if _, err := (Saving{Dir: dir, From: from}).Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSave(t *testing.T) {
	from := newSource()
	dir := save(t, from)
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Cluster != "retail" || m.Incarnation != 4 || len(m.Groups) != 2 || m.Groups[1].Index != 7 || len(m.Groups[0].Files) != 3 || m.Bytes() != 2*400_004 {
		t.Errorf("manifest = %+v; want what the cluster said", m)
	}
	if !slices.Equal(from.dropped, []string{"s1"}) {
		t.Errorf("dropped on the nodes: %v; want s1", from.dropped)
	}
	if _, err := (Saving{Dir: dir, From: from}).Save(t.Context()); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("Save over a snapshot = %v; want it refused", err)
	}
}

// A save that fails leaves nothing that looks like a snapshot.
func TestSaveThatFails(t *testing.T) {
	from := newSource()
	from.fail = errors.New("node is gone")
	parent := t.TempDir()
	if _, err := (Saving{Dir: filepath.Join(parent, "monday"), From: from}).Save(t.Context()); !errors.Is(err, from.fail) || !strings.Contains(err.Error(), "000001.sst") {
		t.Errorf("Save = %v; want the file and why", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v; want nothing", left, err)
	}
	if len(from.dropped) != 1 {
		t.Error("the nodes keep the snapshot")
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	write := func(path string, b []byte) error { return os.WriteFile(path, b, 0o644) }
	for name, tt := range map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"a file is missing":     {func(d string) error { return os.Remove(filepath.Join(d, "group-1", "empty")) }, "group-1/empty: snapshot is damaged: it is missing"},
		"a group is missing":    {func(d string) error { return os.RemoveAll(filepath.Join(d, "group-0")) }, "group-0/000001.sst: snapshot is damaged: it is missing"},
		"a file is cut off":     {func(d string) error { return os.Truncate(filepath.Join(d, "group-0", "000001.sst"), 399_999) }, "it has 399999 bytes, not 400000"},
		"a file is longer":      {func(d string) error { return write(filepath.Join(d, "group-0", "empty"), []byte("x")) }, "it has 1 bytes, not 0"},
		"a bit changed":         {func(d string) error { return write(filepath.Join(d, "group-1", "MANIFEST-000002"), []byte("lisT")) }, "group-1/MANIFEST-000002: snapshot is damaged: its checksum"},
		"a file is foreign":     {func(d string) error { return write(filepath.Join(d, "group-1", "000009.sst"), nil) }, "group-1/000009.sst: snapshot is damaged: it does not belong"},
		"the manifest changed":  {func(d string) error { return edit(d, `"index": 100`, `"index": 101`) }, "manifest.json: snapshot is damaged: its checksum"},
		"the manifest is older": {func(d string) error { return edit(d, `"version": 1`, `"version": 9`) }, "format 9, this build knows 1"},
		"the manifest is half":  {func(d string) error { return os.Truncate(filepath.Join(d, "manifest.json"), 200) }, "manifest.json: snapshot is damaged"},
		"there is no manifest":  {func(d string) error { return os.Remove(filepath.Join(d, "manifest.json")) }, "no snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := save(t, newSource())
			if err := tt.damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open = %v; want %q", err, tt.want)
			}
		})
	}
}

func edit(dir, old, next string) error {
	path := filepath.Join(dir, manifestName)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(b, []byte(old)) {
		return errors.New("nothing to edit")
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(next), 1), 0o644)
}

// A name in a manifest becomes a path: one that leads elsewhere is refused, even
// with a checksum that is right.
func TestManifestWithPathsIsRefused(t *testing.T) {
	dir := save(t, newSource())
	m, err := Describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../etc/passwd", "..", "", `a\b`} {
		m.Groups[0].Files[0].Name = name
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, manifestName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Describe(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("a file named %q: %v; want %v", name, err, ErrDamaged)
		}
	}
}

func TestFits(t *testing.T) {
	m, err := Open(save(t, newSource()))
	if err != nil {
		t.Fatal(err)
	}
	good := Target{Cluster: "retail", Topology: "retail", FeatureLevel: 1, Shards: 256, Groups: 2, Clock: "wall", Fingerprint: "f1", Lateness: 10 * time.Second}
	if got, err := m.Fits(good); got != 5 || err != nil {
		t.Errorf("Fits = %d, %v; want incarnation 5", got, err)
	}
	good.Incarnation = 9
	if got, err := m.Fits(good); got != 9 || err != nil {
		t.Errorf("Fits = %d, %v; want incarnation 9", got, err)
	}
	bad := good
	bad.Shards, bad.Fingerprint, bad.Incarnation, bad.FeatureLevel = 128, "f2", 4, 0
	_, err = m.Fits(bad)
	for _, want := range []string{"cluster.shards is 256", "fingerprint is f1", "must be higher", "feature level is 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Fits = %v; want %q", err, want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":"anabranch snapshot","version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestName), b, 0o644); err != nil {
			t.Fatal(err)
		}
		if m, err := Open(dir); err == nil && len(m.Groups) > 0 {
			t.Errorf("%q is a whole snapshot with groups, and no files", b)
		}
	})
}
