package allocation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// network runs a plan with every key on its own: each message between two keys
// waits in a lane of theirs, and a seeded choice says which lane moves next. It
// makes every interleaving that groups could, and many more. Calls are atomic,
// lanes keep their order, timers fire before the next message.
type network struct {
	plan    *topology.Plan
	store   *memstate.Store
	rng     *rand.Rand
	now     state.Time
	shared  map[*state.Table]map[string]state.Visitable
	lanes   []*lane
	timers  []timer
	numbers map[string]uint64
	index   uint64

	scratches map[string]*any

	records []*operators.Record
	dead    []string
	calls   int
	blocked string // stage/key that gets nothing for now
}

type lane struct {
	from, to string
	queue    []message
}

type message struct {
	in      *operators.InPort
	key     string
	payload state.Visitable
	time    state.Time
	depth   int
}

type timer struct {
	port    *operators.TimerPort
	key, id string
	due     state.Time
}

const start = state.Time(1_780_308_000_000_000)

func newNetwork(plan *topology.Plan, seed uint64) *network {
	return &network{plan: plan, store: memstate.New(plan.Tables(), codec.New()), rng: rand.New(rand.NewPCG(seed, 1)),
		now: start, shared: map[*state.Table]map[string]state.Visitable{}, numbers: map[string]uint64{},
		scratches: map[string]*any{}}
}

// scratch is what the calls of a stage use again.
func (n *network) scratch(stage string) *any {
	if n.scratches[stage] == nil {
		n.scratches[stage] = new(any)
	}
	return n.scratches[stage]
}

// tell submits an outside event.
func (n *network) tell(eventType string, e state.Visitable) {
	in := n.plan.Input(eventType)
	n.send("outside", in.Port, message{key: in.Key(e), payload: e, time: n.now})
}

func (n *network) send(from string, in *operators.InPort, m message) {
	m.in = in
	to := in.Stage + "/" + m.key
	for _, l := range n.lanes {
		if l.from == from && l.to == to {
			l.queue = append(l.queue, m)
			return
		}
	}
	n.lanes = append(n.lanes, &lane{from: from, to: to, queue: []message{m}})
}

// step lets one lane deliver; it says whether there was any.
func (n *network) step() bool {
	n.fire()
	n.lanes = slices.DeleteFunc(n.lanes, func(l *lane) bool { return len(l.queue) == 0 })
	var open []*lane
	for _, l := range n.lanes {
		if l.to != n.blocked {
			open = append(open, l)
		}
	}
	if len(open) == 0 {
		return false
	}
	l := open[n.rng.IntN(len(open))]
	m := l.queue[0]
	l.queue = l.queue[1:]
	n.deliver(m)
	return true
}

// settle delivers everything there is.
func (n *network) settle() {
	for n.step() {
	}
}

func (n *network) fire() {
	for pass := 0; ; pass++ {
		var due []timer
		n.timers = slices.DeleteFunc(n.timers, func(t timer) bool {
			if t.due <= n.now {
				due = append(due, t)
				return true
			}
			return false
		})
		if len(due) == 0 || pass > 100 {
			return
		}
		slices.SortFunc(due, func(a, b timer) int {
			if a.due != b.due {
				return int(a.due - b.due)
			}
			return strings.Compare(a.key+a.id, b.key+b.id)
		})
		for _, t := range due {
			n.call(t.port.Stage, message{key: t.key, time: n.now}, nil, func(c operators.Context) error { return t.port.Fire(c, t.id) })
		}
	}
}

func (n *network) deliver(m message) {
	n.call(m.in.Stage, m, m.in, func(c operators.Context) error { return m.in.Handle(c, m.payload) })
}

// call runs a handler; a failed one is undone and its request refused.
func (n *network) call(stage string, m message, in *operators.InPort, fn func(c operators.Context) error) {
	n.calls++
	c := &context{n: n, stage: n.plan.Stage(stage), m: m}
	c.cell = n.store.Cell(state.CellID{Stage: c.stage.ID, Key: m.key})
	savepoint := n.store.Savepoint()
	timers, shared := slices.Clone(n.timers), len(n.records)
	err := fn(c)
	if err == nil {
		for _, e := range c.effects {
			e()
		}
	} else {
		n.store.Rollback(savepoint)
		n.timers, n.records = timers, n.records[:shared]
		if err != operators.ErrDuplicate {
			n.dead = append(n.dead, operators.CodeOf(err)+" "+m.key)
		}
		if in != nil && in.Refuse != nil {
			out, key, answer := in.Refuse(m.payload, "fault:"+operators.CodeOf(err))
			for _, target := range n.plan.Targets(out) {
				n.send(stage+"/"+m.key, target, message{key: key, payload: answer, time: m.time, depth: m.depth})
			}
		}
	}
	n.index++
	n.store.Commit(n.index)
}

