package allocation

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// What a head says of its size is never below what encoding takes.
func TestHeadKnowsItsSize(t *testing.T) {
	c, text := codec.New(), rapid.StringN(0, 20, 300)
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string) int64 { return rapid.Int64().Draw(t, name) }
		decimal := func(name string) state.Decimal { return state.Decimal(number(name)) }
		name := func() string { return text.Draw(t, "name") }
		h := &Head{State: Measuring, Channel: name(), Location: name(), Staff: name(), Currency: name(), Request: name(),
			PromisedBy: state.Time(number("promised")), Placed: state.Time(number("placed")), Lines: number("lines"),
			Attempt: number("attempt"), Round: number("round"), Pending: number("pending"), Refused: number("refused"),
			Started: state.Time(number("started")), Reserved: number("reserved"), Expiry: state.Time(number("expiry")),
			Destination: &event.Destination{Lat: decimal("lat"), Lon: decimal("lon"), Region: name()}}
		n := number("any")
		for range rapid.IntRange(0, 3).Draw(t, "small") {
			if h.Small == nil {
				h.Small = &Small{Plan: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plan")}
			}
			s := h.Small
			s.Lines = append(s.Lines, Line{Line: n, SKU: name(), Quantity: n, UnitPrice: decimal("price"), Waiting: n, Backordered: n,
				Failed: n, Cancelled: n, Expired: n, Shipped: n, Returned: n, ShippedAt: state.Time(n),
				Parts: []ReservedPart{{Attempt: n, Round: n, Location: name(), Pool: name(), Quantity: n, Expires: state.Time(n)}}})
			s.Demands = append(s.Demands, Demand{SKU: name(), Line: n, Quantity: n, Parts: []event.Part{{Location: name(), Pool: name(), Quantity: n}}})
			s.Resources = append(s.Resources, Resource{Key: name(), State: resourceUnusable, Round: n, Fault: name(),
				Places: []event.Available{{Location: name(), Pool: name(), OnHand: n, Reserved: n, Withheld: n, SafetyStock: n, ATP: n,
					Confidence: decimal("confidence"), Undecided: n}},
				Inbound: []event.Inbound{{Location: name(), Pool: name(), Quantity: n, Arrives: state.Time(n)}}})
		}
		if most, size := h.MostBytes(), c.Size(1, h); most < size {
			t.Fatalf("MostBytes = %d; it takes %d: %+v", most, size, h)
		}
	})
}

// Facts that were damaged give a poor explanation, never a panic or one without
// end.
func FuzzRender(f *testing.F) {
	var facts facts
	for _, n := range []int64{1, 8} {
		facts.number(n)
		facts.text("p1")
	}
	f.Add(facts.b, facts.b)
	f.Add([]byte{}, []byte{2, 1, 'A', 4, 0, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, plan, lines []byte) {
		d := &Decision{Plan: plan, Lines: lines}
		row := d.Render(&Head{})
		if got := len(row.Places) + len(row.Plans); got > len(plan) {
			t.Errorf("%d places and plans from %d bytes", got, len(plan))
		}
		if got := len(renderLines(nil, lines, &row)); got > len(lines) {
			t.Errorf("%d lines from %d bytes", got, len(lines))
		}
	})
}

// A long name is explained in full.
func TestFactsKeepNamesAndNumbers(t *testing.T) {
	var f facts
	long := strings.Repeat("x", 512)
	for _, n := range []int64{0, -1, 1 << 62, -1 << 62} {
		f.number(n)
		f.text(long[:n&0xff])
	}
	k := known{b: f.b}
	for _, want := range []int64{0, -1, 1 << 62, -1 << 62} {
		if n, s := k.number(), k.text(); n != want || s != long[:want&0xff] {
			t.Errorf("read %d and %d bytes; want %d and %d", n, len(s), want, want&0xff)
		}
	}
	if k.broken || len(k.b) > 0 {
		t.Errorf("broken %v, %d bytes left; want all read", k.broken, len(k.b))
	}
	if k.number(); !k.broken {
		t.Error("reading beyond the end is not noticed")
	}
}
