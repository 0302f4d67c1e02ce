package operatortest

import (
	"fmt"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// Rig is a plan at work in one group or several, with a clock that its user
// steps. Lanes between groups deliver at once and in order.
type Rig struct {
	plan   *topology.Plan
	groups []*group
	codec  state.Codec
	now    state.Time
	next   map[string]int64 // offset per input topic
	ids    int
}

// group is one of the rig's cores with its log.
type group struct {
	core  *core.Core
	store *memstate.Store
	index uint64
}

// shards is enough for keys to differ in theirs.
const shards = 16

// topicID is the Kafka id that every input topic of a rig has.
const topicID = "00000000000000000000000000000000"

// maxTicks is how many entries without items may follow each other at one time.
const maxTicks = 10_000

// NewRig starts a plan on empty state at a log time, in one group.
func NewRig(plan *topology.Plan, start state.Time) (*Rig, error) { return NewRigOf(1, plan, start) }

// NewRigOf is NewRig with so many groups, over which shards are spread.
func NewRigOf(groups int, plan *topology.Plan, start state.Time) (*Rig, error) {
	r := &Rig{plan: plan, codec: codec.New(), now: start, next: map[string]int64{}}
	for n := range groups {
		store := memstate.New(core.Tables(plan), r.codec)
		k, err := core.New(core.Config{Plan: plan, Codec: r.codec, Shards: shards, Group: n, Groups: groups, Incarnation: 1,
			Clock: core.ClockWall, GroupOf: func(s state.Shard) int { return int(s) % groups }}, store)
		if err != nil {
			return nil, err
		}
		r.groups = append(r.groups, &group{core: k, store: store})
	}
	for _, g := range r.groups { // to where a new cluster begins
		if g.core.Level() == core.Level {
			break
		}
		if _, err := r.apply(g, core.Item{Control: &core.Control{Kind: core.ControlRaise, Level: core.Level}}); err != nil {
			return nil, err
		}
	}
	for _, t := range plan.Topics {
		if t.Input {
			p := partition(t.Alias)
			if _, err := r.run(r.owner(p.String()), core.Item{Control: &core.Control{Kind: core.ControlOpen, Partition: &p}}); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// owner is the group that a key belongs to.
func (r *Rig) owner(key string) *group { return r.groupOf(state.ShardOf(key, shards)) }

func (r *Rig) groupOf(s state.Shard) *group {
	if s >= shards { // a group's own
		return r.groups[s-shards]
	}
	return r.groups[int(s)%len(r.groups)]
}

func partition(topic string) core.Partition { return core.Partition{Topic: topic, TopicID: topicID} }

// Now is the log time of the next entry.
func (r *Rig) Now() state.Time { return r.now }

// Envelope is what travels beside an event. Zero fields are filled in: a new
// id, the clock's time.
type Envelope struct {
	ID   string
	Time state.Time
}

// Effects are what came of an event or a step of the clock.
type Effects struct {
	Duplicate bool
	Records   []*operators.Record // dead letters among them; see [DeadLetterOf]
	Replies   []core.Reply
}

// DeadLetterOf is the dead letter that a record tells of, or nil.
func DeadLetterOf(r *operators.Record) *operators.DeadLetter {
	if r.Topic != core.DeadLetterTopic {
		return nil
	}
	return r.Payload.Value.(*operators.DeadLetter)
}

// Tell applies one outside event and all that follows from it now.
func (r *Rig) Tell(eventType string, e state.Visitable, env Envelope) (*Effects, error) {
	input := r.plan.Input(eventType)
	if input == nil {
		return nil, fmt.Errorf("plan %s: no input takes %q", r.plan.Name, eventType)
	}
	if env.ID == "" {
		r.ids++
		env.ID = fmt.Sprintf("e-%d", r.ids)
	}
	if env.Time == 0 {
		env.Time = r.now
	}
	ev := operators.Event{Source: "story", ID: env.ID, Type: eventType, Time: env.Time, Payload: state.Nested{Value: e}}
	item, at := core.Item{Command: &core.Command{Event: ev, Answer: true}}, r.owner(input.Key(e))
	if input.Topic != "" {
		ev.Offset = r.next[input.Topic]
		r.next[input.Topic]++
		item = core.Item{Range: &core.Range{Partition: partition(input.Topic), From: ev.Offset, To: ev.Offset + 1,
			Events: []operators.Event{ev}}}
		at = r.owner(item.Range.Partition.String())
	}
	before := r.duplicates()
	effects, err := r.run(at, item)
	if err != nil {
		return nil, err
	}
	effects.Duplicate = r.duplicates() > before
	return effects, nil
}

// Step moves the clock and fires what is due, each timer at its time.
func (r *Rig) Step(d state.Time) (*Effects, error) {
	all, until := &Effects{}, r.now+d
	for {
		due, at := r.nextTimer()
		if due == 0 || due > until {
			break
		}
		r.now = max(r.now, due)
		some, err := r.run(at)
		if err != nil {
			return nil, err
		}
		all.Records = append(all.Records, some.Records...)
		all.Replies = append(all.Replies, some.Replies...)
	}
	r.now = until
	return all, nil
}

// Query asks a stage about a key.
func (r *Rig) Query(stage, query, key string, q state.Visitable) (state.Visitable, error) {
	return r.owner(key).core.Query(stage, query, key, q)
}

// Rows visits the rows of one key of a stage, table by table, in key order.
func (r *Rig) Rows(stage, key string, fn func(t *state.Table, row string, value state.Visitable)) error {
	s := r.plan.Stage(stage)
	if s == nil {
		return fmt.Errorf("plan %s: no stage %q", r.plan.Name, stage)
	}
	cell := r.owner(key).store.Cell(state.CellID{Shard: state.ShardOf(key, shards), Stage: s.ID, Key: key})
	for _, t := range s.Decl.Tables {
		cell.Scan(t, "", "", func(row string, v state.Visitable) bool {
			fn(t, row, v)
			return true
		})
	}
	return nil
}

func (r *Rig) duplicates() (n int64) {
	for _, g := range r.groups {
		g.core.Counters(func(_ string, _, duplicates, _ int64) { n += duplicates })
	}
	return n
}

// nextTimer is the earliest timer and its group, the first of several.
func (r *Rig) nextTimer() (due state.Time, at *group) {
	for _, g := range r.groups {
		if t := g.core.NextTimer(); t != 0 && (due == 0 || t < due) {
			due, at = t, g
		}
	}
	return due, at
}

// run applies an entry and then ticks as long as a timer is due.
func (r *Rig) run(at *group, items ...core.Item) (*Effects, error) {
	effects := &Effects{}
	for range maxTicks {
		if err := r.settle(effects, at, items); err != nil {
			return nil, err
		}
		due, next := r.nextTimer()
		if due == 0 || due > r.now {
			return effects, nil
		}
		at, items = next, nil
	}
	return nil, fmt.Errorf("timers still fire after %d ticks at %s", maxTicks, r.now)
}

// settle applies an entry in one group and what follows from it in others.
func (r *Rig) settle(effects *Effects, at *group, items []core.Item) error {
	type entry struct {
		at    *group
		items []core.Item
	}
	for queue := []entry{{at, items}}; len(queue) > 0; queue = queue[1:] {
		out, err := r.apply(queue[0].at, queue[0].items...)
		if err != nil {
			return err
		}
		effects.Records = append(effects.Records, out.Records...)
		effects.Replies = append(effects.Replies, out.Replies...)
		for _, ack := range out.LaneAcks {
			queue = append(queue, entry{r.groupOf(state.Shard(ack.From)), []core.Item{{LaneAck: &ack}}})
		}
		for _, l := range out.Lanes {
			queue = append(queue, entry{r.groupOf(l.To), []core.Item{{Lane: &core.Lane{Incarnation: 1, From: uint64(l.From),
				To: uint64(l.To), First: l.Number, Messages: []core.Message{*l.Message}}}}})
		}
	}
	return nil
}

// apply applies one entry, through the bytes that a log would hold.
func (r *Rig) apply(g *group, items ...core.Item) (*core.Output, error) {
	g.index++
	level := g.core.Level()
	b, err := r.codec.Append(nil, uint8(level), &core.Entry{Level: level, Time: r.now, Items: items})
	if err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", g.index, err)
	}
	var entry core.Entry
	if err := r.codec.Decode(b, &entry); err != nil {
		return nil, fmt.Errorf("decode entry %d: %w", g.index, err)
	}
	out := g.core.Apply(g.index, &entry)
	if out.Halt != nil {
		return nil, fmt.Errorf("halted at entry %d, message %d: %s", out.Halt.Index, out.Halt.Message, out.Halt.Code)
	}
	if len(out.Wants) > 0 {
		return nil, fmt.Errorf("entry %d: the range did not fit: %v", g.index, out.Wants)
	}
	return out, nil
}
