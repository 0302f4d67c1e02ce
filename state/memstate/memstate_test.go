package memstate_test

import (
	"errors"
	"fmt"
	"testing"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

type counter struct{ N int64 }

func (c *counter) Visit(v state.Visitor) { v.Int("n", &c.N) }

var (
	newCounter = func() state.Visitable { return &counter{} }
	first      = state.NewTable("stage", "first", newCounter)
	second     = state.NewTable("stage", "second", newCounter)
	both       = []*state.Table{first, second}
	home       = state.CellID{Shard: 3, Stage: 1, Key: "home"}
)

func rows(t *testing.T, r state.Reader) string {
	t.Helper()
	text := fmt.Sprintf("%d:", r.Index())
	err := r.Rows(3, func(id state.CellID, tb *state.Table, row string, value state.Visitable) bool {
		text += fmt.Sprintf(" %s/%s/%s=%v", id.Key, tb.Name, row, value)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRollbackRestoresEverything(t *testing.T) {
	s := memstate.New(both, codec.New())
	s.Cell(home).Set(first, "a", &counter{1}, 10)
	s.Cell(home).Set(first, "b", &counter{2}, 0)
	s.Commit(1)
	digest := s.Digest(3)

	outer := s.Savepoint()
	c := s.Cell(home)
	c.Set(first, "a", &counter{3}, 0)
	inner := s.Savepoint()
	c.Delete(first, "b")
	c.Set(second, "x", &counter{4}, 0)
	s.Rollback(inner)
	if got := c.Count(first) + 10*c.Count(second); got != 2 {
		t.Errorf("after the inner rollback Count = %d; want 2 and 0 rows", got)
	}
	if got := c.Get(first, "a").(*counter).N; got != 3 {
		t.Errorf("after the inner rollback a = %d; want 3", got)
	}
	s.Rollback(outer)
	if got := c.Get(first, "a").(*counter).N; got != 1 {
		t.Errorf("after the outer rollback a = %d; want 1", got)
	}
	if got := c.Expire(first, 9, 5); got != 10 {
		t.Errorf("after the outer rollback the next expiry is %d; want 10", got)
	}
	if got := s.Digest(3); got != digest {
		t.Errorf("after the outer rollback the digest is %s; want %s", got, digest)
	}
}

func TestDigestForgetsTheWay(t *testing.T) {
	a, b := memstate.New(both, codec.New()), memstate.New(both, codec.New())
	a.Cell(home).Set(first, "a", &counter{1}, 0)
	a.Cell(home).Set(first, "b", &counter{2}, 0)
	b.Cell(home).Set(first, "b", &counter{7}, 0)
	b.Cell(home).Set(second, "c", &counter{7}, 0)
	b.Cell(home).Set(first, "a", &counter{1}, 0)
	if a.Digest(3) == b.Digest(3) {
		t.Error("different rows have the same digest")
	}
	b.Cell(home).Set(first, "b", &counter{2}, 0)
	b.Cell(home).Delete(second, "c")
	if a.Digest(3) != b.Digest(3) {
		t.Error("the same rows, written in another way, have another digest")
	}
}

func TestViewsAndClonesStand(t *testing.T) {
	s := memstate.New(both, codec.New())
	s.Cell(home).Set(first, "a", &counter{1}, 0)
	s.Commit(1)
	v, c := s.View(), s.Clone()
	s.Cell(home).Set(first, "a", &counter{2}, 0)
	s.Commit(2)
	c.Cell(home).Set(first, "b", &counter{3}, 0)
	c.Commit(5)
	if got, want := rows(t, v), "1: home/first/a=&{1}"; got != want {
		t.Errorf("view = %s; want %s", got, want)
	}
	if got, want := rows(t, c.View()), "5: home/first/a=&{1} home/first/b=&{3}"; got != want {
		t.Errorf("clone = %s; want %s", got, want)
	}
	if got, want := rows(t, s.View()), "2: home/first/a=&{2}"; got != want {
		t.Errorf("store = %s; want %s", got, want)
	}
}

// A build that doesn't know a table keeps its rows for one that does.
func TestUnknownTablesAreKept(t *testing.T) {
	s := memstate.New(both, codec.New())
	s.Cell(home).Set(first, "a", &counter{1}, 0)
	s.Cell(home).Set(second, "b", &counter{2}, 0)
	s.Commit(1)
	older, err := s.Reopen([]*state.Table{first})
	if err != nil {
		t.Fatal(err)
	}
	if older.Digest(3) != s.Digest(3) {
		t.Error("digest changed by reopening without a table")
	}
	older.Cell(home).Set(first, "a", &counter{5}, 0)
	older.Commit(2)
	raw := 0
	err = older.View().Rows(3, func(_ state.CellID, _ *state.Table, _ string, value state.Visitable) bool {
		if _, ok := value.(*codec.Raw); ok {
			raw++
		}
		return true
	})
	if err != nil || raw != 1 {
		t.Errorf("rows of unknown tables = %d, %v; want 1", raw, err)
	}
	newer, err := older.Reopen(both)
	if err != nil {
		t.Fatal(err)
	}
	c := newer.Cell(home)
	if got := fmt.Sprint(c.Get(first, "a"), c.Get(second, "b"), newer.Applied()); got != "&{5} &{2} 2" {
		t.Errorf("reopened: a, b, index = %s; want &{5} &{2} 2", got)
	}
}

func TestVerifyFindsChangedRow(t *testing.T) {
	s := memstate.New(both, codec.New())
	row := &counter{1}
	s.Cell(home).Set(first, "a", row, 0)
	s.Commit(1)
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	row.N = 2
	if err := s.Verify(); err == nil {
		t.Error("Verify = nil after a stored row was changed in place")
	}
}

// Handles of an earlier entry and tables nobody declared are faults.
func TestMisuseIsAFault(t *testing.T) {
	s := memstate.New([]*state.Table{first}, codec.New())
	fault := func(fn func()) (f *state.Fault) {
		defer func() { f, _ = recover().(*state.Fault) }()
		fn()
		return nil
	}
	old := s.Cell(home)
	s.Commit(1)
	for name, fn := range map[string]func(){
		"old handle":    func() { old.Get(first, "a") },
		"unknown table": func() { s.Cell(home).Get(second, "a") },
		"nil row":       func() { s.Cell(home).Set(first, "a", nil, 0) },
	} {
		if f := fault(fn); f == nil || errors.Unwrap(f) == nil {
			t.Errorf("%s: %v; want a fault", name, f)
		}
	}
}
