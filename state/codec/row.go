package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/zeebo/xxh3"

	"anabranch.dev/state"
)

// A stored key is
//
//	shard (2 bytes) | stage (4) | key, escaped, 0x00 0x01 | table (4) | row key
//
// so that all rows of a shard, of a stage in it, of a cell and of a table of a
// cell stand together, in the order of their keys. In the key 0x00 is escaped
// as 0x00 0xff.
const (
	stageAt = 2
	cellAt  = 6
	escape  = 0x00
	escaped = 0xff
	keyEnd  = 0x01
)

// AppendShard appends the prefix of a shard's stored keys.
func AppendShard(b []byte, shard state.Shard) []byte {
	return binary.BigEndian.AppendUint16(b, uint16(shard))
}

// AppendStage appends the prefix of the stored keys of a stage in a shard.
func AppendStage(b []byte, shard state.Shard, stage state.StageID) []byte {
	return binary.BigEndian.AppendUint32(AppendShard(b, shard), uint32(stage))
}

// AppendCell appends the prefix of the stored keys of a cell.
func AppendCell(b []byte, id state.CellID) []byte {
	b = AppendStage(b, id.Shard, id.Stage)
	if strings.IndexByte(id.Key, escape) < 0 {
		return append(append(b, id.Key...), escape, keyEnd)
	}
	for i := range len(id.Key) {
		b = append(b, id.Key[i])
		if id.Key[i] == escape {
			b = append(b, escaped)
		}
	}
	return append(b, escape, keyEnd)
}

// AppendTable appends a table's id to a cell's prefix.
func AppendTable(cell []byte, table state.TableID) []byte {
	return binary.BigEndian.AppendUint32(cell, uint32(table))
}

// AppendKey appends the whole stored key of a row.
func AppendKey(b []byte, id state.CellID, table state.TableID, row string) []byte {
	return append(AppendTable(AppendCell(b, id), table), row...)
}

// CellLen is the length of the cell's prefix in a stored key, or -1 if the key
// is too short to have one.
func CellLen(key []byte) int {
	if len(key) < cellAt+2 {
		return -1
	}
	for at := cellAt; ; {
		i := bytes.IndexByte(key[at:], escape)
		if i < 0 || at+i+1 >= len(key) {
			return -1
		}
		at += i + 2
		if key[at-1] == keyEnd {
			return at
		}
	}
}

// DecodeCell reads a cell's prefix.
func DecodeCell(cell []byte) (state.CellID, error) {
	n := CellLen(cell)
	if n < 0 || n != len(cell) {
		return state.CellID{}, fmt.Errorf("%w: stored key %x", ErrCorrupt, cell)
	}
	id := state.CellID{
		Shard: state.Shard(binary.BigEndian.Uint16(cell)),
		Stage: state.StageID(binary.BigEndian.Uint32(cell[stageAt:])),
	}
	key := cell[cellAt : n-2]
	if bytes.IndexByte(key, escape) < 0 {
		id.Key = string(key)
		return id, nil
	}
	plain := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		plain = append(plain, key[i])
		if key[i] == escape {
			if i++; i == len(key) || key[i] != escaped {
				return state.CellID{}, fmt.Errorf("%w: stored key %x", ErrCorrupt, cell)
			}
		}
	}
	id.Key = string(plain)
	return id, nil
}

// DecodeKey reads a stored key.
func DecodeKey(key []byte) (id state.CellID, table state.TableID, row string, err error) {
	n := CellLen(key)
	if n < 0 || len(key) < n+4 {
		return id, 0, "", fmt.Errorf("%w: stored key %x", ErrCorrupt, key)
	}
	if id, err = DecodeCell(key[:n]); err != nil {
		return id, 0, "", err
	}
	return id, state.TableID(binary.BigEndian.Uint32(key[n:])), string(key[n+4:]), nil
}

// PrefixEnd returns the smallest key above all keys with the prefix, or nil
// when there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// AppendRow appends a stored row: when it expires, and its value. A [Raw] is
// appended as it is.
func AppendRow(c state.Codec, b []byte, level uint8, expires state.Time, value state.Visitable) ([]byte, error) {
	if r, ok := value.(*Raw); ok {
		return append(b, r.Stored...), nil
	}
	out, err := c.Append(appendInt(b, int64(expires)), level, value)
	if err != nil {
		return b, err
	}
	return out, nil
}

// AppendStored appends what [DecodeStored] has read, apart from the key.
func AppendStored(b []byte, r *state.StoredRow) []byte {
	return append(appendInt(b, int64(r.Expires)), r.Value...)
}

// DecodeRow reads a stored row into value. A [Raw] takes it as it is.
func DecodeRow(c state.Codec, stored []byte, value state.Visitable) (expires state.Time, err error) {
	expires, n, err := Expires(stored)
	if err != nil {
		return 0, err
	}
	if r, ok := value.(*Raw); ok {
		r.Stored = bytes.Clone(stored)
		return expires, nil
	}
	return expires, c.Decode(stored[n:], value)
}

// DecodeStored reads a stored row's key and expiry; its value stays as it is, a
// part of stored.
func DecodeStored(key, stored []byte) (r state.StoredRow, err error) {
	if r.Cell, r.Table, r.Row, err = DecodeKey(key); err != nil {
		return r, err
	}
	var at int
	if r.Expires, at, err = Expires(stored); err != nil {
		return r, err
	}
	r.Value = stored[at:]
	return r, nil
}

// Expires reads when a stored row expires, and where its value begins.
func Expires(stored []byte) (expires state.Time, value int, err error) {
	d := decoder{b: stored, left: 1}
	expires = state.Time(d.int())
	return expires, d.pos, d.err
}

// StoredLevel is the feature level in whose format a stored row is.
func StoredLevel(stored []byte) (uint8, error) {
	_, at, err := Expires(stored)
	if err != nil {
		return 0, err
	}
	return Level(stored[at:])
}

// Hash is what a row adds to its shard's digest: a hash of its stored key and
// stored value, given one after the other. Where the key ends goes into the
// hash too.
func Hash(keyAndValue []byte, keyLen int) state.Digest {
	h := xxh3.Hash128Seed(keyAndValue, uint64(keyLen))
	return state.Digest{Hi: h.Hi, Lo: h.Lo}
}

// Raw stands for a row of a table that no stage of this build declares: an
// older or newer topology left it, and it is kept as it is.
type Raw struct{ Stored []byte }

// Visit shows the stored bytes.
func (r *Raw) Visit(v state.Visitor) { v.Bytes("stored", &r.Stored) }

// UnknownTable describes a table that no stage of this build declares.
func UnknownTable(id state.TableID) *state.Table {
	return &state.Table{Stage: "unknown", Name: fmt.Sprintf("%08x", uint32(id)), ID: id,
		New: func() state.Visitable { return &Raw{} }}
}
