package leader

import (
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// sec is a point of the machines' clock.
func sec(s float64) state.Time { return 1_000_000*state.Second + state.Time(s*float64(state.Second)) }

func part(topic string, n int64) (core.Partition, connectors.PartitionID) {
	return core.Partition{Topic: topic, TopicID: "id-" + topic, Partition: n},
		connectors.PartitionID{Topic: "kafka." + topic, TopicID: "id-" + topic, Partition: int32(n)}
}

// text decodes records of a small language: "e 5" is an event at 5 s, "m 5" a
// mark, anything else an event without a time.
type text struct{}

func (text) Decode(_ string, r *connectors.RawRecord, emit func(operators.Event)) operators.Mark {
	var kind string
	var at int64
	fmt.Sscanf(string(r.Value), "%s %d", &kind, &at)
	if kind == "m" {
		return operators.Mark{Time: state.Time(at) * state.Second}
	}
	emit(operators.Event{ID: string(r.Value), Time: state.Time(at) * state.Second})
	return operators.Mark{}
}

// record is a data record, control a transaction's marker.
func record(offset int64, value string) connectors.RawRecord {
	return connectors.RawRecord{Offset: offset, Value: []byte(value)}
}
func control(offset int64) connectors.RawRecord {
	return connectors.RawRecord{Offset: offset, Control: true}
}

// fetched hands a fetch that ends where the partition ends.
func fetched(in *Intake, id connectors.PartitionID, from, position int64, now state.Time, records ...connectors.RawRecord) {
	in.Fetched(Decode(text{}, "", &connectors.Fetch{Partition: id, From: from, Position: position, Stable: position, Records: records}), now)
}

// tenure starts one with small limits.
func newTestTenure(change func(*Config, *Start)) *Tenure {
	cfg := Config{Clock: core.ClockWall, Codec: codec.New(), Slots: 4, Incarnation: 7}
	start := Start{LogTime: sec(-10)}
	if change != nil {
		change(&cfg, &start)
	}
	t := New(cfg, start)
	t.Intake.OpenAll()
	return t
}

// print shows a range as in "sales/0 [3,7) e1 e2".
func print(r *core.Range) string {
	s := fmt.Sprintf("%s/%d [%d,%d)", r.Partition.Topic, r.Partition.Partition, r.From, r.To)
	if r.Time != 0 {
		s += fmt.Sprintf(" @%d", r.Time/state.Second)
	}
	for i := range r.Events {
		s += fmt.Sprintf(" %d:%s", r.Events[i].Offset, r.Events[i].ID)
	}
	return s
}

// show prints the items of an entry.
func show(e *core.Entry) (items []string) {
	if e == nil {
		return []string{"nothing"}
	}
	for i := range e.Items {
		switch it := &e.Items[i]; {
		case it.Range != nil:
			items = append(items, print(it.Range))
		case it.Ack != nil:
			items = append(items, fmt.Sprintf("ack %d through %d progress %d", it.Ack.Shard, it.Ack.Through, it.Ack.Progress))
		case it.Lane != nil:
			items = append(items, fmt.Sprintf("lane %d>%d first %d of %d", it.Lane.From, it.Lane.To, it.Lane.First, len(it.Lane.Messages)))
		case it.LaneAck != nil:
			items = append(items, fmt.Sprintf("lane ack %d>%d through %d", it.LaneAck.From, it.LaneAck.To, it.LaneAck.Through))
		case it.Command != nil:
			items = append(items, "command "+it.Command.Event.ID)
		case it.Control != nil:
			items = append(items, fmt.Sprintf("%s [%d,%d) %s", it.Control.Kind, it.Control.From, it.Control.To, it.Control.Reason))
		case it.Inputs != nil:
			for _, s := range it.Inputs.Status {
				items = append(items, fmt.Sprintf("idle %v %s/%d", s.Idle, s.Partition.Topic, s.Partition.Partition))
			}
		}
	}
	return items
}

// apply says that an entry of ours was applied.
func apply(t *Tenure, at state.Time, wants ...core.Want) {
	t.Applied(Applied{Own: true, Output: &core.Output{Time: at, Wants: wants}})
}
