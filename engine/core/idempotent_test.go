package core_test

import (
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// An idempotent input is not checked by (source, id) when it comes from a topic;
// a command is, or its answer could not be given again.
func TestIdempotentInputs(t *testing.T) {
	b := topology.New("test")
	ta := topology.Add(b, "tally", &tally{})
	ba := topology.Add(b, "bank", &bank{})
	topology.Source(b, "in", ta.Told, func(e *told) string { return e.Key }, topology.Idempotent())
	topology.Connect(b, ta.Ask, ba.Asked)
	topology.Connect(b, ba.Grant, ta.Granted)
	topology.Command(b, ba.Looped, func(*told) string { return "loop" })
	topology.Connect(b, ba.Loop, ba.Looped)
	topology.Broadcast(b, ba.rates, ta.rates)
	topology.Sink(b, ta.Counted, "out")
	topology.Sink(b, ta.Latest, "latest", topology.Conflated())
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c := newCore(t, p, 0, 1, memstate.New(core.Tables(p), codec.New()))
	now, index := 1000*state.Day, uint64(0)
	apply := func(it core.Item) *core.Output {
		index++
		return c.Apply(index, &core.Entry{Level: c.Level(), Time: now, Items: []core.Item{it}})
	}
	apply(core.Item{Control: &core.Control{Kind: core.ControlOpen, Partition: &part}})
	event := operators.Event{Source: "api", ID: "1", Type: "told", Time: now, Payload: state.Nested{Value: &told{Key: "a", N: 1, Do: "answer"}}}
	first := apply(core.Item{Command: &core.Command{Event: event, Answer: true}}).Replies
	again := apply(core.Item{Command: &core.Command{Event: event, Answer: true}}).Replies
	if len(first) != 2 || first[0].Answer == "" || len(again) != 1 || again[0].Outcome != core.OutcomeDuplicate || again[0].Answer != first[0].Answer {
		t.Errorf("replies = %+v, then %+v; want the same answer", first, again)
	}
	event.Offset = 0
	apply(core.Item{Range: &core.Range{Partition: part, From: 0, To: 1, Events: []operators.Event{event}}})
	if s := c.Partitions()[0]; s.Applied != 1 || s.Duplicates != 0 {
		t.Errorf("partition %+v; want the operator to have judged the repeat", s)
	}
}