// context is one call.
type context struct {
	n       *network
	stage   *topology.Stage
	m       message
	cell    state.Cell
	effects []func()
}

func (c *context) Key() string                                    { return c.m.key }
func (c *context) LogTime() state.Time                            { return c.n.now }
func (c *context) EventTime() state.Time                          { return c.m.time }
func (c *context) Level() uint8                                   { return 1 }
func (c *context) Watermark() state.Time                          { return c.n.now }
func (c *context) Cause() operators.Cause                         { return operators.Cause{} }
func (c *context) Request() string                                { return "" }
func (c *context) Row(t *state.Table, row string) state.Visitable { return c.cell.Get(t, row) }
func (c *context) CountRows(t *state.Table) int                   { return c.cell.Count(t) }
func (c *context) DeleteRow(t *state.Table, row string)           { c.cell.Delete(t, row) }
func (c *context) Answer(string, string)                          {}
func (c *context) Scratch() *any                                  { return c.n.scratch(c.stage.Name) }

func (c *context) ScanRows(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	c.cell.Scan(t, prefix, from, fn)
}

func (c *context) SetRow(t *state.Table, row string, value state.Visitable) {
	c.cell.Set(t, row, value, 0)
	if t.MaxRows > 0 && c.cell.Count(t) > t.MaxRows {
		panic(fmt.Sprintf("table %s: more than %d rows", t, t.MaxRows))
	}
}

func (c *context) BroadcastRow(t *state.Table, row string) state.Visitable {
	if v, ok := c.n.shared[t][row]; ok {
		return v
	}
	return nil
}

func (c *context) ScanBroadcast(t *state.Table, prefix, from string, fn func(string, state.Visitable) bool) {
	var rows []string
	for row := range c.n.shared[t] {
		if strings.HasPrefix(row, prefix) && row >= from {
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	for _, row := range rows {
		if !fn(row, c.n.shared[t][row]) {
			return
		}
	}
}

func (c *context) Publish(p *operators.PublicationPort, row string, value state.Visitable) {
	c.effects = append(c.effects, func() {
		if c.n.shared[p.Table] == nil {
			c.n.shared[p.Table] = map[string]state.Visitable{}
		}
		c.n.shared[p.Table][row] = value
	})
}

func (c *context) Emit(out *operators.OutPort, key string, e state.Visitable) string {
	depth := c.m.depth + 1
	for _, in := range c.n.plan.Targets(out) {
		if in.Refuse != nil || strings.Contains(out.Name, "answered") {
			depth = c.m.depth
		}
	}
	if depth > 32 {
		panic("too deep")
	}
	from := c.stage.Name + "/" + c.m.key
	c.effects = append(c.effects, func() {
		for _, in := range c.n.plan.Targets(out) {
			c.n.send(from, in, message{key: key, payload: e, time: c.m.time, depth: depth})
		}
	})
	sink := c.n.plan.SinkOf(out)
	if sink == nil || sink.Conflated {
		return ""
	}
	c.n.numbers[sink.Topic+key]++
	r := &operators.Record{Topic: sink.Topic, Type: out.Name, Key: key, Number: c.n.numbers[sink.Topic+key],
		Payload: state.Nested{Value: e}}
	r.ID = fmt.Sprintf("d-%s-%s-%d", sink.Topic, key, r.Number)
	c.n.records = append(c.n.records, r)
	return r.ID
}

func (c *context) SetTimer(t *operators.TimerPort, id string, due state.Time) {
	c.ClearTimer(t, id)
	c.n.timers = append(c.n.timers, timer{port: t, key: c.m.key, id: id, due: due})
}

func (c *context) ClearTimer(t *operators.TimerPort, id string) {
	c.n.timers = slices.DeleteFunc(c.n.timers, func(x timer) bool { return x.port == t && x.key == c.m.key && x.id == id })
}

// sizeOf is the stored size of a row.
func sizeOf(v state.Visitable) int { return codec.New().Size(1, v) }
