package totals

import (
	"encoding/hex"
	"testing"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// first is the row as feature level 1 writes it: every build can read it, and
// writes the same as long as that level is in force.
const first = "9601a76f72646572656403070ace007f2815"

func firstTotal() Total {
	return Total{Outcome: "ordered", Documents: 3, Lines: 7, Units: 10, Amount: 8333333}
}

func encode(t *testing.T, level uint8, row *Total) string {
	t.Helper()
	b, err := codec.New().Append(nil, level, row)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

func decode(t *testing.T, text string) (row Total) {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err == nil {
		err = codec.New().Decode(b, state.Visitable(&row))
	}
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestFirstFormat(t *testing.T) {
	row := firstTotal()
	if got := encode(t, 1, &row); got != first {
		t.Errorf("row at level 1 = %s; want %s", got, first)
	}
	if got := decode(t, first); got != row {
		t.Errorf("row of level 1 is read as %+v; want %+v", got, row)
	}
}
