package pebblestate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// A row that is not what it was when it was counted is found by Verify and by
// Scrub, which name its shard.
func TestWrongRowIsFound(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem()})
	for i := range 20 {
		s.Cell(state.CellID{Shard: 7, Key: "k"}).Set(testTables[0], fmt.Sprint(i), &item{Number: int64(i)}, 0)
	}
	s.Commit(1)
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(context.Background(), 0); err != nil {
		t.Errorf("Scrub(good store) = %v", err)
	}
	key := append(codec.AppendTable(cellKey(state.CellID{Shard: 7, Key: "k"}), testTables[0].ID), "3"...)
	stored, err := codec.AppendRow(s.o.Codec, nil, 1, 0, &item{Number: 4})
	if err == nil {
		err = errors.Join(s.db.Set(key, stored, pebble.NoSync), s.db.Flush())
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Verify": s.Verify(context.Background()), "Scrub": s.Scrub(context.Background(), 0)} {
		var wrong *DigestError
		if !errors.As(err, &wrong) || wrong.Shard != 7 || wrong.Index != 1 || !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s = %v; want a DigestError of shard 7 at index 1 that is damage", name, err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// The kept digests are compared too, not only what Pebble says of them.
func TestScrubComparesTheWritersDigests(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem()})
	s.Cell(state.CellID{Shard: 3, Key: "k"}).Set(testTables[0], "", &item{Number: 1}, 0)
	s.Commit(1)
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	err := s.atMarker(context.Background(), func() error {
		s.writer.pending.digests.of[3].Lo ^= 1
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(context.Background(), 0); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("Scrub = %v; want state.ErrDamaged", err)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

func TestScrubIsBoundedAndEnds(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem()})
	text := string(make([]byte, 1000))
	for i := range 100 {
		s.Cell(state.CellID{Shard: 7, Key: fmt.Sprint(i)}).Set(testTables[0], "", &item{Text: text}, 0)
	}
	s.Commit(1)
	began := time.Now()
	if err := s.Scrub(context.Background(), 1<<20); err != nil {
		t.Errorf("Scrub = %v", err)
	}
	// Everything is read twice, as blocks and as rows.
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("Scrub of 100 kB at 1 MiB/s took %v", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := s.Scrub(ctx, 1); !errors.Is(err, context.Canceled) || errors.Is(err, state.ErrDamaged) {
		t.Errorf("Scrub(cancelled) = %v; want %v", err, context.Canceled)
	}
	if names, err := s.o.FS.List("state/" + scrubName); err == nil {
		t.Errorf("Scrub left %v", names)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// After a scrub a store that was opened knows which cells it has.
func TestScrubLearnsCells(t *testing.T) {
	o := Options{FS: vfs.NewMem()}
	id := func(i int) state.CellID { return state.CellID{Shard: 7, Stage: testStages[0], Key: fmt.Sprint(i)} }
	s := start(t, o)
	for i := range 100 {
		s.Cell(id(i)).Set(testTables[0], "", &item{Number: int64(i)}, 0)
	}
	s.Commit(1)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	if err := s.Scrub(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		row, _ := s.Cell(id(i)).Get(testTables[0], "").(*item)
		if (row != nil) != (i < 100) || row != nil && row.Number != int64(i) {
			t.Fatalf("row of cell %d is %v", i, row)
		}
	}
	s.Commit(2)
	if n := s.Stats().Loads; n < 100 || n > 200 {
		t.Errorf("%d of 10,000 cells were looked for in Pebble, which has 100", n)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}
