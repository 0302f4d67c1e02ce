package topology

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Plan is a checked topology. It must not be changed.
type Plan struct {
	Name    string
	Stages  []*Stage // in the order they were added
	Inputs  []*Input
	Sinks   []*SinkLink
	Topics  []Topic // every input and output topic alias, sorted
	inputs  map[string]*Input
	ins     map[uint32]*operators.InPort
	outs    map[uint32]*operators.OutPort
	timers  map[uint32]*operators.TimerPort
	tables  map[state.TableID]*state.Table
	links   map[*operators.OutPort][]*operators.InPort
	sinks   map[*operators.OutPort]*SinkLink
	queries map[string]*operators.QueryPort
	stages  map[string]*Stage
}

// Stage is a place where an operator runs.
type Stage struct {
	Name     string
	ID       state.StageID
	Operator operators.Operator
	Decl     *operators.Declaration
	// Topics are the aliases of the input topics the stage transitively
	// consumes, and Depth its longest path from one: they give its event clock.
	// The way from a partition to an event's primary key counts too, as the two
	// may be of different groups.
	Topics []string
	Depth  int
}

// Input takes one event type from outside to the stage that owns its primary
// key.
type Input struct {
	Topic string // alias, such as "sales"
	Type  string // event type name
	Port  *operators.InPort
	// Key gives an event's primary key: the key at which (source, id) is
	// checked and the outcome counted.
	Key func(e state.Visitable) string
	// Idempotent inputs are not checked by (source, id): their operator
	// recognises repetition by content.
	Idempotent bool
	// Facts describe the world as it is, however long ago they were written:
	// they are never too old. Events of First topics are.
	Facts bool
}

// SinkLink takes what a port emits to an output topic.
type SinkLink struct {
	Topic string // alias, such as "allocations"
	Port  *operators.OutPort
	// Conflated ports publish only the latest event per record key, at most
	// every ConflateEvery of log time; their topic is compacted.
	Conflated bool
	// Indexed ports keep decision id → key for IndexLifetime, so that a
	// decision can be found by its id.
	Indexed bool
}

// ConflateEvery is how often, in log time, a conflated record may be published.
const ConflateEvery = 100 * state.Millisecond

// IndexLifetime is how long a decision can be found by its id.
const IndexLifetime = 7 * state.Day

// DeadLetterTopic is the alias of the topic that every plan has: what could not
// be applied, and why.
const DeadLetterTopic = "dead-letters"

// Topic is one topic alias of the plan.
type Topic struct {
	Alias     string
	Input     bool
	Compacted bool
	// First topics are read to their end before other inputs start: they
	// carry what others refer to.
	First bool
}

// Input finds the input for an event type, or nil.
func (p *Plan) Input(eventType string) *Input { return p.inputs[eventType] }

// In finds an input port by its stored id, or nil.
func (p *Plan) In(id uint32) *operators.InPort { return p.ins[id] }

// Out finds an output port by its stored id, or nil.
func (p *Plan) Out(id uint32) *operators.OutPort { return p.outs[id] }

// Timer finds a kind of timer by its stored id, or nil.
func (p *Plan) Timer(id uint32) *operators.TimerPort { return p.timers[id] }

// Table finds a table by its stored id, or nil.
func (p *Plan) Table(id state.TableID) *state.Table { return p.tables[id] }

// Tables lists every table of every stage, broadcast tables included.
func (p *Plan) Tables() []*state.Table {
	var all []*state.Table
	for _, s := range p.Stages {
		all = append(all, s.Decl.Tables...)
		for _, pub := range s.Decl.Publications {
			all = append(all, pub.Table)
		}
	}
	return all
}

// Targets are the input ports an output port is connected to.
func (p *Plan) Targets(out *operators.OutPort) []*operators.InPort { return p.links[out] }

// SinkOf is where an output port leads to outside, or nil.
func (p *Plan) SinkOf(out *operators.OutPort) *SinkLink { return p.sinks[out] }

// Stage finds a stage by name, or nil.
func (p *Plan) Stage(name string) *Stage { return p.stages[name] }

// Query finds a stage's query, or nil.
func (p *Plan) Query(stage, name string) *operators.QueryPort { return p.queries[stage+"/"+name] }
