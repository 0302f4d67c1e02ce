package memstate

import (
	"fmt"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// view implements [state.Reader].
type view struct {
	tables map[state.TableID]*state.Table
	index  uint64
	content
}

// Index implements [state.Reader].
func (v *view) Index() uint64 { return v.index }

// Get implements [state.Reader].
func (v *view) Get(id state.CellID, t *state.Table, key string) (state.Visitable, error) {
	r, _ := v.rows.Get(string(codec.AppendKey(nil, id, t.ID, key)))
	return r.value, nil
}

// Scan implements [state.Reader].
func (v *view) Scan(id state.CellID, t *state.Table, prefix, from string, fn func(key string, value state.Visitable) bool) error {
	table := string(codec.AppendKey(nil, id, t.ID, ""))
	v.scan(table+prefix, table+from, func(key string, r row) bool {
		return fn(key[len(table):], r.value)
	})
	return nil
}

// Cells implements [state.Reader].
func (v *view) Cells(shard state.Shard, stage state.StageID, from string, fn func(key string) bool) error {
	return v.cells(shard, stage, from, fn)
}

// Digest implements [state.Reader].
func (v *view) Digest(shard state.Shard) (state.Digest, error) {
	d, _ := v.digests.Get(shard)
	return d, nil
}

// Rows implements [state.Reader].
func (v *view) Rows(shard state.Shard, fn func(id state.CellID, t *state.Table, key string, value state.Visitable) bool) error {
	var err error
	v.scan(string(codec.AppendShard(nil, shard)), "", func(stored string, r row) bool {
		var id state.CellID
		var table state.TableID
		var key string
		if id, table, key, err = codec.DecodeKey([]byte(stored)); err != nil {
			return false
		}
		t, value := v.tables[table], r.value
		if t == nil {
			t, value = codec.UnknownTable(table), &codec.Raw{Stored: []byte(r.stored)}
		}
		return fn(id, t, key, value)
	})
	return err
}

// Stored implements [state.Reader].
func (v *view) Stored(shard state.Shard, fn func(r state.StoredRow) bool) error {
	var err error
	more, sum := true, state.Digest{}
	v.scan(string(codec.AppendShard(nil, shard)), "", func(key string, r row) bool {
		var s state.StoredRow
		if s, err = codec.DecodeStored([]byte(key), []byte(r.stored)); err == nil {
			sum = sum.Add(r.hash)
			more = fn(s)
		}
		return err == nil && more
	})
	if kept, _ := v.digests.Get(shard); err == nil && more && sum != kept {
		err = fmt.Errorf("shard %d: %w: digest is %s, its rows make %s", shard, state.ErrDamaged, kept, sum)
	}
	return err
}

// Close implements [state.Reader].
func (v *view) Close() error { return nil }
