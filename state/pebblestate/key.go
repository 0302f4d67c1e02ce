package pebblestate

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// Pebble's keys begin with a byte that says what they are: a row, followed by
// its stored key, or something about the store itself.
const (
	rowSpace    = 'r'
	digestSpace = 'd' // followed by the shard
)

var (
	appliedKey = []byte("applied")
	formatKey  = []byte("format")
)

// format is the version of how a store is laid out.
const format = 1

// comparer orders keys by their bytes. It tells Pebble that a row's key begins
// with its cell, so that Bloom filters answer whether a cell has any rows: most
// cold cells are of keys that were never seen before.
var comparer = &pebble.Comparer{
	Name:                 "anabranch.cells",
	Compare:              bytes.Compare,
	Equal:                bytes.Equal,
	ComparePointSuffixes: bytes.Compare,
	CompareRangeSuffixes: bytes.Compare,
	AbbreviatedKey:       pebble.DefaultComparer.AbbreviatedKey,
	FormatKey:            pebble.DefaultComparer.FormatKey,
	Separator:            pebble.DefaultComparer.Separator,
	Successor:            pebble.DefaultComparer.Successor,
	ImmediateSuccessor:   immediateSuccessor,
	Split: func(key []byte) int {
		if n := cellLen(key); n > 0 {
			return n
		}
		return len(key)
	},
}

// cellLen is the length of a cell's prefix in a key, or -1.
func cellLen(key []byte) int {
	if len(key) > 0 && key[0] == rowSpace {
		if n := codec.CellLen(key[1:]); n > 0 {
			return 1 + n
		}
	}
	return -1
}

// immediateSuccessor appends the smallest prefix that follows prefix. That of a
// cell follows all of the cell's rows.
func immediateSuccessor(dst, prefix []byte) []byte {
	if cellLen(prefix) == len(prefix) {
		return append(dst, codec.PrefixEnd(prefix)...)
	}
	return append(append(dst, prefix...), 0)
}

func cellKey(id state.CellID) []byte {
	return appendCellKey(make([]byte, 0, 16+len(id.Key)), id)
}

func appendCellKey(b []byte, id state.CellID) []byte {
	return codec.AppendCell(append(b, rowSpace), id)
}

func appendRowKey(b []byte, id state.CellID, t *state.Table, row string) []byte {
	return append(codec.AppendTable(appendCellKey(b, id), t.ID), row...)
}

func digestKey(shard state.Shard) []byte { return codec.AppendShard([]byte{digestSpace}, shard) }

func appendDigest(b []byte, d state.Digest) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, d.Hi), d.Lo)
}

func decodeDigest(b []byte) (state.Digest, error) {
	if len(b) != 16 {
		return state.Digest{}, fmt.Errorf("%w: digest of %d bytes", codec.ErrCorrupt, len(b))
	}
	return state.Digest{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}, nil
}

// reader is what Pebble's DB and its snapshots have in common.
type reader = pebble.Reader

// number reads a stored number, 0 if it is not there.
func number(r reader, key []byte) (uint64, error) {
	value, closer, err := r.Get(key)
	if err == pebble.ErrNotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, size := binary.Uvarint(value)
	if size != len(value) {
		err = fmt.Errorf("%w: %s is %x", codec.ErrCorrupt, key, value)
	}
	return n, firstError(err, closer.Close())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
