package operators

import "anabranch.dev/state"

// ptr is *T where it lists its fields.
type ptr[T any] interface {
	*T
	state.Visitable
}

// Stream is the wire name and type of what flows through a port.
type Stream struct {
	Stage string // owning stage
	Name  string // the event's type name, such as "order.placed"
	ID    uint32 // stored id, state.IDOf(stage + ">" or "<" + name)
	New   func() state.Visitable
}

// InPort is where a stage takes events of one type.
type InPort struct {
	Stream
	Handle func(c Context, e state.Visitable) error
	// Refuse is set for requests: it names the answer to give when the
	// request itself could not be processed, so that no asker waits for ever.
	Refuse func(req state.Visitable, code string) (out *OutPort, key string, answer state.Visitable)
}

// OutPort is where a stage emits events of one type.
type OutPort struct{ Stream }

// TimerPort is one kind of timer of a stage.
type TimerPort struct {
	Stage, Name string
	ID          uint32
	Clock       Clock
	Fire        func(c Context, id string) error
}

// PublicationPort is where a stage publishes rows of a broadcast table.
type PublicationPort struct {
	Stage, Name string
	Table       *state.Table
}

// ReadPort is a stage's wish to read a broadcast table; topology binds it.
type ReadPort struct {
	Stage, Name string
	Table       *state.Table // set by topology
	New         func() state.Visitable
}

// QueryPort is a read-only question that a stage answers for one key.
type QueryPort struct {
	Stage, Name string
	NewQuestion func() state.Visitable
	NewAnswer   func() state.Visitable
	Ask         func(r Reader, q state.Visitable) (state.Visitable, error)
}

// Clock is what a timer's due time is measured by.
type Clock uint8

const (
	// LogClock is for promises to the outside: it fires when log time has
	// reached the due time.
	LogClock Clock = iota
	// EventClock is for what is derived from streams: it fires when the
	// stage's watermark has reached the due time.
	EventClock
)

// In is a typed input port.
type In[E any] struct{ *InPort }

// Out is a typed output port.
type Out[E any] struct{ *OutPort }

// Emit sends e to everything the port is connected to, addressed to key. For a
// port that leads to Kafka, key is the record's key and the result its decision
// id; otherwise the result is "".
func (o Out[E]) Emit(c Context, key string, e *E) string {
	return c.Emit(o.OutPort, key, any(e).(state.Visitable))
}

// Timer is a typed handle on one kind of timer. Each (kind, id) exists at most
// once per key.
type Timer struct{ *TimerPort }

// Set asks for a call when the timer's clock reaches due, replacing an earlier
// wish with the same id. A due time that has passed fires before the next
// message.
func (t Timer) Set(c Context, id string, due state.Time) { c.SetTimer(t.TimerPort, id, due) }

// Clear withdraws the timer; clearing what is not set does nothing.
func (t Timer) Clear(c Context, id string) { c.ClearTimer(t.TimerPort, id) }

// Table is a typed handle on one table of the stage. Values are copies; slices
// inside them are shared and must not be written to.
type Table[R any] struct{ Spec *state.Table }

// Get returns a row and whether it is there.
func (t Table[R]) Get(r Reader, row string) (R, bool) {
	if v := r.Row(t.Spec, row); v != nil {
		return *any(v).(*R), true
	}
	var zero R
	return zero, false
}

// Set stores a row.
func (t Table[R]) Set(c Context, row string, value R) {
	c.SetRow(t.Spec, row, any(&value).(state.Visitable))
}

// Put stores a row that is handed over: nobody may change it afterwards.
func (t Table[R]) Put(c Context, row string, value *R) {
	c.SetRow(t.Spec, row, any(value).(state.Visitable))
}

// Delete removes a row.
func (t Table[R]) Delete(c Context, row string) { c.DeleteRow(t.Spec, row) }

// Count is the number of rows under this key.
func (t Table[R]) Count(r Reader) int { return r.CountRows(t.Spec) }

// Scan visits rows whose key starts with prefix, in key order, until fn returns
// false. fn must not write to the table.
func (t Table[R]) Scan(r Reader, prefix string, fn func(row string, value *R) bool) {
	t.ScanFrom(r, prefix, "", fn)
}

// ScanFrom is Scan beginning at row key from.
func (t Table[R]) ScanFrom(r Reader, prefix, from string, fn func(row string, value *R) bool) {
	r.ScanRows(t.Spec, prefix, from, func(row string, v state.Visitable) bool {
		return fn(row, any(v).(*R))
	})
}

// Sized is a row that knows without being encoded the most bytes that it can
// take when it is stored.
type Sized interface{ MostBytes() int }

// Publication is a typed handle on a broadcast table that the stage publishes.
type Publication[R any] struct{ *PublicationPort }

// Publish sets a row for every reader in every group.
func (p Publication[R]) Publish(c Context, row string, value R) {
	c.Publish(p.PublicationPort, row, any(&value).(state.Visitable))
}

// Withdraw deletes a row for every reader in every group.
func (p Publication[R]) Withdraw(c Context, row string) { c.Publish(p.PublicationPort, row, nil) }

// Broadcast is a typed handle on a broadcast table that the stage reads.
type Broadcast[R any] struct{ *ReadPort }

// Get returns a row, which must not be changed, or nil.
func (b Broadcast[R]) Get(r Reader, row string) *R {
	if v := r.BroadcastRow(b.Table, row); v != nil {
		return any(v).(*R)
	}
	return nil
}

// Scan visits rows whose key starts with prefix, in key order.
func (b Broadcast[R]) Scan(r Reader, prefix string, fn func(row string, value *R) bool) {
	r.ScanBroadcast(b.Table, prefix, "", func(row string, v state.Visitable) bool {
		return fn(row, any(v).(*R))
	})
}

// Query is a typed handle on a query.
type Query[Q, A any] struct{ *QueryPort }
