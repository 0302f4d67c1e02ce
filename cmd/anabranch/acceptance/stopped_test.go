package acceptance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/xxh3"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
	"anabranch.dev/topology/retail"
	"anabranch.dev/topology/retail/check"
)

// stopped is the state that a stopped node has left.
type stopped struct {
	index   uint64
	rows    int
	digests map[string]state.Digest // by operators' table
}

// openStopped reads the state in a data directory of a node that has ended in
// order, and checks it.
func openStopped(t *testing.T, data string) *stopped {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var identity struct{ Shards, Groups int }
	text, err := os.ReadFile(filepath.Join(data, "node", "node.json"))
	if err == nil {
		err = json.Unmarshal(text, &identity)
	}
	if err != nil || identity.Shards == 0 || identity.Groups == 0 {
		t.Fatalf("identity %s: %v", text, err)
	}
	own := map[state.TableID]bool{}
	for _, table := range plan.Tables() {
		own[table.ID] = true
	}
	s := &stopped{digests: map[string]state.Digest{}}
	dir := func(group int) pebblestate.Options {
		return pebblestate.Options{Dir: filepath.Join(data, "node", fmt.Sprint("group-", group), "state"), Tables: core.Tables(plan), Codec: codec.New()}
	}
	err = withViews(t.Context(), identity.Shards, identity.Groups, dir, nil, func(views []check.View) error {
		s.index = views[0].Reader.Index()
		vs, err := check.State(plan, views, true)
		if err != nil {
			return err
		}
		report(t, vs)
		for _, v := range views {
			if err := s.digest(v.Reader, v.Shards, own); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withViews opens the stores of all groups behind those opened already, for as
// long as fn reads them.
func withViews(ctx context.Context, shards, groups int, dir func(group int) pebblestate.Options, open []check.View, fn func(views []check.View) error) error {
	id := len(open)
	if id == groups {
		return fn(open)
	}
	var list []state.Shard
	for s := range shards {
		if s*groups/shards == id {
			list = append(list, state.Shard(s))
		}
	}
	list = append(list, core.GroupShard(shards, id))
	return withStore(ctx, dir(id), func(r state.Reader) error {
		return withViews(ctx, shards, groups, dir, append(open, check.View{Reader: r, Shards: list}), fn)
	})
}

// withStore opens a store for as long as fn reads it.
func withStore(ctx context.Context, o pebblestate.Options, fn func(r state.Reader) error) (err error) {
	store, err := pebblestate.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	r, err := store.View(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(r), r.Close())
}

// digest adds up the rows of the operators' tables.
func (s *stopped) digest(r state.Reader, shards []state.Shard, own map[state.TableID]bool) error {
	encoder := codec.New()
	var b []byte
	for _, shard := range shards {
		var fault error
		err := r.Rows(shard, func(id state.CellID, table *state.Table, row string, value state.Visitable) bool {
			if !own[table.ID] {
				return true
			}
			key := codec.AppendKey(b[:0], id, table.ID, row)
			key = binary.BigEndian.AppendUint32(key, uint32(len(row)))
			if b, fault = encoder.Append(key, core.Level, value); fault != nil {
				return false
			}
			sum := xxh3.Hash128(b)
			s.digests[table.String()] = s.digests[table.String()].Add(state.Digest{Hi: sum.Hi, Lo: sum.Lo})
			s.rows++
			return true
		})
		if err = errors.Join(err, fault); err != nil {
			return err
		}
	}
	return nil
}

// same fails the test for every table that differs.
func (s *stopped) same(t *testing.T, o *stopped) {
	t.Helper()
	if s.rows == 0 || s.rows != o.rows {
		t.Errorf("operators' rows = %d and %d; want as many, and some", s.rows, o.rows)
	}
	for table, digest := range s.digests {
		if o.digests[table] != digest {
			t.Errorf("table %s: digests %s and %s differ", table, digest, o.digests[table])
		}
	}
}
