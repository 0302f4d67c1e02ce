package raftlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// checkpoint makes a directory that looks like one of a state.
func checkpoint(t *testing.T, dir string, table []byte) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"000001.sst": table, "MANIFEST-000002": []byte("manifest"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func openSnapshots(t *testing.T, dir string) *Snapshots {
	t.Helper()
	s, err := OpenSnapshots(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t *testing.T, s *Snapshots, index uint64) *Sink {
	t.Helper()
	k, err := s.Create(1, index, 2, raft.Configuration{Servers: []raft.Server{{ID: "n1.1", Address: "n1.1"}}}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*Sink)
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestSnapshotIsSentAndReplaced(t *testing.T) {
	table := bytes.Repeat([]byte("row "), 100_000)
	dir := t.TempDir()
	from := openSnapshots(t, dir)
	for _, index := range []uint64{10, 20} {
		k := create(t, from, index)
		checkpoint(t, k.Dir(), table)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "2-20" {
		t.Errorf("kept %v; want 2-20 alone", got)
	}
	meta, r, err := from.Open("2-20")
	if err != nil {
		t.Fatal(err)
	}
	// A newer one must not pull the files away from a reader.
	k := create(t, from, 30)
	checkpoint(t, k.Dir(), nil)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}

	to := openSnapshots(t, t.TempDir())
	received := create(t, to, 20)
	n, err := io.Copy(received, r)
	if err != nil || n != meta.Size {
		t.Fatalf("sent %d bytes, %v; want %d", n, err, meta.Size)
	}
	if err := errors.Join(received.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "2-30" {
		t.Errorf("kept %v after the last reader; want 2-30 alone", got)
	}
	to = openSnapshots(t, to.dir)
	list, err := to.List()
	if err != nil || len(list) != 1 || list[0].Index != 20 || list[0].Term != 2 || list[0].Configuration.Servers[0].ID != "n1.1" {
		t.Fatalf("List = %+v, %v; want what was sent", list, err)
	}
	copied := filepath.Join(t.TempDir(), "state")
	if err := to.Extract(copied); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(copied, "000001.sst")); err != nil || !bytes.Equal(b, table) {
		t.Errorf("the table that arrived differs, %v", err)
	}
}

func TestCutStreamIsNoSnapshot(t *testing.T) {
	dir := t.TempDir()
	from := openSnapshots(t, dir)
	k := create(t, from, 10)
	checkpoint(t, k.Dir(), make([]byte, 10_000))
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	meta, r, err := from.Open("2-10")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	to := openSnapshots(t, t.TempDir())
	received := create(t, to, 10)
	if _, err := io.CopyN(received, r, meta.Size-1); err != nil {
		t.Fatal(err)
	}
	if err := received.Close(); err == nil {
		t.Error("a cut stream became a snapshot")
	}
	if got := names(t, to.dir); len(got) != 0 {
		t.Errorf("left %v; want nothing", got)
	}
	cancelled := create(t, to, 11)
	if _, err := cancelled.Write([]byte{1, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := cancelled.Cancel(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, to.dir); len(got) != 0 {
		t.Errorf("left %v after a cancel; want nothing", got)
	}
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"a file is gone": func(p string) error { return os.Remove(filepath.Join(p, snapshotState, "000001.sst")) },
		"a table is cut": func(p string) error { return os.Truncate(filepath.Join(p, snapshotState, "000001.sst"), 5) },
		"manifest differs": func(p string) error {
			return os.WriteFile(filepath.Join(p, snapshotState, "MANIFEST-000002"), []byte("manifesT"), 0o644)
		},
		"metadata differ": func(p string) error {
			return os.WriteFile(filepath.Join(p, snapshotMeta), []byte(`{"Meta":{}}`), 0o644)
		},
		"a foreign file is": func(p string) error { return os.WriteFile(filepath.Join(p, snapshotState, "x"), nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openSnapshots(t, t.TempDir())
			k := create(t, s, 10)
			checkpoint(t, k.Dir(), make([]byte, 100))
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(s.dir, "2-10")); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenSnapshots(s.dir); !errors.Is(err, ErrCorrupt) {
				t.Errorf("OpenSnapshots = %v; want %v", err, ErrCorrupt)
			}
		})
	}
}

func TestHalfMadeSnapshotIsDeleted(t *testing.T) {
	dir := t.TempDir()
	k := create(t, openSnapshots(t, dir), 10)
	checkpoint(t, k.Dir(), nil)
	s := openSnapshots(t, dir)
	if index, _ := s.Newest(); index != 0 || len(names(t, dir)) != 0 {
		t.Errorf("after a crash: newest %d, files %v; want none", index, names(t, dir))
	}
}

// FuzzUnpack: what a stream holds comes from another machine.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, "[]"...))
	f.Add(append([]byte{39, 0, 0, 0, 0, 0, 0, 0}, `[{"Name":"../../x","Size":1,"Sum":0}]  a`...))
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "a", "b")
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		err := Unpack(bytes.NewReader(b), dir)
		if got := names(t, filepath.Join(parent, "a")); len(got) != 1 || len(names(t, parent)) != 1 {
			t.Errorf("Unpack = %v; it wrote outside its directory: %v", err, got)
		}
	})
}
