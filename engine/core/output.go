package core

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Output is what applying one entry asks of the outside. Every replica computes
// the same; only the leader acts on it.
type Output struct {
	Index   uint64
	Time    state.Time // log time after the entry
	Level   uint64     // feature level in force after the entry
	Wants   []Want
	Replies []Reply
	Records []*operators.Record // new in the outbox, in order of emission
	Lanes   []LaneOut           // new for other groups, in order of emission
	// LaneAcks go back to the groups whose lane messages this entry held.
	LaneAcks []LaneAck
	Trimmed  []Ack // outboxes that an acknowledgement trimmed
	Moved    []ShardChange
	Halt     *Halt // set when this entry halted the group
	Members  bool  // the list of the cluster's nodes has changed
}

// Want tells a source where to go on when its range did not fit.
type Want struct {
	Partition Partition
	Next      int64
}

// Outcomes of a command.
const (
	OutcomeApplied    = "applied"
	OutcomeDuplicate  = "duplicate"
	OutcomeDeadLetter = "dead_letter"
	OutcomeAnswer     = "answer" // Answer holds the decision id
	OutcomeRefused    = "refused"
)

// Codes of what is refused because a shard is not served here: the same again,
// where it belongs, may be applied.
const (
	CodeOtherGroup  = "other_group"
	CodeShardMoving = "shard_moving"
)

// Reply is the answer to a command: first its outcome, later, if it asked for
// one, its answer. A duplicate of an answered command gets the stored answer.
type Reply struct {
	Source, ID string
	Outcome    string
	Code       string // reason of a dead letter or refusal
	DeadLetter string
	Answer     string
}

// LaneOut is one numbered message for a shard of another group.
type LaneOut struct {
	From, To state.Shard
	Number   uint64
	Message  *Message
}

// Halt says where a broken invariant stopped the group. It receives entries but
// applies none until a skip names exactly this message.
type Halt struct {
	Index   uint64 `v:"index"`
	Message uint64 `v:"message"`
	Code    string `v:"code"`
}
