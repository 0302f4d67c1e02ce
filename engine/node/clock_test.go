package node

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A leader whose clock is off gives the leadership up, and again when it gets
// it back.
func TestClockOffGivesUpLeadership(t *testing.T) {
	off := make([]atomic.Int64, 3)
	r := startRig(t, func(i int, cfg *Config) {
		cfg.wall = func() time.Time { return time.Now().Add(time.Duration(off[i].Load())) }
	})
	bad := r.leader()
	off[bad].Store(int64(2 * time.Second))
	eventually(t, "another leader", func() bool { return r.leader() != bad })
	if err := r.nodes[bad].Transfer(patient(t), 0, r.cfgs[bad].ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another leader again", func() bool { return r.leader() != bad })
	eventually(t, "the others see it 2 s ahead", func() bool {
		list, err := r.nodes[(bad+1)%3].Nodes(patient(t))
		return err == nil && (list[bad].ClockAhead-2*time.Second).Abs() < 500*time.Millisecond
	})
	if off, ok := r.nodes[bad].clockOff(); !ok || (off-2*time.Second).Abs() > 500*time.Millisecond {
		t.Errorf("clockOff = %v, %v; want 2 s", off, ok)
	}
	r.submit(bad, "1", "a")
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		list []time.Duration
		want time.Duration
	}{
		{[]time.Duration{0, 5, 1}, 1},
		{[]time.Duration{-7, 0, 100}, 0},
		{[]time.Duration{0, 4, 10, 2}, 3},
	} {
		in := slices.Clone(tt.list)
		if got := median(in); got != tt.want {
			t.Errorf("median(%v) = %d; want %d", tt.list, got, tt.want)
		}
	}
}
