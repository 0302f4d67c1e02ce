package leader

import (
	"fmt"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

func TestLanes(t *testing.T) {
	l := newLanes(Config{Codec: codec.New(), Incarnation: 7}, Limits{EntryBytes: 250}.withDefaults(), &merge{}, Start{})
	var messages []core.LaneOut
	for n := range uint64(5) {
		messages = append(messages, core.LaneOut{From: 1, To: 9, Number: n + 1, Message: &core.Message{Key: fmt.Sprint(n)}})
	}
	l.add(messages[:3])
	l.add(messages[:3])
	expectLanes(t, l, sec(0), "1-2 3-3")
	expectLanes(t, l, sec(0.1), "")
	l.add(messages[3:])
	expectLanes(t, l, sec(0.1), "4-5")
	if l.acked(core.LaneAck{From: 1, To: 8, Through: 1}) || l.acked(core.LaneAck{From: 1, To: 9, Through: 0}) {
		t.Error("an ack of nothing is news")
	}
	if !l.acked(core.LaneAck{From: 1, To: 9, Through: 2}) || l.acked(core.LaneAck{From: 1, To: 9, Through: 2}) {
		t.Error("an ack is not news exactly once")
	}
	expectLanes(t, l, sec(0.4), "")
	if at := l.wakeAt(); at != sec(0.5) {
		t.Errorf("wakeAt() = %v; want %v", at, sec(0.5))
	}
	expectLanes(t, l, sec(0.5), "3-4 5-5")
	l.acked(core.LaneAck{From: 1, To: 9, Through: 5})
	expectLanes(t, l, sec(9), "")
	if l.Depth() != 0 || l.wakeAt() != 0 {
		t.Errorf("Depth() = %d, wakeAt() = %v; want 0, never", l.Depth(), l.wakeAt())
	}
}

func expectLanes(t *testing.T, l *Lanes, now state.Time, want string) {
	t.Helper()
	got := ""
	for _, b := range l.Next(now) {
		if b.Incarnation != 7 {
			t.Errorf("incarnation = %d; want 7", b.Incarnation)
		}
		if got != "" {
			got += " "
		}
		got += fmt.Sprintf("%d-%d", b.First, b.First+uint64(len(b.Messages))-1)
	}
	if got != want {
		t.Errorf("Next(%v) = %q; want %q", now, got, want)
	}
}
