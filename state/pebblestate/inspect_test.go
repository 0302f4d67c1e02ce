package pebblestate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// A store is read without a change to it; a table that a crash left half written
// is no fault, and one in use that is gone is.
func TestInspect(t *testing.T) {
	fs := vfs.NewMem()
	s := start(t, Options{FS: fs, Dir: damagedDir})
	id := state.CellID{Shard: 7, Stage: 1, Key: "k"}
	for i := range 100 {
		s.Cell(id).Set(testTables[0], fmt.Sprint(i), &item{Number: int64(i)}, 0)
		s.Commit(uint64(i + 1))
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: s.o.Dir, FS: fs, Tables: s.o.Tables, Codec: codec.New()}
	look := func() (*Inspected, string) {
		t.Helper()
		var faults []string
		n, err := Inspect(t.Context(), o, func(place string, err error) { faults = append(faults, place+": "+err.Error()) })
		if err != nil {
			t.Fatal(err)
		}
		return n, strings.Join(faults, "\n")
	}
	half, err := fs.Create(fs.PathJoin(o.Dir, "999999.sst"), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = half.Write([]byte("half a table"))
	}
	if err = firstError(err, half.Close()); err != nil {
		t.Fatal(err)
	}
	before := readFiles(t, fs)
	n, faults := look()
	if faults != "" || n.Rows != 100 || n.Applied != 100 || len(n.Shards) != 1 || len(n.Digests) != 1 || n.Reader == nil {
		t.Fatalf("inspected %+v; faults %q; want 100 rows and none", n, faults)
	}
	row, err := n.Reader.Get(id, testTables[0], "42")
	if got, ok := row.(*item); err != nil || !ok || got.Number != 42 {
		t.Errorf("row 42 = %v, %v", row, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	// Rows of a later feature level than is known are compared and not decoded.
	o.Knows = 1
	if n, faults = look(); faults != "" || n.Newer != 0 || n.Reader == nil {
		t.Errorf("rows of a known level: newer %d, faults %q", n.Newer, faults)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	o.Knows = 0
	after := readFiles(t, fs)
	if len(after) != len(before) {
		t.Errorf("%d files, before there were %d", len(after), len(before))
	}
	for name, b := range before {
		if !bytes.Equal(after[name], b) {
			t.Errorf("%s has changed", name)
		}
	}
	for name := range before {
		if strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, "999999.sst") {
			if err := fs.Remove(fs.PathJoin(o.Dir, name)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if n, faults = look(); !strings.HasPrefix(faults, "state: state is damaged") || n.Reader != nil {
		t.Errorf("a table is missing: reader %v, faults %q; want it damaged", n.Reader, faults)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// Rows of a later feature level than a build knows are no fault, and not read.
func TestInspectNewerRows(t *testing.T) {
	fs := vfs.NewMem()
	s := start(t, Options{FS: fs, Dir: damagedDir})
	for level := range uint8(2) {
		s.SetLevel(level + 1)
		s.Cell(state.CellID{Shard: 7, Stage: 1, Key: "k"}).Set(testTables[0], fmt.Sprint(level), &item{Number: 1}, 0)
		s.Commit(uint64(level + 1))
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	for knows, want := range []uint8{0, 2, 0} {
		n, err := Inspect(t.Context(), Options{Dir: s.o.Dir, FS: fs, Tables: s.o.Tables, Codec: codec.New(), Knows: uint8(knows)},
			func(place string, err error) { t.Errorf("knows %d: %s: %v", knows, place, err) })
		if err != nil {
			t.Fatal(err)
		}
		if n.Newer != want || (n.Reader == nil) != (want > 0) || n.Rows != 2 {
			t.Errorf("knows %d: newer %d, reader %v, %d rows; want %d, and no reader of what is not known", knows, n.Newer, n.Reader, n.Rows, want)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
