package pebblestate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// TestComparer checks what Pebble asks of Split and of prefixes, for any bytes.
func TestComparer(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) []byte {
		head := rapid.SampledFrom([]string{"", "r", "r\x00\x07\x00\x00\x00\x01", "d"}).Draw(t, "head")
		return append([]byte(head), rapid.SliceOf(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xff})).Draw(t, "tail")...)
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		pa, pb := a[:comparer.Split(a)], b[:comparer.Split(b)]
		if comparer.Split(pa) != len(pa) {
			t.Fatalf("Split(%x) = %d; want the whole prefix", pa, comparer.Split(pa))
		}
		if bytes.Compare(a, b) <= 0 && bytes.Compare(pa, pb) > 0 {
			t.Fatalf("%x ≤ %x, but their prefixes are in the other order", a, b)
		}
		if bytes.Compare(pa, pb) < 0 && bytes.Compare(a, b) >= 0 {
			t.Fatalf("prefix of %x < prefix of %x, but not the keys", a, b)
		}
		next := immediateSuccessor(nil, pa)
		if comparer.Split(next) != len(next) || bytes.Compare(a, next) >= 0 {
			t.Fatalf("immediateSuccessor(%x) = %x; want a prefix after %x", pa, next, a)
		}
		if bytes.Compare(pa, pb) < 0 && bytes.Compare(pb, next) < 0 {
			t.Fatalf("immediateSuccessor(%x) = %x; %x lies between", pa, next, pb)
		}
	})
}

