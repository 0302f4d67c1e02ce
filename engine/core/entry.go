package core

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Entry is one record of a group's Raft log: a batch of items, applied in
// order. Only the proposer makes entries.
type Entry struct {
	Level uint64     `v:"level"` // its rows are written in its format; at most that in force
	Time  state.Time `v:"time"`  // log time; under the replay clock 0, items carry their own
	Items []Item     `v:"items"`
}

// Item is one thing in an entry; exactly one field is set.
type Item struct {
	Range   *Range   `v:"range"`
	Lane    *Lane    `v:"lane"`
	Command *Command `v:"command"`
	Ack     *Ack     `v:"ack"`
	LaneAck *LaneAck `v:"lane_ack"`
	Inputs  *Inputs  `v:"inputs"`
	Control *Control `v:"control"`
	Import  *Import  `v:"import"`
	Sweep   *Sweep   `v:"sweep"`
}

// Partition names a Kafka partition. The topic id makes a re-created topic
// another partition.
type Partition struct {
	Topic     string `v:"topic"`    // alias in the topology
	TopicID   string `v:"topic_id"` // Kafka's UUID, 32 hex digits
	Partition int64  `v:"partition"`
}

// Range is a stretch [From, To) of a partition with the events inside it.
// Offsets without an event (control records, compaction holes, marks) lie
// inside it.
type Range struct {
	Partition Partition         `v:"partition"`
	From      int64             `v:"from"`
	To        int64             `v:"to"`
	Time      state.Time        `v:"time"` // replay clock: log time of this stretch
	Events    []operators.Event `v:"events"`
}

// Command is an event submitted by the API instead of a Kafka partition,
// idempotent by (source, id).
type Command struct {
	Event  operators.Event `v:"event"`
	Answer bool            `v:"answer"` // the caller waits for a decision
}

// Lane is a batch of messages from a shard of another group.
type Lane struct {
	Incarnation uint64    `v:"incarnation"`
	From        uint64    `v:"from"`  // shard
	To          uint64    `v:"to"`    // shard
	First       uint64    `v:"first"` // number of the first message
	Messages    []Message `v:"messages"`
	// Reached is the log time that the group of From has reached under the replay
	// clock of several groups: that of To must have reached it too before it takes
	// the messages, or timers that they set there would be due at once. 0 where
	// groups have clocks of their own.
	Reached state.Time `v:"reached"`
}

// Message kinds.
const (
	KindEvent     = 0 // from an operator to an operator
	KindPrimary   = 1 // an outside event at its primary key
	KindBroadcast = 2 // a row of a broadcast table, for a group's shard
	KindWatermark = 3 // a stream's watermark in another group
	KindPlaced    = 4 // word of a group that a shard has moved there
)

// Message is one event addressed to one key.
type Message struct {
	Kind    uint64          `v:"kind"`
	Port    uint64          `v:"port"`  // input port, or table of a broadcast row
	Key     string          `v:"key"`   // target key, or row key of a broadcast row
	Time    state.Time      `v:"time"`  // event time
	Depth   uint64          `v:"depth"` // causes behind it, requests and answers not counted
	Cause   operators.Cause `v:"cause"`
	TopicID string          `v:"topic_id"` // primary messages: of the cause's topic
	Request string          `v:"request"`  // id of the API command that waits for an answer
	Deleted bool            `v:"deleted"`  // broadcast: the row is withdrawn; watermark: it is at most this
	Payload state.Nested    `v:"payload"`
}

// Ack says that a shard's outbox has been delivered to Kafka.
type Ack struct {
	Shard    uint64 `v:"shard"`
	Through  uint64 `v:"through"`  // highest delivered outbox number
	Progress int64  `v:"progress"` // offset in the progress partition to read on from
}

// LaneAck says that another group has applied a lane's messages.
type LaneAck struct {
	From    uint64 `v:"from"`
	To      uint64 `v:"to"`
	Through uint64 `v:"through"`
}

// Inputs is the sources' heartbeat: what silent partitions look like.
type Inputs struct {
	Status []InputStatus `v:"status"`
}

// InputStatus says whether a partition is idle: read to its end for a while.
type InputStatus struct {
	Partition Partition `v:"partition"`
	Idle      bool      `v:"idle"`
}

// Control kinds.
const (
	ControlOpen    = "open"    // start reading a partition at From
	ControlGap     = "gap"     // accept that [From, To) of a partition is lost
	ControlRedrive = "redrive" // try a dead letter again
	ControlSkip    = "skip"    // step over the message that halts the group
	ControlMove    = "move"    // begin to move a shard to another group
	ControlThaw    = "thaw"    // go on with a shard whose move was called off
	ControlPlaced  = "placed"  // believe the new group of a frozen shard that it has it
	ControlRaise   = "raise"   // put a higher feature level in force
)

// Control is an operator's (a person's) or the node's own command to the core.
type Control struct {
	ID         string           `v:"id"` // for the reply
	Kind       string           `v:"kind"`
	Partition  *Partition       `v:"partition"`
	From       int64            `v:"from"`
	To         int64            `v:"to"`
	Reason     string           `v:"reason"`
	DeadLetter string           `v:"dead_letter"`
	Event      *operators.Event `v:"event"`   // redrive: the event, read again
	Index      uint64           `v:"index"`   // skip: the entry
	Message    uint64           `v:"message"` // skip: the message in it, from 0
	Shard      uint64           `v:"shard"`   // move and thaw
	Group      uint64           `v:"group"`   // move: where to
	Move       uint64           `v:"move"`    // thaw and placed: which move, see [Move]
	Members    *Members         `v:"members"` // members: the new list
	Level      uint64           `v:"level"`   // raise: the level from the next entry on
}
