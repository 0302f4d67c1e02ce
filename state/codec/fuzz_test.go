package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// FuzzDecode feeds anything to the decoder of several types. It must not panic,
// and what it accepts must be exactly what encoding the result gives.
func FuzzDecode(f *testing.F) {
	payload := encode(f, order())
	for i, v := range []state.Visitable{
		order(), level(), &event.OrderPlaced{},
		&operators.Event{Offset: -1, ID: "o-1", Payload: state.Nested{Raw: payload}},
		&core.Entry{Level: 1, Time: 5, Items: []core.Item{
			{Range: &core.Range{From: 1, To: 3, Events: []operators.Event{{ID: "a", Payload: state.Nested{Raw: payload}}, {Reject: &operators.Reject{Code: "bad_json"}}}}},
			{Ack: &core.Ack{Shard: 3, Through: 1 << 40}},
		}},
	} {
		f.Add(byte(i), encode(f, v))
	}
	f.Add(byte(4), []byte{0x94, 0x01, 0x01, 0x00, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add(byte(0), bytes.Repeat([]byte{0x91}, 4096))
	c := codec.New()
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		var v state.Visitable
		switch kind % 5 {
		case 0, 2:
			v = &event.OrderPlaced{}
		case 1:
			v = &event.StockLevel{}
		case 3:
			v = &operators.Event{}
		case 4:
			v = &core.Entry{}
		}
		before := bytes.Clone(b)
		err := c.Decode(b, v)
		if !bytes.Equal(b, before) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("Decode = %v; want ErrCorrupt", err)
			}
			return
		}
		l, err := codec.Level(b)
		if err != nil {
			t.Fatalf("Level of what was decoded: %v", err)
		}
		again, err := c.Append(nil, l, v)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("Append(Decode(%x)) = %x, %v", b, again, err)
		}
		if n := c.Size(l, v); n != len(b) {
			t.Fatalf("Size = %d; want %d", n, len(b))
		}
	})
}

// FuzzDecodeKey feeds anything to the decoder of stored keys.
func FuzzDecodeKey(f *testing.F) {
	f.Add(codec.AppendKey(nil, state.CellID{Shard: 7, Stage: 9, Key: "k\x00\x01"}, 3, "row"))
	f.Add([]byte{0, 7, 0, 0, 0, 9, 'k', 0, 2, 0, 1, 0, 0, 0, 3})
	f.Add([]byte{0, 7, 0, 0, 0, 9, 0})
	f.Fuzz(func(t *testing.T, key []byte) {
		id, table, row, err := codec.DecodeKey(key)
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("DecodeKey = %v; want ErrCorrupt", err)
			}
			return
		}
		if again := codec.AppendKey(nil, id, table, row); !bytes.Equal(again, key) {
			t.Fatalf("AppendKey(DecodeKey(%x)) = %x", key, again)
		}
	})
}
