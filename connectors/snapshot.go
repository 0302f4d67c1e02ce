package connectors

import (
	"context"
	"time"

	"anabranch.dev/state"
)

// Snapshots is how a snapshot of a whole cluster is taken and fetched, from any
// node.
type Snapshots interface {
	// TakeSnapshot takes one consistent cut of all groups, beside their work.
	// Their files are written afterwards; Parts has none yet. What nobody reads
	// for five minutes is deleted.
	TakeSnapshot(ctx context.Context) (Snapshot, error)
	// DescribeSnapshot waits until all files are there, and lists them.
	DescribeSnapshot(ctx context.Context, id string) (Snapshot, error)
	// ReadSnapshot reads of a file from an offset on. No bytes: it ends there.
	ReadSnapshot(ctx context.Context, id string, group int, file string, offset int64) ([]byte, error)
	// DropSnapshot deletes the files on all nodes.
	DropSnapshot(ctx context.Context, id string) error
}

// Snapshot is a cut of all groups whose files lie on the nodes that led them.
type Snapshot struct {
	ID           string
	Cluster      string
	Incarnation  uint64
	Topology     string
	FeatureLevel int
	Version      string
	Shards       int
	Groups       int
	Clock        string
	Lateness     time.Duration
	Fingerprint  string // of the pseudonym key
	Parts        []SnapshotPart
}

// SnapshotPart is one group's state as of one entry.
type SnapshotPart struct {
	Group       int
	Node        string // that has the files
	Index, Term uint64
	LogTime     state.Time
	Files       []SnapshotFile
}

// SnapshotFile is one file of a part.
type SnapshotFile struct {
	Name string
	Size int64
}
