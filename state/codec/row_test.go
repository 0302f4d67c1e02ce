package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

var keys = rapid.Custom(func(t *rapid.T) state.CellID {
	return state.CellID{
		Shard: state.Shard(rapid.Uint16().Draw(t, "shard")),
		Stage: state.StageID(rapid.Uint32().Draw(t, "stage")),
		Key:   rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 'a', 'b', 0xff})).Draw(t, "key"),
	}
})

func TestKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, table, row := keys.Draw(t, "id"), state.TableID(rapid.Uint32().Draw(t, "table")), rapid.String().Draw(t, "row")
		key := codec.AppendKey(nil, id, table, row)
		gotID, gotTable, gotRow, err := codec.DecodeKey(key)
		if err != nil || gotID != id || gotTable != table || gotRow != row {
			t.Fatalf("DecodeKey(AppendKey(%v, %d, %q)) = %v, %d, %q, %v", id, table, row, gotID, gotTable, gotRow, err)
		}
		if cell := codec.AppendCell(nil, id); codec.CellLen(key) != len(cell) || !bytes.HasPrefix(key, cell) {
			t.Fatalf("CellLen(%x) = %d; want %d", key, codec.CellLen(key), len(cell))
		}
	})
}

// Stored keys sort as their parts do, and no cell's prefix begins another's.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		if rapid.Bool().Draw(t, "same stage") {
			b.Shard, b.Stage = a.Shard, a.Stage
		}
		x, y := codec.AppendCell(nil, a), codec.AppendCell(nil, b)
		less := a.Shard < b.Shard || a.Shard == b.Shard && (a.Stage < b.Stage || a.Stage == b.Stage && a.Key < b.Key)
		if got := bytes.Compare(x, y) < 0; got != less {
			t.Fatalf("order of %v and %v: stored keys say %v; want %v", a, b, got, less)
		}
		if a != b && (bytes.HasPrefix(x, y) || bytes.HasPrefix(y, x)) {
			t.Fatalf("prefix of %v begins that of %v", a, b)
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range [][2]string{{"a", "b"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"ab", "ac"}, {"\xff", ""}, {"", ""}} {
		if got := string(codec.PrefixEnd([]byte(c[0]))); got != c[1] {
			t.Errorf("PrefixEnd(%q) = %q; want %q", c[0], got, c[1])
		}
	}
}

func TestRow(t *testing.T) {
	c := codec.New()
	for _, expires := range []state.Time{0, 1, 1_795_000_000_000_000} {
		b, err := codec.AppendRow(c, nil, 1, expires, level())
		if err != nil {
			t.Fatal(err)
		}
		got := level()
		got.SKU = ""
		if at, err := codec.DecodeRow(c, b, got); err != nil || at != expires || *got != *level() {
			t.Errorf("DecodeRow(AppendRow(expires %d)) = %d, %+v, %v", expires, at, got, err)
		}
		if _, err := codec.DecodeRow(c, b[:len(b)-1], got); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("DecodeRow(cut short) = %v; want ErrCorrupt", err)
		}
	}
}

// What is stored must not change from build to build: replicas of different
// builds compare digests, and old stores are read.
func TestStoredFormIsFixed(t *testing.T) {
	b := codec.AppendKey(nil, state.CellID{Shard: 258, Stage: 7, Key: "k\x00"}, 9, "row")
	n := len(b)
	b, err := codec.AppendRow(codec.New(), b, 1, 5, level())
	if err != nil {
		t.Fatal(err)
	}
	const want = "0102" + "00000007" + "6b00ff0001" + "00000009" + "726f77" + // shard, stage, key, table, row
		"05" + // expires
		"9b01a6383531323341a873616e6c6974756ea573746f726578070000036ece000ef420"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("stored row = %s; want %s", got, want)
	}
	if got, want := codec.Hash(b, n).String(), "162a09b9e9f67de9cb6f137a76d66793"; got != want {
		t.Errorf("Hash(%x) = %s; want %s", b, got, want)
	}
	if codec.Hash(b, n) == codec.Hash(b, n-1) {
		t.Error("Hash does not depend on where the key ends")
	}
}
