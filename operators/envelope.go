package operators

import "anabranch.dev/state"

// Event is one fact as a connector hands it to the core: its envelope and
// either its payload or the reason why it could not be decoded.
type Event struct {
	Offset  int64        `v:"offset"` // position of its Kafka record
	Index   int64        `v:"index"`  // position inside the record
	Source  string       `v:"source"`
	ID      string       `v:"id"` // unique per source
	Type    string       `v:"type"`
	Time    state.Time   `v:"time"` // event time
	Trace   string       `v:"trace"`
	Payload state.Nested `v:"payload"`
	Reject  *Reject      `v:"reject"`
}

// Reject says why an event can't be applied, without anything that could
// identify a person.
type Reject struct {
	Code   string  `v:"code"`
	Hash   []byte  `v:"hash"`   // SHA-256 of the record's value
	Fields []Field `v:"fields"` // what is safe to show, in order
}

// Field is one named value of a dead letter.
type Field struct {
	Name  string `v:"name"`
	Value string `v:"value"`
}

// Record is one event on its way out to Kafka, and the row that keeps it in the
// outbox until it is acknowledged.
type Record struct {
	Shard    uint64       `v:"shard"`    // origin shard
	Outbox   uint64       `v:"outbox"`   // number in the shard's outbox, from 1
	Position uint64       `v:"position"` // order of emission in the group, increasing
	Topic    string       `v:"topic"`    // alias
	Type     string       `v:"type"`
	Port     uint64       `v:"port"` // id of the output port; 0 for dead letters
	Key      string       `v:"key"`
	ID       string       `v:"id"`     // decision id
	Number   uint64       `v:"number"` // per key, from 1, gapless
	Time     state.Time   `v:"time"`   // log time
	Cause    Cause        `v:"cause"`
	Bytes    uint64       `v:"bytes"` // of the payload as stored, at most, for limits of the outbox
	Payload  state.Nested `v:"payload"`
}

// DeadLetter is a message that could not be applied: the row that keeps it, and
// the payload of the record on the dead-letter topic.
type DeadLetter struct {
	ID       string       `v:"id"`
	Code     string       `v:"code"`  // stable reason
	Stage    string       `v:"stage"` // where it failed; "source" before the first stage
	Type     string       `v:"type"`  // type of the message that failed
	Key      string       `v:"key"`   // what it was addressed to
	Cause    Cause        `v:"cause"` // origin
	TopicID  string       `v:"topic_id"`
	Hash     []byte       `v:"hash"`
	Fields   []Field      `v:"fields"`
	LogTime  state.Time   `v:"log_time"`
	External bool         `v:"external"` // redrive reads the input topic again
	Port     uint64       `v:"port"`     // input port of a derived message
	Payload  state.Nested `v:"payload"`  // the pseudonymised message, if not External
}

// Mark is a statement in an input partition that nothing before Time follows in
// it. The zero Mark is none.
type Mark struct{ Time state.Time }
