package leader

import (
	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Batch is a fetch with its records decoded.
type Batch struct {
	Partition connectors.PartitionID
	From      int64 // where the fetch began
	Position  int64 // where the next one begins
	Stable    int64 // last stable offset: Position ≥ Stable means read to the end
	Err       error // connectors.ErrOutOfRange, ErrTopicChanged, or nil
	Start     int64 // with ErrOutOfRange: the first offset that is left
	records   []decoded
}

// decoded is one record with events or a mark.
type decoded struct {
	offset int64
	bytes  int
	events []operators.Event
	time   state.Time // latest event time among the events
	mark   state.Time // a mark's time, 0 if it is none
}

// recordOverhead is what a record is counted with beside its bytes.
const recordOverhead = 64

// Decode decodes a fetch: a pure function of it, safe on any goroutine. alias
// is the topic's name in the topology.
func Decode(d connectors.Decoder, alias string, f *connectors.Fetch) *Batch {
	b := &Batch{Partition: f.Partition, From: f.From, Position: f.Position, Stable: f.Stable, Err: f.Err, Start: f.Start}
	for i := range f.Records {
		r := &f.Records[i]
		if r.Control {
			continue
		}
		one := decoded{offset: r.Offset, bytes: recordOverhead + len(r.Key) + len(r.Value)}
		mark := d.Decode(alias, r, func(e operators.Event) {
			e.Offset, e.Index = r.Offset, int64(len(one.events))
			one.time = max(one.time, e.Time)
			one.events = append(one.events, e)
		})
		one.mark = mark.Time
		if len(one.events) > 0 || one.mark != 0 {
			b.records = append(b.records, one)
		}
	}
	return b
}
