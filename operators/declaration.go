package operators

import "anabranch.dev/state"

// Declaration collects what a stage has. The generic functions [On],
// [OnRequest], [Emits], [Keeps], [Publishes], [Reads], [OnTimer] and [Answers]
// add to it.
type Declaration struct {
	Stage        string
	Ins          []*InPort
	Outs         []*OutPort
	Tables       []*state.Table
	Timers       []*TimerPort
	Publications []*PublicationPort
	ReadPorts    []*ReadPort
	Queries      []*QueryPort
}

// On declares an input port and its handler.
func On[E any, P ptr[E]](d *Declaration, name string, fn func(c Context, e *E) error) In[E] {
	in := &InPort{
		Stream: Stream{Stage: d.Stage, Name: name, ID: state.IDOf(d.Stage + "<" + name),
			New: func() state.Visitable { return P(new(E)) }},
		Handle: func(c Context, e state.Visitable) error { return fn(c, any(e).(*E)) },
	}
	d.Ins = append(d.Ins, in)
	return In[E]{in}
}

// OnRequest is [On] for an event whose sender waits for an answer. refuse makes
// the answer that the core emits on out when fn failed: the key to send it to
// and the event. It must be a pure function of the request.
func OnRequest[E, A any, P ptr[E], PA ptr[A]](d *Declaration, name string, fn func(c Context, e *E) error,
	out Out[A], refuse func(req *E, code string) (key string, answer *A)) In[E] {
	in := On[E, P](d, name, fn)
	in.Refuse = func(req state.Visitable, code string) (*OutPort, string, state.Visitable) {
		key, answer := refuse(any(req).(*E), code)
		return out.OutPort, key, PA(answer)
	}
	return in
}

// Emits declares an output port. The name is the event's type name.
func Emits[E any, P ptr[E]](d *Declaration, name string) Out[E] {
	out := &OutPort{Stream{Stage: d.Stage, Name: name, ID: state.IDOf(d.Stage + ">" + name),
		New: func() state.Visitable { return P(new(E)) }}}
	d.Outs = append(d.Outs, out)
	return Out[E]{out}
}

// Bound limits a table; see [MaxRows] and [Lifetime].
type Bound func(t *state.Table)

// MaxRows bounds a table to n rows per key; a call that would exceed it fails
// with [CodeTooManyRows].
func MaxRows(n int) Bound { return func(t *state.Table) { t.MaxRows = n } }

// Lifetime lets rows expire after they were last set, in log time.
func Lifetime(d state.Time) Bound { return func(t *state.Table) { t.Lifetime = d } }

// Keeps declares a table. At least one bound must be given.
func Keeps[R any, P ptr[R]](d *Declaration, name string, bounds ...Bound) Table[R] {
	t := state.NewTable(d.Stage, name, func() state.Visitable { return P(new(R)) })
	for _, b := range bounds {
		b(t)
	}
	d.Tables = append(d.Tables, t)
	return Table[R]{t}
}

// Publishes declares a broadcast table that this stage writes and any stage may
// read. A row is kept once per group.
func Publishes[R any, P ptr[R]](d *Declaration, name string) Publication[R] {
	p := &PublicationPort{Stage: d.Stage, Name: name,
		Table: state.NewTable(d.Stage, "broadcast:"+name, func() state.Visitable { return P(new(R)) })}
	d.Publications = append(d.Publications, p)
	return Publication[R]{p}
}

// Reads declares that this stage reads a broadcast table of another.
func Reads[R any, P ptr[R]](d *Declaration, name string) Broadcast[R] {
	r := &ReadPort{Stage: d.Stage, Name: name, New: func() state.Visitable { return P(new(R)) }}
	d.ReadPorts = append(d.ReadPorts, r)
	return Broadcast[R]{r}
}

// OnTimer declares a kind of timer and its handler; id is what it was set with.
func OnTimer(d *Declaration, name string, clock Clock, fn func(c Context, id string) error) Timer {
	t := &TimerPort{Stage: d.Stage, Name: name, ID: state.IDOf(d.Stage + "@" + name), Clock: clock, Fire: fn}
	d.Timers = append(d.Timers, t)
	return Timer{t}
}

// Answers declares a read-only query. A nil answer means there is nothing under
// this key.
func Answers[Q, A any, PQ ptr[Q], PA ptr[A]](d *Declaration, name string, fn func(r Reader, q *Q) (*A, error)) Query[Q, A] {
	q := &QueryPort{Stage: d.Stage, Name: name,
		NewQuestion: func() state.Visitable { return PQ(new(Q)) },
		NewAnswer:   func() state.Visitable { return PA(new(A)) },
		Ask: func(r Reader, q state.Visitable) (state.Visitable, error) {
			a, err := fn(r, any(q).(*Q))
			if a == nil || err != nil {
				return nil, err
			}
			return PA(a), nil
		}}
	d.Queries = append(d.Queries, q)
	return Query[Q, A]{q}
}
