package topology

import (
	"fmt"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Builder collects stages and connections until Build checks them.
type Builder struct {
	plan       *Plan
	faults     []string
	topics     map[string]*Topic
	broadcasts map[*operators.ReadPort]*operators.PublicationPort
}

// New starts a topology.
func New(name string) *Builder {
	return &Builder{
		plan: &Plan{
			Name: name, inputs: map[string]*Input{}, ins: map[uint32]*operators.InPort{},
			outs: map[uint32]*operators.OutPort{}, timers: map[uint32]*operators.TimerPort{},
			tables: map[state.TableID]*state.Table{}, links: map[*operators.OutPort][]*operators.InPort{},
			sinks: map[*operators.OutPort]*SinkLink{}, queries: map[string]*operators.QueryPort{},
			stages: map[string]*Stage{},
		},
		topics:     map[string]*Topic{},
		broadcasts: map[*operators.ReadPort]*operators.PublicationPort{},
	}
}

func (b *Builder) faultf(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// Add places an operator as a stage and declares its ports; the operator's own
// fields hold them afterwards. It returns the operator.
func Add[O operators.Operator](b *Builder, name string, op O) O {
	if b.plan.stages[name] != nil {
		b.faultf("stage %q: added twice", name)
		return op
	}
	s := &Stage{Name: name, ID: state.StageID(state.IDOf(name)), Operator: op, Decl: &operators.Declaration{Stage: name}}
	op.Declare(s.Decl)
	b.plan.Stages = append(b.plan.Stages, s)
	b.plan.stages[name] = s
	return op
}

// InputTopic describes an input topic. Topics used by [Source] without it are
// plain ones.
func InputTopic(b *Builder, alias string, first bool) {
	b.topic(alias, true).First = first
}

func (b *Builder) topic(alias string, input bool) *Topic {
	t := b.topics[alias]
	if t == nil {
		t = &Topic{Alias: alias, Input: input}
		b.topics[alias] = t
	}
	if t.Input != input {
		b.faultf("topic %q: is both an input and an output", alias)
	}
	return t
}

// SourceOption changes how a [Source] is treated.
type SourceOption func(*Input)

// Idempotent inputs are not checked by (source, id); see [Input].
func Idempotent() SourceOption { return func(i *Input) { i.Idempotent = true } }

// Source takes events of the port's type from an input topic to the port, under
// the primary key that key gives.
func Source[E any](b *Builder, topic string, in operators.In[E], key func(e *E) string, opts ...SourceOption) {
	if in.InPort == nil {
		b.faultf("topic %q: source of an undeclared port", topic)
		return
	}
	b.topic(topic, true)
	input := &Input{Topic: topic, Type: in.Name, Port: in.InPort,
		Key: func(e state.Visitable) string { return key(any(e).(*E)) }}
	for _, o := range opts {
		o(input)
	}
	if b.plan.inputs[in.Name] != nil {
		b.faultf("event type %q: has two sources", in.Name)
		return
	}
	b.plan.inputs[in.Name] = input
	b.plan.Inputs = append(b.plan.Inputs, input)
}

// Command lets the API submit events of the port's type; they come on no topic.
func Command[E any](b *Builder, in operators.In[E], key func(e *E) string) {
	if in.InPort == nil {
		b.faultf("command to an undeclared port")
		return
	}
	if b.plan.inputs[in.Name] != nil {
		b.faultf("event type %q: has two sources", in.Name)
		return
	}
	input := &Input{Type: in.Name, Port: in.InPort,
		Key: func(e state.Visitable) string { return key(any(e).(*E)) }}
	b.plan.inputs[in.Name] = input
	b.plan.Inputs = append(b.plan.Inputs, input)
}

// Connect leads an output port to an input port of the same event type.
func Connect[E any](b *Builder, out operators.Out[E], in operators.In[E]) {
	if out.OutPort == nil || in.InPort == nil {
		b.faultf("connection with an undeclared port")
		return
	}
	b.plan.links[out.OutPort] = append(b.plan.links[out.OutPort], in.InPort)
}

// SinkOption changes how a [Sink] is treated.
type SinkOption func(*SinkLink)

// Conflated makes a sink publish only the latest event per key; see [SinkLink].
func Conflated() SinkOption { return func(s *SinkLink) { s.Conflated = true } }

// Indexed lets decisions of a sink be found by id; see [SinkLink].
func Indexed() SinkOption { return func(s *SinkLink) { s.Indexed = true } }

// Sink leads an output port to an output topic.
func Sink[E any](b *Builder, out operators.Out[E], topic string, opts ...SinkOption) {
	if out.OutPort == nil {
		b.faultf("topic %q: sink of an undeclared port", topic)
		return
	}
	s := &SinkLink{Topic: topic, Port: out.OutPort}
	for _, o := range opts {
		o(s)
	}
	if b.plan.sinks[out.OutPort] != nil {
		b.faultf("port %s>%s: has two sinks", out.Stage, out.Name)
		return
	}
	t := b.topic(topic, false)
	t.Compacted = t.Compacted || s.Conflated
	b.plan.sinks[out.OutPort] = s
	b.plan.Sinks = append(b.plan.Sinks, s)
}

// Broadcast lets a stage read what another publishes.
func Broadcast[R any](b *Builder, p operators.Publication[R], r operators.Broadcast[R]) {
	if p.PublicationPort == nil || r.ReadPort == nil {
		b.faultf("broadcast with an undeclared port")
		return
	}
	if b.broadcasts[r.ReadPort] != nil {
		b.faultf("broadcast %s/%s: bound twice", r.Stage, r.Name)
	}
	b.broadcasts[r.ReadPort] = p.PublicationPort
	r.Table = p.Table
}
