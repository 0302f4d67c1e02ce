package pebblestate

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// DigestError says that a shard's rows are not what its digest says.
type DigestError struct {
	Index        uint64
	Shard        state.Shard
	Stored, Rows state.Digest
}

// Error implements error.
func (e *DigestError) Error() string {
	return fmt.Sprintf("index %d: shard %d: digest is %s, its rows make %s", e.Index, e.Shard, e.Stored, e.Rows)
}

// Verify computes the digests of all shards anew from the rows in Pebble and
// compares them with those kept. It is safe for any goroutine until Close, and
// doesn't need [Store.Run].
func (s *Store) Verify(ctx context.Context) error {
	snapshot := s.db.NewSnapshot()
	_, err := verify(ctx, snapshot, &known{})
	if err := firstError(err, snapshot.Close()); err != nil {
		return fmt.Errorf("verify state %s: %w", s.o.Dir, flatError{damage(err)})
	}
	return nil
}

// verify returns the digests that rows make, and adds their cells to found.
func verify(ctx context.Context, r reader, found *known) (map[state.Shard]state.Digest, error) {
	index, err := number(r, appliedKey)
	if err != nil {
		return nil, err
	}
	kept, err := readDigests(r)
	if err != nil {
		return nil, err
	}
	rows := make(map[state.Shard]state.Digest, len(kept))
	var buf, cell []byte
	err = iterate(r, []byte{rowSpace}, []byte{rowSpace + 1}, func(it *pebble.Iterator) (bool, error) {
		stored, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		key := it.Key()[1:]
		n := codec.CellLen(key)
		if n < 0 {
			return false, fmt.Errorf("%w: stored key %x", codec.ErrCorrupt, it.Key())
		}
		if !bytes.Equal(key[:n], cell) {
			cell = append(cell[:0], key[:n]...)
			id, err := codec.DecodeCell(cell)
			if err != nil {
				return false, err
			}
			found.add(cellHash(id))
		}
		buf = append(append(buf[:0], key...), stored...)
		shard := state.Shard(binary.BigEndian.Uint16(key))
		rows[shard] = rows[shard].Add(codec.Hash(buf, len(key)))
		return true, ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	for shard := range kept {
		rows[shard] = rows[shard].Add(state.Digest{}) // a shard without rows counts too
	}
	for _, shard := range slices.Sorted(maps.Keys(rows)) {
		if rows[shard] != kept[shard] {
			return nil, &DigestError{Index: index, Shard: shard, Stored: kept[shard], Rows: rows[shard]}
		}
	}
	return rows, nil
}
