package group

import "testing"

// TestMovesAreNotLimited has as many callers wait as may: a move gets on.
func TestMovesAreNotLimited(t *testing.T) {
	r := replies{max: 1}
	caller := r.add(replyKey{source: "s", id: "1"}, noShard, ofCaller)
	if caller == nil || r.add(replyKey{source: "s", id: "2"}, noShard, ofCaller) != nil {
		t.Fatal("the limit of 1 caller does not hold")
	}
	step := r.add(replyKey{control: true, id: "3"}, noShard, ofMove)
	if step == nil {
		t.Fatal("the step of a move is refused; want it taken")
	}
	r.remove(caller)
	r.remove(step)
	if r.count != 0 || r.add(replyKey{source: "s", id: "4"}, noShard, ofCaller) == nil {
		t.Errorf("count = %d after all have gone; want 0, and room for a caller", r.count)
	}
}
