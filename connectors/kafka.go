package connectors

import (
	"context"
	"errors"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// PartitionID names a partition of an input topic by its Kafka name and id.
type PartitionID struct {
	Topic     string // Kafka's topic name
	TopicID   string // Kafka's UUID, 32 hex digits
	Partition int32
}

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// RawRecord is one Kafka record. Control records have no value and only move
// the position.
type RawRecord struct {
	Offset  int64
	Key     []byte
	Value   []byte // nil: a tombstone
	Headers []Header
	Control bool
	// Time is the record's Kafka timestamp: when a tombstone, which has no
	// envelope, happened.
	Time state.Time
}

// Fetch is what one poll returned for one partition.
type Fetch struct {
	Partition PartitionID
	Records   []RawRecord
	// From is where this fetch began: the offset of the last Assign, or the
	// Position of the fetch before. It tells a fetch that was on its way when
	// the partition was assigned anew from one that follows.
	From int64
	// Position is where the next fetch begins and Stable the last stable
	// offset known: Position ≥ Stable means read to the end.
	Position int64
	Stable   int64
	// Err is ErrOutOfRange when the asked offset is gone (Start is then the
	// first that is left), or ErrTopicChanged when the topic was re-created.
	Err   error
	Start int64
}

// TopicInfo describes an existing topic.
type TopicInfo struct {
	Name       string
	TopicID    string
	Partitions int32
	Starts     []int64 // first offset of each partition
}

// Errors of fetchers and sinks.
var (
	// ErrOutOfRange: the offset was never there or is gone by retention.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrTopicChanged: the topic id under this name is another one now.
	ErrTopicChanged = errors.New("topic was re-created")
	// ErrFenced: a newer leader has taken the transactional id over.
	ErrFenced = errors.New("fenced by a newer leader")
	// ErrMaybe: it is not known whether the transaction committed. Read the
	// progress back before sending again.
	ErrMaybe = errors.New("outcome unknown")
	// ErrPermanent: sending again can't help (a record too large for the
	// topic, a topic that denies access). Delivery stops visibly.
	ErrPermanent = errors.New("not retryable")
)

// Fetcher reads records, read_committed, with control records kept, and never
// resets an offset by itself. It is safe for use by one goroutine, Close and
// Describe by any.
type Fetcher interface {
	// Describe looks topics up; a missing one is left out.
	Describe(ctx context.Context, topics []string) ([]TopicInfo, error)
	// Assign starts (or restarts) a partition at an offset.
	Assign(p PartitionID, offset int64)
	// Remove stops a partition.
	Remove(p PartitionID)
	// Pause and Resume stop and go on fetching a partition without losing its
	// position.
	Pause(p PartitionID)
	Resume(p PartitionID)
	// Poll waits for records of any partition, or for a partition to reach
	// its end, until ctx ends. A partition at its end is reported again at
	// least every second, with no records.
	Poll(ctx context.Context) ([]Fetch, error)
	// ReadOne reads a single record again, for re-drive.
	ReadOne(ctx context.Context, p PartitionID, offset int64) (RawRecord, error)
	// CommitOffsets tells a Kafka consumer group how far we are, for lag
	// dashboards only.
	CommitOffsets(ctx context.Context, next map[PartitionID]int64) error
	Close()
}

// OutRecord is an encoded record for an output topic.
type OutRecord struct {
	Topic   string // Kafka's topic name
	Key     []byte
	Value   []byte // nil: a tombstone
	Headers []Header
}

// Progress says how far each origin shard's outbox has been written.
type Progress struct {
	Through map[uint16]uint64 // shard → highest outbox number
	Offset  int64             // offset in the progress partition to read on from
}

// Sink writes records to Kafka, one call at a time.
type Sink interface {
	// Open fences every earlier leader (all slots are initialised, which also
	// aborts what they left open), then reads the progress from an offset on.
	Open(ctx context.Context, from int64) (Progress, error)
	// Send writes records and the progress they bring in one transaction on a
	// slot and returns when it is committed. In at-least-once delivery there
	// is no transaction and slot is ignored. Errors wrap ErrFenced, ErrMaybe
	// or ErrPermanent; any other one may be retried after Open.
	Send(ctx context.Context, slot int, records []OutRecord, through map[uint16]uint64) (progressOffset int64, err error)
	// Slots is the number of transactional ids to rotate over.
	Slots() int
	Close()
}

// Decoder turns a record's bytes into events. It is a pure function of the
// record: the same bytes give the same events on any node. A record that can't
// be decoded gives one event with Reject set. It never keeps raw identifiers.
type Decoder interface {
	// Decode calls emit for each event of the record, in order. topic is the
	// alias. mark is set for a replay mark: nothing before its time follows.
	Decode(topic string, r *RawRecord, emit func(e operators.Event)) (mark operators.Mark)
}

// Encoder turns outgoing records into bytes for Kafka.
type Encoder interface {
	Encode(r *operators.Record) (OutRecord, error)
}
