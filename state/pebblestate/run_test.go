package pebblestate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"anabranch.dev/state"
)

// settle returns when everything committed has been collected.
func (r *running) settle() {
	done := make(chan struct{})
	r.Digests(func(uint64, []state.ShardDigest) { close(done) })
	<-done
}

// What comes and goes between two runs is never written, what Pebble has and
// goes is deleted there, whatever happened in between; and neither stays in
// memory.
func TestComeAndGo(t *testing.T) {
	for name, ingested := range map[string]int{"inserted": 1 << 20, "ingested": 1} {
		t.Run(name, func(t *testing.T) {
			few := defaultLimits
			few.ingestBytes = ingested
			o := Options{FS: vfs.NewMem(), Gather: time.Microsecond, FlushEvery: time.Hour, limits: few}
			s := start(t, o)
			id := state.CellID{Shard: 7, Stage: testStages[0], Key: "k"}
			index := uint64(0)
			commit := func() {
				index++
				s.Commit(index)
				s.settle()
			}
			set := func(row string) { s.Cell(id).Set(testTables[0], row, &item{Text: row}, 0); commit() }
			remove := func(row string) { s.Cell(id).Delete(testTables[0], row); commit() }
			flush := func() uint64 {
				if err := s.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
				return s.Stats().Rows
			}
			set("brief")
			remove("brief")
			if n := flush(); n != 0 {
				t.Errorf("%d rows were written for one that came and went", n)
			}
			set("kept")
			set("gone")
			if n := flush(); n != 2 {
				t.Errorf("%d rows were written; want 2", n)
			}
			remove("gone")
			set("gone")
			remove("gone")
			if n := flush(); n != 3 {
				t.Errorf("%d rows were written; want 3", n)
			}
			commit()
			if n := len(s.cells[id].slots); n != 1 {
				t.Errorf("%d slots are in memory for one row", n)
			}
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			s = start(t, o)
			if got := scanned(s.Cell(id), testTables[0], "", "", 10, false); len(got) != 1 || !strings.Contains(got[0], "kept") {
				t.Errorf("rows after reopening: %v; want the one that was kept", got)
			}
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A run that a crash cut short is removed, and no part of the state.
func TestUnfinishedRunIsRemoved(t *testing.T) {
	fs := vfs.NewMem()
	s := start(t, Options{FS: fs})
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("state/"+tablePrefix+"0", vfs.WriteCategoryUnspecified)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, Options{FS: fs})
	names, err := fs.List("state")
	if err != nil || slices.Contains(names, tablePrefix+"0") {
		t.Errorf("directory after opening holds %v (%v)", names, err)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// A large run becomes several tables.
func TestLargeRun(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem(), FlushBytes: 1 << 30, Gather: time.Microsecond})
	text := strings.Repeat("x", 60_000)
	const rows = 600
	for i := range rows {
		s.Cell(state.CellID{Shard: state.Shard(i % 7), Key: fmt.Sprint(i)}).Set(testTables[0], "", &item{Number: int64(i), Text: text}, 0)
		s.Commit(uint64(i + 1))
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	m := s.db.Metrics()
	if n := m.Ingest.Count; n < 1 || m.Total().TablesIngested < 3 {
		t.Errorf("%d bytes went into %d tables in %d ingestions", s.Stats().BatchBytes, m.Total().TablesIngested, n)
	}
	if s.Durable() != rows {
		t.Errorf("Durable = %d; want %d", s.Durable(), rows)
	}
	if err := s.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

func TestKnown(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	k := known{limit: 1 << 20}
	const n = 200_000
	for range n {
		k.add(rng.Uint64())
	}
	rng = rand.New(rand.NewPCG(1, 2))
	for i := range n {
		if h := rng.Uint64(); !k.has(h) {
			t.Fatalf("hash %d was added and is not known", i)
		}
	}
	wrong := 0
	for range n {
		if k.has(rng.Uint64()) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d hashes that were never added may be known", wrong, n)
	}
	full := known{limit: 1}
	for range n {
		full.add(rng.Uint64())
	}
	if len(full.parts) != 1 {
		t.Errorf("a set with no room to grow has %d parts", len(full.parts))
	}
}

// TestSlots compares slots with a map.
func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slots
		model := map[string]*slot{}
		name := func() string { return fmt.Sprintf("%02d", rapid.IntRange(0, 3*fewSlots).Draw(t, "row")) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(*rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "rows") {
					if row := name(); model[row] == nil {
						model[row] = &slot{row: row}
						s.add(model[row])
					}
				}
			},
			"remove": func(*rapid.T) {
				row := name()
				if s.remove(&slot{row: row}) {
					t.Fatalf("remove(another slot of %s) removed one", row)
				}
				if sl := model[row]; sl != nil && !s.remove(sl) {
					t.Fatalf("remove(%s) found nothing", row)
				}
				delete(model, row)
			},
			"": func(*rapid.T) {
				row := name()
				if s.get(row) != model[row] || s.len() != len(model) {
					t.Fatalf("get(%s) = %v of %d; want %v of %d", row, s.get(row), s.len(), model[row], len(model))
				}
				var got, want []string
				s.ascend(row, func(sl *slot) bool { got = append(got, sl.row); return true })
				for other := range model {
					if other >= row {
						want = append(want, other)
					}
				}
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("ascend(%s) = %v; want %v", row, got, want)
				}
				n := 0
				s.each(func(*slot) bool { n++; return true })
				if n != len(model) {
					t.Fatalf("each visits %d of %d", n, len(model))
				}
			},
		})
	})
}
