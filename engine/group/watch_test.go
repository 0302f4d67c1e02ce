package group

import (
	"testing"
	"time"

	"anabranch.dev/engine/raftlog"
)

// TestPausedIsNotHanging watches accesses that hang, and a process that was
// stopped while one was under way.
func TestPausedIsNotHanging(t *testing.T) {
	const tick, most = 100 * time.Millisecond, 200 * time.Millisecond
	h := hanging{most: most}
	look := func(id uint64, age, since, want time.Duration) {
		t.Helper()
		h.seen(raftlog.Access{ID: id, Op: raftlog.OpSync, Age: age}, since)
		if h.watched != want {
			t.Errorf("access %d of age %v, %v after the last look: watched %v; want %v", id, age, since, h.watched, want)
		}
	}
	look(1, tick/2, tick, tick/2)
	look(1, 3*tick/2, tick, 3*tick/2)
	look(1, time.Minute, time.Minute, 3*tick/2+most) // stopped meanwhile
	look(2, tick, tick, tick)                        // the first has ended
	look(2, time.Minute, time.Minute, tick+most)
	look(0, 0, tick, 0)
	look(3, time.Minute, time.Minute, most) // begun before the process was stopped
	for range 10 {
		h.seen(raftlog.Access{ID: 3, Op: raftlog.OpSync}, tick)
	}
	if h.watched != most+10*tick {
		t.Errorf("an access that hangs for a second more: watched %v; want %v", h.watched, most+10*tick)
	}
}