// A cell of many rows is read in part, and stays right while it is trimmed.
func TestLargeCell(t *testing.T) {
	const rows = 3000
	fs := vfs.NewMem()
	o := Options{FS: fs, HotBytes: 256 << 10}
	s := start(t, o)
	id := state.CellID{Shard: 7, Stage: 1, Key: "all products"}
	large, few := testTables[0], testTables[1]
	for i := range rows {
		s.Cell(id).Set(large, fmt.Sprintf("%06d", i), &item{Number: int64(i)}, 0)
		if i%50 == 49 {
			s.Commit(uint64(i))
		}
	}
	s.Cell(id).Set(few, "a", &item{}, 0)
	s.Commit(rows)
	check := func() {
		t.Helper()
		c := s.Cell(id)
		for _, i := range []int{0, 1, 1499, rows - 1} {
			row := fmt.Sprintf("%06d", i)
			if got, ok := c.Get(large, row).(*item); !ok || got.Number != int64(i) {
				t.Errorf("Get(%s) = %v", row, got)
			}
		}
		if got := c.Get(large, "none"); got != nil {
			t.Errorf("Get(none) = %v", got)
		}
		if got := c.Count(large); got != rows {
			t.Errorf("Count = %d; want %d", got, rows)
		}
		if got := c.Count(few); got != 1 {
			t.Errorf("Count of the small table = %d; want 1", got)
		}
		if got := len(scanned(c, large, "00", "001990", 2000, false)); got != 1010 {
			t.Errorf("Scan visited %d rows; want 1010", got)
		}
	}
	check()
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Commit(rows + 1)
	if n := s.Stats(); n.Trims == 0 || n.HotBytes > o.HotBytes {
		t.Errorf("stats after many rows in one cell: %+v; want it trimmed below %d bytes", n, o.HotBytes)
	}
	check()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	check()
	s.Commit(rows + 2)
	if n := s.Stats(); n.Partial != 1 || n.Fetches == 0 {
		t.Errorf("stats after reading a large cell: %+v; want a partial load", n)
	}
	s.Cell(id).Delete(large, "001500")
	if got := s.Cell(id).Count(large); got != rows-1 {
		t.Errorf("Count after a deletion = %d; want %d", got, rows-1)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// Memory stays bounded, and the order of use decides who goes.
func TestEviction(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem(), HotBytes: 64 << 10})
	hot := state.CellID{Shard: 1, Key: "hot"}
	for i := range 2000 {
		s.Cell(hot).Set(testTables[0], "r", &item{Number: int64(i)}, 0)
		s.Cell(state.CellID{Shard: 1, Key: fmt.Sprint(i)}).Set(testTables[0], "r", &item{Text: strings.Repeat("x", 100)}, 0)
		s.Commit(uint64(i + 1))
		if i%20 == 0 {
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := s.Stats()
	if n.HotBytes > 96<<10 || n.Evictions < 1500 {
		t.Errorf("stats = %+v; want about 64 KiB in memory", n)
	}
	if n.Misses != 2001 {
		t.Errorf("misses = %d; want one for each key: the hot one must stay", n.Misses)
	}
	for i := 0; i < 2000; i += 97 {
		if s.Cell(state.CellID{Shard: 1, Key: fmt.Sprint(i)}).Get(testTables[0], "r") == nil {
			t.Errorf("row of key %d is gone", i)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// What is not written cannot be evicted, also when there is no memory for it.
func TestUnwrittenRowsStay(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem(), HotBytes: 1})
	release := s.hold()
	for i := range 300 {
		s.Cell(state.CellID{Key: fmt.Sprint(i)}).Set(testTables[0], "r", &item{Number: int64(i)}, 0)
		s.Commit(uint64(i + 1))
	}
	if w := s.Written(); w != 0 {
		t.Fatalf("Written = %d while the writer is held", w)
	}
	for i := range 300 {
		if got, ok := s.Cell(state.CellID{Key: fmt.Sprint(i)}).Get(testTables[0], "r").(*item); !ok || got.Number != int64(i) {
			t.Fatalf("row %d = %v while it is not written", i, got)
		}
	}
	release()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// Commit waits while the queue is full, and goes on when it is not.
func TestQueueIsBounded(t *testing.T) {
	const limit = 4000
	s := start(t, Options{FS: vfs.NewMem(), QueueBytes: limit})
	release := s.hold()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			s.Cell(state.CellID{Key: "k"}).Set(testTables[0], "r", &item{Number: int64(i)}, 0)
			s.Commit(uint64(i + 1))
			if _, bytes, _ := s.queue.depth(); bytes > limit {
				t.Errorf("queue holds %d bytes", bytes)
			}
		}
	}()
	s.awaitFull()
	select {
	case <-done:
		t.Error("100 entries went into a queue for fewer")
	default:
	}
	release()
	<-done
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s.Durable() != 100 {
		t.Errorf("Durable = %d; want 100", s.Durable())
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// Rows of a table that this build doesn't know are kept and counted.
func TestUnknownTables(t *testing.T) {
	fs, c := vfs.NewMem(), codec.New()
	id := state.CellID{Shard: 7, Stage: 1, Key: "k"}
	model := memstate.New(testTables, c)
	s := start(t, Options{FS: fs})
	for _, st := range []state.Store{s, model} {
		st.Cell(id).Set(testTables[0], "a", &item{Number: 1}, 0)
		st.Cell(id).Set(testTables[1], "b", &item{Number: 2}, 0)
		st.Commit(1)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Options{FS: fs, Tables: testTables[:1]})
	older, err := model.Reopen(testTables[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range []state.Store{s, older} {
		st.Cell(id).Delete(testTables[0], "a")
		st.Commit(2)
		keys := 0
		st.Cells(7, 1, func(string, state.Cell) bool { keys++; return true })
		if keys != 1 {
			t.Errorf("%T: a cell with rows of unknown tables only is visited %d times; want once", st, keys)
		}
	}
	if got, want := viewDump(t, s.Store), dump(t, older.View()); got != want {
		t.Errorf("rows = %s; want %s", got, want)
	}
	if err := faulted(func() { s.Cell(id).Get(testTables[1], "b") }); err == nil {
		t.Error("reading an undeclared table is no fault")
	}
	if err := firstError(s.Verify(context.Background()), s.end()); err != nil {
		t.Fatal(err)
	}
}

// A view stands still while entries are applied, and ends with the store.
func TestView(t *testing.T) {
	ctx := context.Background()
	s := start(t, Options{FS: vfs.NewMem()})
	id := state.CellID{Shard: 7, Stage: 1, Key: "k"}
	for i := range 5 {
		s.Cell(id).Set(testTables[0], fmt.Sprint(i), &item{Number: int64(i)}, 0)
	}
	s.Cell(state.CellID{Shard: 7, Stage: 1, Key: "l"}).Set(testTables[0], "x", &item{}, 0)
	s.Commit(3)
	v, err := s.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.Cell(id).Delete(testTables[0], "2")
	s.Commit(4)
	if got, err := v.Get(id, testTables[0], "2"); err != nil || got.(*item).Number != 2 || v.Index() != 3 {
		t.Errorf("view at %d: Get = %v, %v; want row 2 of index 3", v.Index(), got, err)
	}
	if got, err := v.Get(id, testTables[0], "9"); got != nil || err != nil {
		t.Errorf("Get(no row) = %v, %v; want nil", got, err)
	}
	var rows []string
	err = v.Scan(id, testTables[0], "", "1", func(row string, _ state.Visitable) bool {
		rows = append(rows, row)
		return len(rows) < 3
	})
	if got := fmt.Sprint(rows); err != nil || got != "[1 2 3]" {
		t.Errorf("Scan from 1 = %s, %v; want [1 2 3]", got, err)
	}
	var keys []string
	err = v.Cells(7, 1, "k\x00", func(key string) bool { keys = append(keys, key); return true })
	if got := fmt.Sprint(keys); err != nil || got != "[l]" {
		t.Errorf("Cells after k = %s, %v; want [l]", got, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	release := s.hold()
	if _, err := s.View(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("View(canceled) = %v", err)
	}
	release()
	if err := s.end(); err != nil {
		t.Fatal(err) // an abandoned or open view would be a leak
	}
	if _, err := v.Get(id, testTables[0], "2"); !errors.Is(err, errClosed) {
		t.Errorf("Get after Close = %v; want %v", err, errClosed)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.View(ctx); !errors.Is(err, errClosed) {
		t.Errorf("View after Close = %v; want %v", err, errClosed)
	}
}

// An orderly stop keeps everything; the next start finds it.
func TestStopFlushes(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := start(t, Options{FS: fs, Gather: time.Hour})
	for i := range 10 {
		s.Cell(state.CellID{Key: "k"}).Set(testTables[0], fmt.Sprint(i), &item{}, 0)
		s.Commit(uint64(i + 1))
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if s.Applied() != 10 || s.Cell(state.CellID{Key: "k"}).Count(testTables[0]) != 10 {
		t.Errorf("after an orderly stop: index %d, %d rows; want 10 and 10", s.Applied(), s.Cell(state.CellID{Key: "k"}).Count(testTables[0]))
	}
	if err := faulted(func() { s.Commit(10) }); err == nil {
		t.Error("committing an index twice is no fault")
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// Rows are written in the format of the level at which they were stored.
func TestLevel(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem()})
	for level := range uint8(3) {
		s.SetLevel(level + 1)
		s.Cell(state.CellID{Key: "k"}).Set(testTables[0], fmt.Sprint(level+1), &item{}, 0)
		s.Commit(uint64(level + 1))
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	for level := range uint8(3) {
		key := append(codec.AppendTable(cellKey(state.CellID{Key: "k"}), testTables[0].ID), fmt.Sprint(level+1)...)
		stored, closer, err := s.db.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		_, value, err := codec.Expires(stored)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codec.Level(stored[value:]); got != level+1 || err != nil {
			t.Errorf("row stored at level %d has level %d, %v", level+1, got, err)
		}
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}
