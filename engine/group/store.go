package group

import (
	"context"

	"anabranch.dev/state"
)

// Store is one group's state as it lives on this node: what the core applies
// to, with a disk behind. state/pebblestate is the one that production opens.
type Store interface {
	state.Store
	// Run writes behind until ctx ends, then brings everything committed so
	// far to disk and returns.
	Run(ctx context.Context) error
	// Written is the index up to which rows were handed to the disk, and
	// Durable up to which a crash can't lose them. Both are safe for any
	// goroutine.
	Written() uint64
	Durable() uint64
	// View returns the whole store as it was after the last entry committed
	// before the call. It is safe for any goroutine.
	View(ctx context.Context) (state.Reader, error)
	// BeginCheckpoint asks for a copy of the state in dir, which must not
	// exist, at exactly the index committed last. The caller holds applies
	// back; wait, which must be called, returns beside later applies once the
	// copy is on disk.
	BeginCheckpoint(dir string) (wait func(ctx context.Context) (index uint64, err error), err error)
	// Scrub reads everything on the disk, at most so many bytes a second (0 for
	// as fast as it goes), and compares it with its checksums and digests. What
	// is wrong wraps [state.ErrDamaged]. It needs Run.
	Scrub(ctx context.Context, bytesPerSecond int64) error
	// Failed is closed when the disk has failed; Err then says why.
	Failed() <-chan struct{}
	Err() error
	// Close releases the files, after Run has returned.
	Close() error
}
