package pebblestate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// orders is what one-line orders do to a store: a new cell each, with rows that
// stay and rows that go at once, one of a thousand hot cells with a claim per
// order, timers of the shard, and a record that is delivered a little later.
type orders struct {
	s      *running
	names  map[string]*state.Table
	tables []*state.Table
	index  uint64
	seen   int
}

const (
	orderItems   = 1000
	orderShards  = 256
	orderLag     = 400 // orders after which a record has been delivered
	ordersPerRun = 40  // orders in an entry
)

func startOrders(b *testing.B, o Options) *orders {
	w := &orders{names: map[string]*state.Table{}}
	level := func() state.Visitable { return &event.StockLevel{} }
	text := func() state.Visitable { return &item{} }
	for name, row := range map[string]func() state.Visitable{"head": level, "line": level, "demand": level, "resource": level,
		"plan": text, "decision": text, "explanation": text, "seen": level, "expiry": level, "rejection": level,
		"shelf": level, "claim": level, "timer": level, "outbox": text, "outbox_head": level} {
		t := state.NewTable("orders", name, row)
		w.names[name], w.tables = t, append(w.tables, t)
	}
	o.Tables, o.Dir = w.tables, b.TempDir()
	w.s = start(b, o)
	for i := range orderItems {
		for at := range 8 {
			w.s.Cell(w.item(i)).Set(w.names["shelf"], fmt.Sprint("place-", at), &event.StockLevel{SKU: "sku", OnHand: 900_000}, 0)
		}
	}
	w.commit()
	return w
}

func (w *orders) item(i int) state.CellID {
	return state.CellID{Shard: state.Shard(i % orderShards), Stage: 2, Key: fmt.Sprint("sku-", i)}
}

func (w *orders) commit() {
	w.index++
	w.s.Commit(w.index)
}

// reasons is text as explanations are: words and numbers.
var reasons = func() string {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 1<<20 {
		fmt.Fprintf(&b, "place-%d has %d to promise, %d reserved; ", rng.IntN(40), rng.IntN(1e6), rng.IntN(1e4))
	}
	return b.String()
}()

// place does what one order does.
func (w *orders) place() {
	n := w.seen
	w.seen++
	id := fmt.Sprintf("order-%08d", n)
	shard := state.ShardOf(id, orderShards)
	order := state.CellID{Shard: shard, Stage: 1, Key: id}
	get := func(id state.CellID, table, row string) state.Visitable { return w.s.Cell(id).Get(w.names[table], row) }
	set := func(id state.CellID, table, row string, expires state.Time) {
		w.s.Cell(id).Set(w.names[table], row, &event.StockLevel{SKU: "sku-1", Location: "place-7", OnHand: int64(n), ATP: 5}, expires)
	}
	setText := func(id state.CellID, table, row string, size int) {
		at := (n*31 + len(table)*977) % (len(reasons) - size)
		w.s.Cell(id).Set(w.names[table], row, &item{Number: int64(n), Text: reasons[at : at+size]}, 0)
	}
	due, at := state.CellID{Shard: shard, Stage: 3}, fmt.Sprintf("%016x/%s", n, id)
	get(order, "seen", "source")
	set(order, "seen", "source", 1)
	set(order, "expiry", "seen", 0)
	for _, table := range []string{"head", "demand", "resource", "rejection", "rejection", "rejection", "plan"} {
		get(order, table, "1")
	}
	setText(order, "plan", "", 600)
	for range 3 {
		get(order, "head", "")
		set(order, "head", "", 0)
		set(order, "resource", "sku-1", 0)
		set(order, "line", "1", 0)
		set(order, "demand", "1", 0)
		w.s.Cell(order).Scan(w.names["resource"], "", "", func(string, state.Visitable) bool { return true })
		w.s.Cell(order).Count(w.names["line"])
	}
	set(due, "timer", at+"a", 0)
	set(due, "timer", at+"b", 0)
	sku := w.item(n * 7919 % orderItems)
	get(sku, "claim", id)
	for place := range 8 {
		get(sku, "shelf", "place-"+string(rune('0'+place)))
	}
	set(sku, "shelf", "place-3", 0)
	set(sku, "claim", id, 0)
	setText(order, "decision", "1", 600)
	setText(order, "explanation", "1", 400)
	w.s.Cell(order).Delete(w.names["plan"], "")
	w.s.Cell(order).Delete(w.names["demand"], "1")
	w.s.Cell(due).Delete(w.names["timer"], at+"b")
	w.deliver(n, shard, set, setText)
	if w.seen%ordersPerRun == 0 {
		w.commit()
	}
}

// deliver adds an order's record to the outbox, and removes an earlier one.
func (w *orders) deliver(n int, shard state.Shard, set func(state.CellID, string, string, state.Time), setText func(_ state.CellID, _, _ string, _ int)) {
	outbox := func(shard state.Shard) state.CellID { return state.CellID{Shard: shard, Stage: 4} }
	setText(outbox(shard), "outbox", fmt.Sprintf("%08d", n), 400)
	set(outbox(shard), "outbox_head", "", 0)
	if n >= orderLag {
		done := fmt.Sprintf("order-%08d", n-orderLag)
		w.s.Cell(outbox(state.ShardOf(done, orderShards))).Delete(w.names["outbox"], done[len("order-"):])
	}
}

// BenchmarkOrders is all that a one-line order costs the store, in processor
// time of the whole process: what the applying goroutine does, what is written
// behind, what Pebble does to it, and the collector.
func BenchmarkOrders(b *testing.B) {
	w := startOrders(b, Options{HotBytes: 128 << 20})
	before, disk := cpuNanoseconds(), w.s.Stats()
	b.ReportAllocs()
	for b.Loop() {
		w.place()
	}
	w.commit()
	if err := w.s.end(); err != nil {
		b.Fatal(err)
	}
	stats := &w.s.writer.stats
	b.ReportMetric(float64(cpuNanoseconds()-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(stats.rows.Load()-disk.Rows)/float64(b.N), "rows/op")
	b.ReportMetric(float64(stats.bytes.Load()-disk.BatchBytes)/float64(b.N), "written-B/op")
}

func cpuNanoseconds() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
