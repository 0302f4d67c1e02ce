package operators

import "anabranch.dev/state"

// Operator is one kind of processing. Declare is called once per stage, before
// anything else; it stores the typed ports and tables it gets in the operator's
// own fields and keeps no other state: everything that changes is rows.
type Operator interface {
	Declare(d *Declaration)
}

// Cause says which outside event led to a call: its position in Kafka, or the
// id of an API event.
type Cause struct {
	Topic     string     `v:"topic"` // empty for API events and timers
	Partition int64      `v:"partition"`
	Offset    int64      `v:"offset"`
	Index     int64      `v:"index"` // position inside the record, for records with several events
	Source    string     `v:"source"`
	ID        string     `v:"id"`
	Time      state.Time `v:"time"`  // event time of the causing event
	Trace     string     `v:"trace"` // traceparent, carried through
}

// Reader is read access to one key's rows and to broadcast tables. Operators
// use it through [Table] and [Broadcast].
type Reader interface {
	// Key is the key that the call is for.
	Key() string
	// LogTime is the only clock: the leader's stamp on the entry, never going
	// back.
	LogTime() state.Time
	// Row, ScanRows and CountRows read this key's rows; see [Table].
	Row(t *state.Table, row string) state.Visitable
	ScanRows(t *state.Table, prefix, from string, fn func(row string, value state.Visitable) bool)
	CountRows(t *state.Table) int
	// BroadcastRow and ScanBroadcast read a broadcast table; see [Broadcast].
	BroadcastRow(t *state.Table, row string) state.Visitable
	ScanBroadcast(t *state.Table, prefix, from string, fn func(row string, value state.Visitable) bool)
}

// Scratch is memory that the calls of a stage use again, one after the other. It
// holds whatever the last call has left: a call must read nothing from it that
// it has not written itself, and nothing of it may go into a row or an event.
func Scratch[T any](c Context) *T {
	slot := c.Scratch()
	if s, ok := (*slot).(*T); ok {
		return s
	}
	s := new(T)
	*slot = s
	return s
}

// Context is one call of a handler.
type Context interface {
	Reader
	// EventTime is when the event at hand happened; a derived event inherits
	// it from its cause.
	EventTime() state.Time
	// Watermark is the stage's event clock: no event older than it is
	// expected any more. It moves on, and back only where a shard comes to a
	// group with partitions that are behind.
	Watermark() state.Time
	// Cause is the outside event that led here.
	Cause() Cause
	// Level is the feature level in whose format rows are written now. What came
	// with a later one must be left at zero: other replicas may not know it.
	Level() uint8
	// Request is the id of the API command that led here directly and waits
	// for an answer, or "".
	Request() string

	// SetRow and DeleteRow write this key's rows; see [Table].
	SetRow(t *state.Table, row string, value state.Visitable)
	DeleteRow(t *state.Table, row string)
	// Emit sends an event to whatever the port is connected to; see [Out].
	Emit(out *OutPort, key string, e state.Visitable) (decisionID string)
	// Publish writes (or with nil deletes) a row of a broadcast table; see
	// [Publication].
	Publish(p *PublicationPort, row string, value state.Visitable)
	// SetTimer and ClearTimer; see [Timer].
	SetTimer(t *TimerPort, id string, due state.Time)
	ClearTimer(t *TimerPort, id string)
	// Scratch is memory that this stage's calls use one after the other; see
	// [Scratch].
	Scratch() *any
	// Answer gives the API command with this request id its answer: the
	// decision id it asked for. Answers are kept for 24 h.
	Answer(request, decisionID string)
}
