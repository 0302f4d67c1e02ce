package pebblestate

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// unknownTable is one that no build of these tests declares.
const unknownTable = state.TableID(0x01020304)

func (m *machine) anyTable() state.TableID {
	return rapid.SampledFrom([]state.TableID{testTables[0].ID, testTables[1].ID, unknownTable, unknownTable + 1}).Draw(m.t, "any table")
}

// put stores rows as another store had them, written in whichever level.
func (m *machine) put() {
	level := uint8(rapid.IntRange(1, 3).Draw(m.t, "level"))
	value, err := codec.New().Append(nil, level, &item{Number: rapid.Int64Range(0, 9).Draw(m.t, "number")})
	if err != nil {
		m.t.Fatal(err)
	}
	r := state.StoredRow{Cell: m.id(), Table: m.anyTable(), Row: m.row(), Expires: state.Time(rapid.IntRange(0, 20).Draw(m.t, "expires")), Value: value}
	m.s.Put(r)
	m.model.Put(r)
}

func (m *machine) remove() {
	id, table, row := m.id(), m.anyTable(), m.row()
	m.s.Remove(id, table, row)
	m.model.Remove(id, table, row)
}

// TestBuildsPutTheSame puts and removes the same rows in a store whose build
// knows their table and in one whose build does not, in a feature level that is
// not the rows' own: the digests are equal, and so they are after the builds
// have changed places.
func TestBuildsPutTheSame(t *testing.T) {
	c := codec.New()
	known, unknown := vfs.NewMem(), vfs.NewMem()
	newer := start(t, Options{FS: known})
	older := start(t, Options{FS: unknown, Tables: testTables[1:]})
	model := memstate.New(testTables[1:], c)
	row := func(n int) state.StoredRow {
		value, err := c.Append(nil, 1, &item{Number: int64(n)})
		if err != nil {
			t.Fatal(err)
		}
		return state.StoredRow{Cell: state.CellID{Shard: 7, Stage: 1, Key: "k"}, Table: testTables[0].ID, Row: fmt.Sprint(n), Value: value}
	}
	index := uint64(0)
	step := func(what string, do func(s state.Store)) {
		t.Helper()
		index++
		all := []state.Store{newer, older, model}
		for _, s := range all {
			s.SetLevel(2)
			do(s)
			s.Commit(index)
		}
		want := fmt.Sprint(model.Digest(7))
		for _, s := range []*running{newer, older} {
			v, err := s.View(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = v.Stored(7, func(state.StoredRow) bool { n++; return true })
			d, derr := v.Digest(7)
			if err := firstError(err, derr, v.Close()); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(d) != want {
				t.Errorf("%s: digest of %d rows is %s; want %s", what, n, d, want)
			}
		}
	}
	step("put", func(s state.Store) {
		for n := range 100 {
			s.Put(row(n))
		}
	})
	if v := newer.Cell(row(5).Cell).Get(testTables[0], "5").(*item); v.Number != 5 {
		t.Errorf("row 5 = %+v; want 5", v)
	}
	step("undone", func(s state.Store) {
		at := s.Savepoint()
		s.Remove(row(1).Cell, row(1).Table, "1")
		s.Put(row(200))
		s.Rollback(at)
	})
	step("some removed", func(s state.Store) {
		for n := range 50 {
			s.Remove(row(n).Cell, row(n).Table, row(n).Row)
		}
	})
	if err := firstError(newer.end(), older.end()); err != nil {
		t.Fatal(err)
	}
	newer = start(t, Options{FS: known, Tables: testTables[1:]})
	older = start(t, Options{FS: unknown})
	step("builds changed", func(s state.Store) {
		for n := 25; n < 75; n++ {
			s.Remove(row(n).Cell, row(n).Table, row(n).Row)
		}
	})
	step("put again", func(s state.Store) { s.Put(row(60)) })
	step("all removed", func(s state.Store) {
		for n := range 100 {
			s.Remove(row(n).Cell, row(n).Table, row(n).Row)
		}
	})
	if d := model.Digest(7); d != (state.Digest{}) {
		t.Errorf("digest of no rows = %s", d)
	}
	for _, s := range []*running{newer, older} {
		s.Cells(7, 1, func(key string, _ state.Cell) bool {
			t.Errorf("a cell without rows is visited: %q", key)
			return true
		})
	}
	if err := firstError(newer.end(), older.end()); err != nil {
		t.Fatal(err)
	}
}
