package metrics

import "testing"

func TestTotal(t *testing.T) {
	r := New()
	for g := range 2 {
		r.Group(g).Proposed(100, 3)
		r.Group(g).Elected()
	}
	if sum, n := r.Total("anabranch_group_entry_events"); sum != 6 || n != 2 {
		t.Errorf("Total of a histogram = %v of %d; want 6 of 2", sum, n)
	}
	if sum, _ := r.Total("anabranch_group_elections_total"); sum != 2 {
		t.Errorf("Total of a counter = %v; want 2", sum)
	}
	if sum, n := r.Total("no_such_metric"); sum != 0 || n != 0 {
		t.Errorf("Total of nothing = %v of %d; want 0", sum, n)
	}
}
