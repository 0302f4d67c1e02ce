package bench

import (
	"bytes"
	"testing"
	"time"

	"anabranch.dev/state"
)

func TestMoveOfProcesses(t *testing.T) {
	cfg := MoveConfig{KafkaConfig: KafkaConfig{Config: small(3)}, Moves: 3, Binary: build(t)}
	cfg.Rate, cfg.tamper = 200, func(order int) int { return wrong(order - 1) } // not one that is cancelled
	var progress bytes.Buffer
	r, err := Move(t.Context(), cfg, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if c := r.Checks; c.Lost != 1 || c.Doubled != 1 || c.Oversold != 0 || c.Misplaced != 0 {
		t.Errorf("checks = %+v; want the one lost and the one doubled found", c)
	}
	m := r.Move
	if m.Moves != 3 || m.CalledOff != 0 || len(m.Took.Gaps) != 3 || m.Took.Median <= 0 || m.Cancelled == 0 {
		t.Errorf("move = %+v; want three moves and some cancelled orders\n%s", *m, progress.String())
	}
	if v := m.Visible; v.Before.P50 <= 0 || v.During.P50 <= 0 || m.Longest.All < v.During.Max*0.99 {
		t.Errorf("visible = %+v, longest %+v; want both stretches measured", v, m.Longest)
	}
}

func TestMoveMeter(t *testing.T) {
	const shards = 4
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	due := func(n int) time.Time { return at(100 * n) }
	m := newMoveMeter()
	for n, delay := range []int{10, 20, 500, 40} {
		if !m.note(n, due(n).Add(time.Duration(delay)*time.Millisecond)) {
			t.Errorf("order %d was seen before; want not", n)
		}
	}
	if m.note(1, at(900)) {
		t.Error("the second record of order 1 is its first; want not")
	}
	m.note(5, at(510)) // order 4 is lost
	own := state.ShardOf(orderID(3), shards)
	m.moved(own, at(330), at(335))
	m.moved(own, at(341), at(350)) // too late for order 3
	var r MoveTimes
	m.report(&r, due, span{at(0), at(150)}, span{at(150), at(450)}, shards)
	if b, d := r.Visible.Before.Max, r.Visible.During.Max; b < 19_900 || b > 20_100 || d < 499_000 || d > 501_000 {
		t.Errorf("visible = %+v; want at most 20 ms before and 500 ms during", r.Visible)
	}
	others := 0.0
	if state.ShardOf(orderID(2), shards) == own {
		others = 500_000
	}
	if l := r.Longest; l.All != 500_000 || l.Moving != max(40_000, others) || l.MovingOrders == 0 || r.Cancelled != 1 {
		t.Errorf("longest = %+v, cancelled %d; want 500 ms, 40 ms on the move, one cancelled", l, r.Cancelled)
	}
}
