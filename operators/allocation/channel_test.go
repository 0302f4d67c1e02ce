package allocation_test

import (
	"reflect"
	"testing"

	"anabranch.dev/operators/event"
)

// One stock pool under all channels: without a rule that says otherwise, the
// channel an order came from changes its origin and nothing else.
func TestChannelChangesOnlyTheOrigin(t *testing.T) {
	decide := func(channel string) *event.AllocationDecided {
		rig := bigShop(t, 3, 4)
		o := bigOrder("O1", 3)
		o.Channel = channel
		for _, r := range tell(t, rig, "order.placed", o).Records {
			if e, ok := r.Payload.Value.(*event.AllocationDecided); ok {
				return e
			}
		}
		t.Fatalf("channel %s: no decision", channel)
		return nil
	}
	first := decide(event.ChannelClasses[0])
	for _, channel := range event.ChannelClasses[1:] {
		got := decide(channel)
		if got.Origin.Channel != channel {
			t.Errorf("origin is %q; want %q", got.Origin.Channel, channel)
		}
		got.Origin = first.Origin
		if !reflect.DeepEqual(got, first) {
			t.Errorf("channel %s: decision %+v; want %+v", channel, got, first)
		}
	}
}
