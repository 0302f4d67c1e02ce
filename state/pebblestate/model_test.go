package pebblestate

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// item is the row type of these tests.
type item struct {
	Number int64
	Text   string
}

func (i *item) Visit(v state.Visitor) {
	v.Int("number", &i.Number)
	v.String("text", &i.Text)
}

func tablesOf(stage string, names ...string) (tables []*state.Table) {
	for _, name := range names {
		tables = append(tables, state.NewTable(stage, name, func() state.Visitable { return &item{} }))
	}
	return tables
}

var (
	testTables = append(tablesOf("one", "a", "b"), tablesOf("two", "a")...)
	testStages = []state.StageID{state.StageID(state.IDOf("one")), state.StageID(state.IDOf("two"))}
	testShards = []state.Shard{0, 7, 256}
)

// running is a store with its writer.
type running struct {
	*Store
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	r, err := tryStart(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(o Options) (*running, error) {
	if o.Dir == "" {
		o.Dir = "state"
	}
	if o.Tables == nil {
		o.Tables = testTables
	}
	if o.Codec == nil {
		o.Codec = codec.New()
	}
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Store: s, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	return r, nil
}

// end stops the writer and closes the store; the error is the first of both.
func (r *running) end() error {
	r.stop()
	err := <-r.done
	return firstError(err, r.Close())
}

// hold keeps the writer from writing until the returned function is called.
func (r *running) hold() (release func()) {
	gate := make(chan struct{})
	if err := r.queue.mark(&marker{run: func() error { <-gate; return nil }, ready: make(chan struct{})}, true); err != nil {
		panic(err)
	}
	return func() { close(gate) }
}

// awaitFull returns when somebody waits for room in the queue.
func (r *running) awaitFull() {
	for r.Stats().QueueWaits == 0 {
		runtime.Gosched()
	}
}

// dump lists all rows of a reader with the digests of its shards.
func dump(t rapid.TB, r state.Reader) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "index %d\n", r.Index())
	for _, shard := range testShards {
		d, err := r.Digest(shard)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "shard %d: %s\n", shard, d)
		err = r.Rows(shard, func(id state.CellID, tb *state.Table, row string, value state.Visitable) bool {
			fmt.Fprintf(&b, "%v %s %q: %+v\n", id, tb, row, value)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func viewDump(t rapid.TB, s *Store) string {
	t.Helper()
	v, err := s.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text := dump(t, v)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return text
}

// machine does the same to a store and to the model.
type machine struct {
	t       *rapid.T
	o       Options
	s       *running
	model   *memstate.Store
	release func()
	saves   [][2]int

	levelNow uint8 // 0: the first
}

func (m *machine) start() {
	r, err := tryStart(m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.s = r
	m.s.SetLevel(max(1, m.levelNow))
}

// Few cells, tables and rows, so that what is done meets what was done before.
func (m *machine) id() state.CellID {
	return rapid.SampledFrom([]state.CellID{
		{Shard: 7, Stage: testStages[0], Key: "k"}, {Shard: 7, Stage: testStages[0], Key: "k\x00"},
		{Shard: 7, Stage: testStages[1], Key: "k"}, {Shard: 256, Stage: testStages[0], Key: ""},
	}).Draw(m.t, "cell")
}

func (m *machine) table() *state.Table { return rapid.SampledFrom(testTables[:2]).Draw(m.t, "table") }

func (m *machine) row() string {
	return rapid.SampledFrom([]string{"", "a", "aa", "ab", "b", "bb\x00", "c"}).Draw(m.t, "row")
}

func (m *machine) cells() (real, model state.Cell) {
	id := m.id()
	return m.s.Cell(id), m.model.Cell(id)
}

func (m *machine) equal(what string, got, want any) {
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		m.t.Fatalf("%s = %s; want %s", what, g, w)
	}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":             m.use(m.check),
		"get":          m.use(m.get),
		"set":          m.use(m.set),
		"set again":    m.use(m.set),
		"same":         m.use(m.same),
		"level":        m.use(m.level),
		"delete":       m.use(m.delete),
		"scan":         m.use(m.scan),
		"count":        m.use(m.count),
		"expire":       m.use(m.expire),
		"put":          m.use(m.put),
		"remove":       m.use(m.remove),
		"savepoint":    m.use(m.savepoint),
		"rollback":     m.use(m.rollback),
		"commit":       m.use(m.commit),
		"commit again": m.use(m.commit),
		"hold":         m.use(m.hold),
		"flush":        m.use(m.flush),
		"cells":        m.use(m.visitCells),
		"view":         m.use(m.view),
		"digests":      m.use(m.digests),
		"checkpoint":   m.use(m.checkpoint),
		"reopen":       m.use(m.reopen),
	}
}

func (m *machine) use(fn func()) func(*rapid.T) {
	return func(t *rapid.T) { m.t = t; fn() }
}

func (m *machine) check() {
	if err := m.s.Err(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) get() {
	real, model := m.cells()
	t, row := m.table(), m.row()
	m.equal(fmt.Sprintf("Get(%s, %q)", t, row), real.Get(t, row), model.Get(t, row))
}

func (m *machine) set() {
	real, model := m.cells()
	t := m.table()
	for range rapid.IntRange(1, 4).Draw(m.t, "rows") {
		row, expires := m.row(), state.Time(rapid.IntRange(0, 20).Draw(m.t, "expires"))
		value := &item{Number: rapid.Int64Range(-5, 100_000).Draw(m.t, "number"),
			Text: strings.Repeat("x", rapid.SampledFrom([]int{0, 3, 40, 700}).Draw(m.t, "length"))}
		real.Set(t, row, value, expires)
		model.Set(t, row, value, expires)
	}
}

// same stores the row that is there: a change only if the format is another one.
func (m *machine) same() {
	real, model := m.cells()
	t, row, expires := m.table(), m.row(), state.Time(rapid.IntRange(0, 1).Draw(m.t, "expires"))
	if value := real.Get(t, row); value != nil {
		real.Set(t, row, value, expires)
		model.Set(t, row, model.Get(t, row), expires)
	}
}

// level changes the format in which rows are written from here on.
func (m *machine) level() {
	m.levelNow = uint8(rapid.IntRange(1, 3).Draw(m.t, "level"))
	m.s.SetLevel(m.levelNow)
	m.model.SetLevel(m.levelNow)
}

func (m *machine) delete() {
	real, model := m.cells()
	t, row := m.table(), m.row()
	real.Delete(t, row)
	model.Delete(t, row)
}

func scanned(c state.Cell, t *state.Table, prefix, from string, limit int, get bool) (rows []string) {
	c.Scan(t, prefix, from, func(row string, value state.Visitable) bool {
		rows = append(rows, fmt.Sprintf("%q: %+v", row, value))
		if get { // reading inside a scan is allowed
			rows = append(rows, fmt.Sprintf("%+v %d", c.Get(t, row+"a"), c.Count(t)))
		}
		return len(rows) < limit
	})
	return rows
}

func (m *machine) scan() {
	real, model := m.cells()
	t := m.table()
	prefix := rapid.SampledFrom([]string{"", "a", "b", "bb", "x"}).Draw(m.t, "prefix")
	from, limit := m.row(), rapid.IntRange(1, 20).Draw(m.t, "limit")
	get := rapid.Bool().Draw(m.t, "get")
	m.equal("Scan", scanned(real, t, prefix, from, limit, get), scanned(model, t, prefix, from, limit, get))
}

func (m *machine) count() {
	real, model := m.cells()
	t := m.table()
	m.equal("Count", real.Count(t), model.Count(t))
}

func (m *machine) expire() {
	real, model := m.cells()
	t := m.table()
	now, limit := state.Time(rapid.IntRange(0, 20).Draw(m.t, "now")), rapid.IntRange(0, 5).Draw(m.t, "limit")
	m.equal("Expire", real.Expire(t, now, limit), model.Expire(t, now, limit))
}

func (m *machine) savepoint() {
	m.saves = append(m.saves, [2]int{m.s.Savepoint(), m.model.Savepoint()})
}

func (m *machine) rollback() {
	if len(m.saves) == 0 {
		m.t.Skip("no savepoint")
	}
	n := rapid.IntRange(0, len(m.saves)-1).Draw(m.t, "savepoint")
	m.s.Rollback(m.saves[n][0])
	m.model.Rollback(m.saves[n][1])
	m.saves = m.saves[:n+1]
}

func (m *machine) commit() {
	index := m.model.Applied() + uint64(rapid.IntRange(1, 3).Draw(m.t, "more"))
	m.s.Commit(index)
	m.model.Commit(index)
	m.saves = nil
	m.equal("Applied", m.s.Applied(), m.model.Applied())
}

func (m *machine) hold() {
	if m.release == nil {
		m.release = m.s.hold()
	}
}

func (m *machine) resume() {
	if m.release != nil {
		m.release()
		m.release = nil
	}
}

func (m *machine) flush() {
	m.resume()
	if err := m.s.Flush(context.Background()); err != nil {
		m.t.Fatal(err)
	}
	m.equal("Durable", m.s.Durable(), m.s.Applied())
}

func (m *machine) visitCells() {
	shard, stage := rapid.SampledFrom(testShards).Draw(m.t, "shard"), rapid.SampledFrom(testStages).Draw(m.t, "stage")
	list := func(s state.Store) (all []string) {
		s.Cells(shard, stage, func(key string, c state.Cell) bool {
			all = append(all, fmt.Sprintf("%q", key))
			for _, t := range testTables {
				all = append(all, scanned(c, t, "", "", 100, false)...)
			}
			return true
		})
		return all
	}
	m.equal("Cells", list(m.s), list(m.model))
}

func (m *machine) view() {
	m.commit()
	m.resume()
	v := m.model.View()
	m.equal("View", viewDump(m.t, m.s.Store), dump(m.t, v))
	if err := m.s.Verify(context.Background()); err != nil {
		m.t.Fatal(err)
	}
}

// digests compares what both report; pending changes and later ones don't count.
func (m *machine) digests() {
	m.commit()
	var want, got string
	m.model.Digests(func(index uint64, digests []state.ShardDigest) { want = fmt.Sprint(index, digests) })
	reported := make(chan string, 1)
	m.s.Digests(func(index uint64, digests []state.ShardDigest) { reported <- fmt.Sprint(index, digests) })
	m.set()
	m.commit()
	m.resume()
	got = <-reported
	m.equal("Digests", got, want)
}

func (m *machine) checkpoint() {
	m.commit()
	m.resume()
	dir := fmt.Sprintf("checkpoint-%d", m.s.Applied())
	index, err := m.s.Checkpoint(context.Background(), dir)
	if err != nil {
		m.t.Fatal(err)
	}
	m.equal("Checkpoint", index, m.model.Applied())
	o := m.o
	o.Dir = dir
	copied, err := tryStart(o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.equal("copy", viewDump(m.t, copied.Store), dump(m.t, m.model.View()))
	if err := firstError(copied.end(), o.FS.RemoveAll(dir)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) reopen() {
	m.commit()
	m.resume()
	if err := m.s.end(); err != nil {
		m.t.Fatal(err)
	}
	m.start()
	m.equal("Applied after reopening", m.s.Applied(), m.model.Applied())
}

// TestAgainstModel does random things to a store and to the reference model.
func TestAgainstModel(t *testing.T) {
	for name, o := range map[string]struct {
		hot   int64
		small bool
	}{
		"plenty":                       {hot: 64 << 20},
		"plenty and large cells":       {hot: 64 << 20, small: true},
		"1 MiB":                        {hot: 1 << 20, small: true},
		"4 KiB":                        {hot: 4 << 10},
		"4 KiB and large cells":        {hot: 4 << 10, small: true},
		"nothing and only large cells": {hot: 1, small: true},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := codec.New()
				few := defaultLimits
				if o.small {
					few.loadRows, few.loadBytes, few.smallRows = 4, 400, 3
					few.noteRows = rapid.SampledFrom([]int{5, 100}).Draw(t, "noted")
				}
				few.ingestBytes = rapid.SampledFrom([]int{1, 500, 1 << 20}).Draw(t, "ingested")
				m := &machine{t: t, model: memstate.New(testTables, c),
					o: Options{Codec: c, FS: vfs.NewMem(), HotBytes: o.hot, QueueBytes: 1 << 20,
						Gather: 10 * time.Microsecond, FlushBytes: rapid.SampledFrom([]int64{64, 1 << 10, 1 << 20}).Draw(t, "run"), limits: few}}
				m.start()
				defer func() {
					m.resume()
					if err := m.s.end(); err != nil {
						t.Fatal(err)
					}
				}()
				t.Repeat(m.actions())
				if err := m.model.Verify(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
