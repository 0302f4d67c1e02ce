package sim_test

import (
	"fmt"
	"math/rand/v2"

	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// bank is the workload.
type bank struct {
	plan  *topology.Plan
	left  int
	n     int
	old   []sim.Input
	clock state.Time // event time under the replay clock, 0 under the wall clock
}

// newReplay is a bank whose content alone says when things happen.
func newReplay(moves int) *bank {
	b := newBank(moves)
	b.clock = 1_700_000_000 * state.Second
	return b
}

// marks say in every partition that nothing before a time follows.
func (b *bank) marks(at state.Time, emit func(sim.Input)) {
	for _, t := range b.Topics() {
		for p := range t.Partitions {
			emit(sim.Input{Topic: t.Alias, Partition: p, Mark: at})
		}
	}
}

func newBank(moves int) *bank {
	b := topology.New("bank")
	l := topology.Add(b, "limits", &limits{})
	a := topology.Add(b, "accounts", &accounts{})
	audit := topology.Add(b, "audits", &audits{})
	report := topology.Add(b, "reports", &reports{})
	topology.Connect(b, audit.found, report.done)
	topology.InputTopic(b, "limits", true)
	topology.Source(b, "moves", audit.asked, func(e *balance) string { return e.Account })
	topology.Sink(b, audit.found, "settled")
	topology.Source(b, "limits", l.changed, func(e *limit) string { return e.Name })
	topology.Source(b, "moves", a.moved, func(e *move) string { return e.From })
	topology.Connect(b, a.credit, a.credited)
	topology.Connect(b, a.receipt, a.settled)
	topology.Broadcast(b, l.publish, a.limits)
	topology.Sink(b, a.done, "settled", topology.Indexed())
	topology.Sink(b, a.levels, "balances", topology.Conflated())
	plan, err := b.Build()
	if err != nil {
		panic(err)
	}
	return &bank{plan: plan, left: moves}
}

func (b *bank) Plan() *topology.Plan { return b.plan }
func (b *bank) Topics() []sim.Topic {
	return []sim.Topic{{Alias: "limits", Partitions: 1}, {Alias: "moves", Partitions: 3}}
}

func (b *bank) Produce(r *rand.Rand, now state.Time, emit func(sim.Input)) bool {
	if b.n == 0 {
		at := now
		if b.clock != 0 {
			at = b.clock
		}
		emit(sim.Input{Topic: "limits", Events: b.record("limit.set", "l-1", at, &limit{Name: "all", Most: 100})})
	}
	n := 1 + r.IntN(8)
	if r.IntN(8) == 0 {
		n = 40
	}
	for range n {
		if b.left == 0 {
			if b.clock != 0 {
				b.marks(b.clock+state.Hour, emit)
			}
			return false
		}
		b.left--
		b.n++
		if b.clock == 0 {
			b.one(r, now, emit)
			continue
		}
		b.clock += state.Time(r.Int64N(int64(100 * state.Millisecond)))
		if r.IntN(20) == 0 {
			b.marks(b.clock, emit)
		}
		b.one(r, b.clock+state.Second, func(in sim.Input) {
			in.After = 0 // its place in the partition is part of the content
			if in.Command == nil {
				emit(in)
			}
		})
	}
	return true
}

func (b *bank) one(r *rand.Rand, now state.Time, emit func(sim.Input)) {
	id := fmt.Sprintf("m-%d", b.n)
	m := &move{From: fmt.Sprintf("a%d", r.IntN(12)), To: fmt.Sprintf("a%d", r.IntN(12)), Amount: 1 + r.Int64N(110)}
	in := sim.Input{Topic: "moves", Partition: r.IntN(3), After: state.Time(r.Int64N(int64(20 * state.Millisecond)))}
	at := now - state.Time(r.Int64N(int64(state.Second)))
	switch r.IntN(12) {
	case 0:
		in.Events = []operators.Event{{Reject: &operators.Reject{Code: "not_json"}}}
	case 1:
		if len(b.old) > 0 {
			in = b.old[r.IntN(len(b.old))]
			in.Partition = r.IntN(3)
			in.After = state.Time(r.Int64N(int64(state.Second)))
			break
		}
		fallthrough
	case 2:
		in.Command = b.event("money.moved", id, at, m)
		in.Answer, in.Key = m.Amount != 17, m.From
	case 3:
		in.Events = b.record("money.lost", id, at, m)
	case 4:
		in.Events = b.record("audit.asked", id, at, &balance{Account: m.From})
	case 5: // two events in one record
		in.Events = append(b.record("money.moved", id, at, m), b.record("money.moved", id+"b", at, m)...)
	default:
		in.Events = b.record("money.moved", id, at, m)
		b.old = append(b.old, in)
	}
	emit(in)
}

func (b *bank) Delivered(rec *operators.Record, r *rand.Rand, now state.Time, emit func(sim.Input)) {}

func (b *bank) event(kind, id string, at state.Time, payload state.Visitable) *operators.Event {
	return &operators.Event{Source: "test", ID: id, Type: kind, Time: at, Payload: state.Nested{Value: payload}}
}

func (b *bank) record(kind, id string, at state.Time, payload state.Visitable) []operators.Event {
	return []operators.Event{*b.event(kind, id, at, payload)}
}

// checkBank: no money is made or lost, and nothing stays pending.
func checkBank(f *sim.Final) (errs []error) {
	var sum int64
	for _, g := range f.Groups {
		for s := range f.Config.Shards {
			err := g.View.Rows(state.Shard(s), func(id state.CellID, _ *state.Table, _ string, v state.Visitable) bool {
				switch row := v.(type) {
				case *balance:
					sum += row.Amount
				case *pending:
					errs = append(errs, fmt.Errorf("account %s: a move to %s is still pending", id.Key, row.To))
				}
				return true
			})
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	for _, rec := range f.Records {
		if d, ok := rec.Payload.Value.(*operators.DeadLetter); ok && d.Code == operators.CodeOperatorError {
			errs = append(errs, fmt.Errorf("dead letter %s of %s %s: an operator's assertion failed", d.ID, d.Stage, d.Type))
		}
	}
	if sum != 0 {
		errs = append(errs, fmt.Errorf("balances sum to %d", sum))
	}
	return errs
}
