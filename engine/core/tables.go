package core

import (
	"encoding/binary"
	"fmt"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Stages under which the core keeps its own rows. "!" can't start the name of
// an operator's stage.
const (
	stagePosition = "!position" // key: partition
	stageGroup    = "!group"    // key: "", in the group shard
	stageOutbox   = "!outbox"   // key: ""
	stageLane     = "!lane"     // key: target shard
	stageLaneIn   = "!lane-in"  // key: origin shard
	stageTimer    = "!timer"    // key: "", or the stage of event timers
	stageDead     = "!dead"     // key: ""
	stageConflate = "!conflate" // key: ""
	stageDecision = "!decision" // key: hour of log time
	stagePublish  = "!publish"  // key: ""
)

var (
	idPosition = state.StageID(state.IDOf(stagePosition))
	idGroup    = state.StageID(state.IDOf(stageGroup))
	idOutbox   = state.StageID(state.IDOf(stageOutbox))
	idLane     = state.StageID(state.IDOf(stageLane))
	idLaneIn   = state.StageID(state.IDOf(stageLaneIn))
	idTimer    = state.StageID(state.IDOf(stageTimer))
	idDead     = state.StageID(state.IDOf(stageDead))
	idConflate = state.StageID(state.IDOf(stageConflate))
	idDecision = state.StageID(state.IDOf(stageDecision))
	idPublish  = state.StageID(state.IDOf(stagePublish))
)

// broadcastKey is the key, in the group shard, of a stage's broadcast rows.
const broadcastKey = "!broadcast"

func table[R any, P interface {
	*R
	state.Visitable
}](stage, name string) *state.Table {
	return state.NewTable(stage, name, func() state.Visitable { return P(new(R)) })
}

// Tables of the core. Those of stage "!cell" stand in the cells of operators.
var (
	tabPosition = table[positionRow](stagePosition, "position")
	tabCounter  = table[counterRow](stageGroup, "counter") // row: partition
	tabGroup    = table[groupRow](stageGroup, "group")
	tabMembers  = table[Members](stageGroup, "members")        // in the first group
	tabMark     = table[watermarkRow](stageGroup, "watermark") // row: group, topic, depth
	tabOutbox   = outboxTable(table[operators.Record](stageOutbox, "outbox"))
	tabOutHead  = table[outboxHead](stageOutbox, "head")
	tabLane     = outboxTable(table[laneRow](stageLane, "lane"))
	tabLaneHead = table[laneHead](stageLane, "head")
	tabLaneIn   = table[laneInRow](stageLaneIn, "head")
	tabDue      = table[dueRow](stageTimer, "due")
	tabDead     = outboxTable(table[operators.DeadLetter](stageDead, "letter"))
	tabDeadHead = table[deadHead](stageDead, "head")
	tabConflate = table[conflateRow](stageConflate, "latest")
	tabPublish  = table[numberRow](stagePublish, "last")
	tabHeard    = table[numberRow](stageGroup, "heard") // row: shard
	tabDecision = lasting(table[decisionRow](stageDecision, "decision"), topology.IndexLifetime)

	tabSeen   = lasting(table[seenRow]("!cell", "seen"), seenLifetime)
	tabNumber = lasting(table[numberRow]("!cell", "number"), numberLifetime)
	tabTimer  = table[timerRow]("!cell", "timer")

	tabRegister = table[registerRow]("!cell", "register")
)

func outboxTable(t *state.Table) *state.Table {
	t.MaxBytes = state.MaxOutboxBytes
	return t
}

func lasting(t *state.Table, d state.Time) *state.Table {
	t.Lifetime = d
	return t
}

// Tables lists every table a store of this plan holds: the plan's and the
// core's own.
func Tables(plan *topology.Plan) []*state.Table {
	return slices.Concat(plan.Tables(), []*state.Table{
		tabPosition, tabCounter, tabGroup, tabMark, tabMarkOut, tabMarkTold, tabOutbox, tabOutHead, tabLane, tabLaneHead, tabLaneIn,
		tabPlace, tabMove, tabPublish, tabHeard, tabDue, tabDead, tabDeadHead, tabConflate, tabDecision, tabSeen, tabNumber,
		tabTimer, tabRegister, tabMembers, tabLevel,
	})
}

// GroupShard is a group's reserved shard, which never moves: broadcast tables,
// watermarks, log time, the feature level, where shards are and, in the first group, the list of
// members are its rows.
func GroupShard(shards, group int) state.Shard { return state.Shard(shards + group) }

// positionRow is how far a partition has been applied.
type positionRow struct {
	Partition Partition  `v:"partition"`
	Next      int64      `v:"next"`
	Events    int64      `v:"events"`
	High      state.Time `v:"high"` // highest event time seen, up to log time
	Idle      bool       `v:"idle"`
	Gap       string     `v:"gap"` // the last gap, with its reason
}

// counterRow counts outcomes of one origin partition's events in this group.
type counterRow struct {
	Applied     int64 `v:"applied"`
	Duplicates  int64 `v:"duplicates"`
	DeadLetters int64 `v:"dead_letters"`
}

// groupRow is the group's own state.
type groupRow struct {
	LogTime  state.Time `v:"log_time"`
	Position uint64     `v:"position"` // of the last outgoing record
	Progress int64      `v:"progress"` // offset in the progress partition to read on from
	Conflate state.Time `v:"conflate"` // when conflated records are due, 0 if there are none
}

// watermarkRow is a stream's watermark at one depth, as this group knows it of
// a group.
type watermarkRow struct {
	Time state.Time `v:"time"`
}

type outboxHead struct {
	Next  uint64 `v:"next"` // number of the next record, from 1
	Acked uint64 `v:"acked"`
}

type laneRow struct {
	Index   uint64  `v:"index"` // entry that put it on the lane
	Message Message `v:"message"`
}

type laneHead struct {
	Next  uint64 `v:"next"`
	Acked uint64 `v:"acked"`
}

type laneInRow struct {
	Incarnation uint64 `v:"incarnation"`
	Last        uint64 `v:"last"`
}

// dueRow is a timer in the shard's index, or a cell whose register is to be
// looked at; its key says which and when. The cause is that of the call that set
// the timer: what it does has that cause too.
type dueRow struct {
	Cause   *operators.Cause `v:"cause"`
	TopicID string           `v:"topic_id"`
}

// timerRow is a timer in its own cell, so that it can be found by its id.
type timerRow struct {
	Due state.Time `v:"due"`
}

type deadHead struct {
	Next  uint64 `v:"next"`
	Count int64  `v:"count"`
}

type conflateRow struct {
	Stage  uint64           `v:"stage"` // where it was emitted
	Key    string           `v:"key"`
	Record operators.Record `v:"record"`
}

type decisionRow struct {
	Stage string `v:"stage"`
	Key   string `v:"key"`
}

type seenRow struct {
	Answer string `v:"answer"` // decision id, for a command that asked for one
}

type numberRow struct {
	Last uint64 `v:"last"`
}

// String names the partition in rows and messages.
func (p *Partition) String() string {
	return fmt.Sprintf("%s/%s/%d", p.Topic, p.TopicID, p.Partition)
}

// number8 is a number as a row key that sorts by value.
func number8(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}
