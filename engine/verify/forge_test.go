package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/xxh3"

	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// openPebble opens a state as another program would.
func openPebble(t *testing.T, dir string) *pebble.DB {
	t.Helper()
	c := *pebble.DefaultComparer
	c.Name, c.Compare, c.Equal = "anabranch.cells", bytes.Compare, bytes.Equal
	c.ComparePointSuffixes, c.CompareRangeSuffixes = bytes.Compare, bytes.Compare
	c.Split = func(key []byte) int {
		if len(key) > 0 && key[0] == 'r' {
			if n := codec.CellLen(key[1:]); n > 0 {
				return 1 + n
			}
		}
		return len(key)
	}
	db, err := pebble.Open(dir, &pebble.Options{Comparer: &c, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// forge changes the first row of a table, with all checksums and the list of
// files right, and with mendDigest the digest too. change returns another value,
// or nil to delete it.
func forge(t *testing.T, dir string, table *state.Table, change func(row state.Visitable) state.Visitable, mendDigest bool) {
	t.Helper()
	db := openPebble(t, dir)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("r"), UpperBound: []byte("s")})
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for ok := it.First(); ok && !changed; ok = it.Next() {
		key := bytes.Clone(it.Key())
		_, id, _, err := codec.DecodeKey(key[1:])
		if err != nil || id != table.ID {
			continue
		}
		stored := bytes.Clone(it.Value())
		row := table.New()
		expires, err := codec.DecodeRow(codec.New(), stored, row)
		if err != nil {
			t.Fatal(err)
		}
		changed = true
		next := change(row)
		b := db.NewBatch()
		sum := state.Digest{}
		if next == nil {
			err = b.Delete(key, nil)
		} else {
			var forged []byte
			forged, err = codec.AppendRow(codec.New(), nil, 1, expires, next)
			err = errors.Join(err, b.Set(key, forged, nil))
			sum = codec.Hash(append(bytes.Clone(key[1:]), forged...), len(key)-1)
		}
		if mendDigest {
			err = errors.Join(err, mend(db, b, key[1:3], sum.Sub(codec.Hash(append(bytes.Clone(key[1:]), stored...), len(key)-1))))
		}
		if err := errors.Join(err, b.Commit(pebble.Sync)); err != nil {
			t.Fatal(err)
		}
	}
	if !changed {
		t.Fatalf("no row of %s to forge", table)
	}
	if err := errors.Join(it.Close(), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	remark(t, dir)
}

// mend adds to a shard's digest.
func mend(db *pebble.DB, b *pebble.Batch, shard []byte, more state.Digest) error {
	key := append([]byte("d"), shard...)
	old, closer, err := db.Get(key)
	if err != nil {
		return err
	}
	d := state.Digest{Hi: binary.BigEndian.Uint64(old), Lo: binary.BigEndian.Uint64(old[8:])}.Add(more)
	value := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, d.Hi), d.Lo)
	return errors.Join(closer.Close(), b.Set(key, value, nil))
}

// remark writes the mark of a state's newest list of tables.
func remark(t *testing.T, dir string) {
	t.Helper()
	path := one(t, dir, "MANIFEST-*")
	manifest, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var number uint64
	if _, err := fmt.Sscanf(filepath.Base(path), "MANIFEST-%d", &number); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8, 4096+76)
	b = binary.LittleEndian.AppendUint32(b, 0x6d616e69)
	b = binary.LittleEndian.AppendUint64(b, 1<<20) // later than any
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(manifest)))
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(manifest))
	b = b[:76]
	binary.LittleEndian.PutUint64(b, xxh3.Hash(b[8:]))
	b = append(b[:4096:4096], b[:76]...)
	replaceFile(t, filepath.Join(dir, "manifest-mark"), b)
}

// moreSum makes a total larger.
func moreSum(row state.Visitable) state.Visitable {
	total := *row.(*tally.Total)
	total.Sum += 7
	return &total
}

// noSum makes a total one that can't be.
func noSum(row state.Visitable) state.Visitable {
	total := *row.(*tally.Total)
	total.Sum = 0
	return &total
}

// gone deletes the row.
func gone(state.Visitable) state.Visitable { return nil }
