package pebblestate

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

var stockTable = state.NewTable("inventory", "stock", func() state.Visitable { return &event.StockLevel{} })

func benchStore(b *testing.B, hot int64) *running {
	s := start(b, Options{FS: vfs.NewMem(), Tables: []*state.Table{stockTable}, HotBytes: hot})
	b.Cleanup(func() {
		if err := s.end(); err != nil {
			b.Fatal(err)
		}
	})
	return s
}

func stockCell(i int) state.CellID {
	return state.CellID{Shard: state.Shard(i % 256), Stage: 1, Key: fmt.Sprintf("sku-%06d", i)}
}

// BenchmarkHotCall is one call of an operator on a hot key, committed in
// entries of 16 calls: open the cell, read a row, store a changed one.
func BenchmarkHotCall(b *testing.B) {
	s := benchStore(b, 0)
	ids := make([]state.CellID, 1000)
	for i := range ids {
		ids[i] = stockCell(i)
	}
	index := uint64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := s.Cell(ids[i%len(ids)])
		next := event.StockLevel{SKU: "sku", Location: "sanlitun", Pool: "store"}
		if old, ok := c.Get(stockTable, "sanlitun/store").(*event.StockLevel); ok {
			next = *old
		}
		next.OnHand++
		c.Set(stockTable, "sanlitun/store", &next, 0)
		if i%16 == 15 {
			index++
			s.Commit(index)
		}
	}
}

func BenchmarkHotGet(b *testing.B) {
	s := benchStore(b, 0)
	id := stockCell(1)
	s.Cell(id).Set(stockTable, "sanlitun/store", &event.StockLevel{}, 0)
	s.Commit(1)
	b.ReportAllocs()
	for b.Loop() {
		if s.Cell(id).Get(stockTable, "sanlitun/store") == nil {
			b.Fatal("no row")
		}
	}
}

// BenchmarkNewKey is a call for a key never seen before, as every order is.
func BenchmarkNewKey(b *testing.B) {
	s := benchStore(b, 256<<20)
	index := uint64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Cell(stockCell(i)).Set(stockTable, "sanlitun/store", &event.StockLevel{SKU: "sku", Location: "sanlitun"}, 0)
		if i%16 == 15 {
			index++
			s.Commit(index)
		}
	}
	n := s.Stats()
	b.ReportMetric(float64(n.Evictions)/float64(b.N), "evictions/op")
}

// BenchmarkColdCell reads cells that are no longer in memory.
func BenchmarkColdCell(b *testing.B) {
	s := benchStore(b, 1<<20)
	const keys = 100_000
	for i := range keys {
		s.Cell(stockCell(i)).Set(stockTable, "sanlitun/store", &event.StockLevel{SKU: "sku", OnHand: int64(i)}, 0)
		if i%100 == 99 {
			s.Commit(uint64(i))
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if s.Cell(stockCell(i*7919%keys)).Get(stockTable, "sanlitun/store") == nil {
			b.Fatal("no row")
		}
		if i%16 == 15 {
			s.Commit(uint64(keys + i))
		}
	}
	b.ReportMetric(float64(s.Stats().Misses)/float64(b.N), "misses/op")
}
