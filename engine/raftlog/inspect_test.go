package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

func inspect(o Options, snapshot uint64) (Inspected, []string, []error) {
	var places []string
	var faults []error
	found := Inspection{Dir: o.Dir, Group: o.Group, Snapshot: snapshot, Fault: func(place string, err error) {
		places, faults = append(places, place), append(faults, err)
	}}.Run()
	return found, places, faults
}

// segments makes a log of several segments, cut at both ends.
func segments(t *testing.T, d Durability) Options {
	t.Helper()
	o := Options{Dir: t.TempDir(), Group: 3, Durability: d, SegmentBytes: 4 << 10}
	l := open(t, o)
	if err := l.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(
		raft.Configuration{Servers: []raft.Server{{ID: "n2.1"}, {ID: "n1.1"}}})}); err != nil {
		t.Fatal(err)
	}
	appendEntries(t, l, 2, 400)
	if err := errors.Join(l.SetUint64([]byte("CurrentTerm"), 60), l.SetUint64([]byte("LastVoteTerm"), 60), l.DeleteRange(391, 400), l.Close(390)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestInspect(t *testing.T) {
	for _, d := range []Durability{Disk, Memory} {
		found, places, faults := inspect(segments(t, d), 0)
		if len(faults) > 0 || found.First != 1 || found.Last != 390 || found.Records != 390 || found.Mark != 390 ||
			!slices.Equal(found.Replicas, []string{"n1.1", "n2.1"}) {
			t.Errorf("%s: %+v, %v %v; want 390 records and no faults", d, found, places, faults)
		}
	}
}

// A log in which much is wrong is read past it: all of it is named.
func TestInspectNamesEverything(t *testing.T) {
	o := segments(t, Disk)
	list, err := filepath.Glob(filepath.Join(o.Dir, "*.wal"))
	if err != nil || len(list) < 4 {
		t.Fatalf("segments %v, %v; want some", list, err)
	}
	for _, path := range list[1:3] {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{200, 1000} {
			b[at] ^= 1
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, places, _ := inspect(o, 0)
	if len(places) != 4 || found.Records != 386 {
		t.Errorf("%d records read, faults at %v; want 4 bad ones of 390", found.Records, places)
	}
	if _, places, faults := inspect(o, 0); len(faults) == 0 || !errors.Is(faults[0], ErrCorrupt) {
		t.Errorf("again: %v %v; want them corrupt", places, faults)
	}
	if err := os.Remove(list[2]); err != nil {
		t.Fatal(err)
	}
	if _, places, faults := inspect(o, 0); len(faults) != 2 || !errors.Is(faults[0], ErrCorrupt) || !errors.Is(faults[1], ErrBehind) {
		t.Errorf("segment missing: %v %v; want a corrupt log that is behind", places, faults)
	}
	if _, _, faults := inspect(Options{Dir: filepath.Join(o.Dir, "none")}, 0); len(faults) != 1 {
		t.Errorf("no log: %v; want it said", faults)
	}
}

// What a crash leaves is no fault: an append without its end, a mark of which
// no more than one slot is written.
func TestInspectAfterCrash(t *testing.T) {
	o := Options{Dir: t.TempDir(), Group: 3, SegmentBytes: 4 << 10}
	l := open(t, o)
	if err := l.SetUint64([]byte("CurrentTerm"), 60); err != nil {
		t.Fatal(err)
	}
	appendEntries(t, l, 1, 30)
	for i := range uint64(60) { // cut at many places behind what is marked
		appendEntries(t, l, 31+i, 31+i)
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "log"), os.DirFS(o.Dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "log", newestSegment(t, filepath.Join(dir, "log")))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(b, "\x00"))
		clear(b[max(end-int(i%16)-1, 0):end])
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if found, places, faults := inspect(Options{Dir: filepath.Join(dir, "log"), Group: 3}, 0); len(faults) > 0 {
			t.Fatalf("after %d records, %d bytes cut: %+v: %v %v", 31+i, i%16+1, found, places, faults)
		}
	}
	if err := l.Close(0); err != nil {
		t.Fatal(err)
	}
}

func newestSegment(t *testing.T, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(list) == 0 {
		t.Fatalf("segments %v, %v", list, err)
	}
	slices.Sort(list)
	return filepath.Base(list[len(list)-1])
}

// What is written to a scratch file is read back over what is below it, which
// stays as it is.
func TestScratch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	below := bytes.Repeat([]byte("below"), 2000)
	if err := os.WriteFile(path, below, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := scratchFS{}.OpenWriter(dir, "f")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(below)
	for _, at := range []int{3, 4090, 8192, 9990, 20_000} {
		text := []byte(fmt.Sprintf("written at %d, over the end of a page or not", at))
		if n, err := f.WriteAt(text, int64(at)); n != len(text) || err != nil {
			t.Fatalf("WriteAt(%d) = %d, %v", at, n, err)
		}
		want = append(want, make([]byte, max(0, at+len(text)-len(want)))...)
		copy(want[at:], text)
		got := make([]byte, len(want))
		if n, err := f.ReadAt(got, 0); n != len(want) || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("after WriteAt(%d): ReadAt = %d, %v; want what was written, all %d bytes of it", at, n, err, len(want))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, below) {
		t.Errorf("the file has changed: %v", err)
	}
}
