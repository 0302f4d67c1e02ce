package core

import (
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// The bound is never below what encoding takes.
func TestBoundIsNotTooLow(t *testing.T) {
	c, b := codec.New(), &bound{}
	text := rapid.StringN(0, 40, 300)
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64()
		cause := operators.Cause{Topic: text.Draw(t, "topic"), Partition: number.Draw(t, "partition"), Offset: number.Draw(t, "offset"),
			Source: text.Draw(t, "source"), ID: text.Draw(t, "id"), Time: state.Time(number.Draw(t, "time"))}
		row := &registerRow{Expiry: state.Time(number.Draw(t, "expiry"))}
		for range rapid.IntRange(0, 20).Draw(t, "timers") {
			row.Timers = append(row.Timers, registerTimer{Port: rapid.Uint64().Draw(t, "port"), ID: text.Draw(t, "timer"), Cause: cause})
		}
		values := []state.Visitable{row, &dueRow{}, &dueRow{Cause: &cause}, &positionRow{Idle: true, Gap: text.Draw(t, "gap")},
			&operators.Record{Key: text.Draw(t, "key"), Payload: state.Nested{Value: row}},
			&operators.Record{Payload: state.Nested{Raw: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "raw")}}}
		for _, v := range values {
			if most, size := b.of(Level, v), c.Size(Level, v); most < size {
				t.Fatalf("bound of %+v = %d; it takes %d", v, most, size)
			}
		}
	})
}
