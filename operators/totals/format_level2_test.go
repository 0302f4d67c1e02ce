//go:build level2

package totals

import "testing"

// What came with level 2 is written at that level only; read from a row of the
// first it is not set, and the row is as it was when it is written there again.
func TestSecondFormat(t *testing.T) {
	row := firstTotal()
	row.Changed = 42
	if got := encode(t, 1, &row); got != first {
		t.Errorf("row at level 1 = %s; want %s, as builds before write it", got, first)
	}
	second := encode(t, 2, &row)
	if second == first || decode(t, second) != row {
		t.Errorf("row at level 2 = %s, read as %+v; want %+v", second, decode(t, second), row)
	}
	if old := decode(t, first); old.Changed != 0 || encode(t, 1, &old) != first {
		t.Errorf("row of level 1 = %+v, written as %s; want it as it was", old, encode(t, 1, &old))
	}
}
