package event_test

import (
	"testing"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

func TestOutcome(t *testing.T) {
	decided := func(outcomes ...string) *event.AllocationDecided {
		e := &event.AllocationDecided{}
		for _, o := range outcomes {
			e.Lines = append(e.Lines, event.DecidedLine{Outcome: o})
		}
		return e
	}
	for _, tt := range []struct {
		e    operators.Counted
		want string
	}{
		{decided(event.Allocated, event.Allocated), "allocated"},
		{decided(event.Allocated, event.Backordered), "backordered"},
		{decided(event.Allocated, event.Backordered, event.Failed), "partial"},
		{decided(event.Failed, event.Failed), "failed"},
		{&event.StockLevel{OnHand: 2, Reserved: 2}, ""},
		{&event.StockLevel{OnHand: 1, Reserved: 2}, "oversold"},
	} {
		if got := tt.e.Outcome(); got != tt.want {
			t.Errorf("Outcome(%+v) = %q; want %q", tt.e, got, tt.want)
		}
	}
}
