package pebblestate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// View returns a reader of the state at the index of the last entry committed
// before the call. It is safe for any goroutine.
func (s *Store) View(ctx context.Context) (state.Reader, error) {
	v := &view{s: s}
	m := &marker{often: true, ready: make(chan struct{}), run: func() error {
		v.index = s.written.Load()
		v.snapshot = s.db.NewSnapshot()
		return s.register(v)
	}, undo: func() { _ = v.Close() }}
	err := s.queue.mark(m, true)
	if err == nil {
		err = s.await(ctx, m)
	}
	if err != nil {
		return nil, fmt.Errorf("view state: %w", err)
	}
	return v, nil
}

// register notes a view, so that it is ended before Pebble is.
func (s *Store) register(v *view) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return firstError(v.end(), errClosed)
	}
	s.views[v] = struct{}{}
	return nil
}

// view implements [state.Reader] on a snapshot.
type view struct {
	s     *Store
	index uint64

	mu       sync.Mutex // held while the snapshot is read; guards it
	snapshot *pebble.Snapshot
}

// Index implements [state.Reader].
func (v *view) Index() uint64 { return v.index }

// Close implements [state.Reader].
func (v *view) Close() error {
	v.s.mu.Lock()
	delete(v.s.views, v)
	v.s.mu.Unlock()
	return v.end()
}

// end gives the snapshot back; it waits for a call that reads it.
func (v *view) end() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.snapshot == nil {
		return nil
	}
	snapshot := v.snapshot
	v.snapshot = nil
	return snapshot.Close()
}

// read calls fn with the snapshot.
func (v *view) read(what string, fn func(r reader) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.snapshot == nil {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	if err := damage(fn(v.snapshot)); err != nil {
		if errors.Is(err, state.ErrDamaged) {
			v.s.fail(err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Get implements [state.Reader].
func (v *view) Get(id state.CellID, t *state.Table, row string) (value state.Visitable, err error) {
	err = v.read("get", func(r reader) error {
		key := append(codec.AppendTable(cellKey(id), t.ID), row...)
		stored, closer, err := r.Get(key)
		if err == pebble.ErrNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		value = t.New()
		_, err = codec.DecodeRow(v.s.o.Codec, stored, value)
		return firstError(err, closer.Close())
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Scan implements [state.Reader].
func (v *view) Scan(id state.CellID, t *state.Table, prefix, from string, fn func(row string, value state.Visitable) bool) error {
	return v.read("scan", func(r reader) error {
		table := codec.AppendTable(cellKey(id), t.ID)
		skip := len(table)
		lower := append(table, prefix...)
		upper := codec.PrefixEnd(lower)
		if from > prefix {
			lower = append(table[:skip:skip], from...)
		}
		return iterate(r, lower, upper, func(it *pebble.Iterator) (bool, error) {
			value := t.New()
			stored, err := it.ValueAndErr()
			if err == nil {
				_, err = codec.DecodeRow(v.s.o.Codec, stored, value)
			}
			if err != nil {
				return false, err
			}
			return fn(string(it.Key()[skip:]), value), nil
		})
	})
}

// iterate visits the keys in [lower, upper) until fn returns false or an error.
// fn may move the iterator forward.
func iterate(r reader, lower, upper []byte, fn func(it *pebble.Iterator) (bool, error)) error {
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		more, err := fn(it)
		if err != nil {
			return firstError(err, it.Close())
		}
		if !more {
			break
		}
	}
	return firstError(it.Error(), it.Close())
}

// Cells implements [state.Reader].
func (v *view) Cells(shard state.Shard, stage state.StageID, from string, fn func(key string) bool) error {
	return v.read("cells", func(r reader) error { return cellsOf(r, shard, stage, from, fn) })
}

// cellsOf visits the keys of a shard and stage, from a key on.
func cellsOf(r reader, shard state.Shard, stage state.StageID, from string, fn func(key string) bool) error {
	upper := codec.PrefixEnd(codec.AppendStage([]byte{rowSpace}, shard, stage))
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: cellKey(state.CellID{Shard: shard, Stage: stage, Key: from}), UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.NextPrefix() {
		id, err := codec.DecodeCell(it.Key()[1:comparer.Split(it.Key())])
		if err != nil {
			return firstError(err, it.Close())
		}
		if !fn(id.Key) {
			break
		}
	}
	return firstError(it.Error(), it.Close())
}

// Digest implements [state.Reader].
func (v *view) Digest(shard state.Shard) (digest state.Digest, err error) {
	err = v.read("digest", func(r reader) error {
		value, closer, err := r.Get(digestKey(shard))
		if err == pebble.ErrNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		digest, err = decodeDigest(value)
		return firstError(err, closer.Close())
	})
	return digest, err
}

// Stored implements [state.Reader].
func (v *view) Stored(shard state.Shard, fn func(r state.StoredRow) bool) error {
	more, sum := true, state.Digest{}
	var buf []byte
	err := v.read("stored rows", func(r reader) error {
		lower := codec.AppendShard([]byte{rowSpace}, shard)
		return iterate(r, lower, codec.PrefixEnd(lower), func(it *pebble.Iterator) (bool, error) {
			stored, err := it.ValueAndErr()
			if err != nil {
				return false, err
			}
			buf = append(append(buf[:0], it.Key()[1:]...), stored...)
			sum = sum.Add(codec.Hash(buf, len(it.Key())-1))
			row, err := codec.DecodeStored(it.Key()[1:], bytes.Clone(stored))
			if err == nil {
				more = fn(row)
			}
			return more, err
		})
	})
	if err != nil || !more {
		return err
	}
	kept, err := v.Digest(shard)
	if err == nil && sum != kept {
		err = &DigestError{Index: v.index, Shard: shard, Stored: kept, Rows: sum}
		v.s.fail(damage(err))
	}
	return err
}

// Rows implements [state.Reader]. A row of a table that this build doesn't know
// is a [codec.Raw].
func (v *view) Rows(shard state.Shard, fn func(id state.CellID, t *state.Table, row string, value state.Visitable) bool) error {
	return v.read("rows", func(r reader) error {
		lower := codec.AppendShard([]byte{rowSpace}, shard)
		return iterate(r, lower, codec.PrefixEnd(lower), func(it *pebble.Iterator) (bool, error) {
			stored, err := it.ValueAndErr()
			if err != nil {
				return false, err
			}
			id, table, row, err := codec.DecodeKey(it.Key()[1:])
			if err != nil {
				return false, err
			}
			t := v.s.tables[table]
			if t == nil {
				return fn(id, codec.UnknownTable(table), row, &codec.Raw{Stored: bytes.Clone(stored)}), nil
			}
			value := t.New()
			if _, err := codec.DecodeRow(v.s.o.Codec, stored, value); err != nil {
				return false, fmt.Errorf("row %q of %s at %q: %w", row, t, id.Key, err)
			}
			return fn(id, t, row, value), nil
		})
	})
}
