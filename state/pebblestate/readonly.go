package pebblestate

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// readOnlyFS refuses to change anything. Whoever uses it knows that no process
// has the directory open: the lock is not taken.
type readOnlyFS struct{ vfs.FS }

var _ vfs.FS = readOnlyFS{}

// Unwrap implements [vfs.FS], as do the methods below.
func (f readOnlyFS) Unwrap() vfs.FS { return f.FS }

func (readOnlyFS) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, errReadOnly }

func (readOnlyFS) Link(string, string) error { return errReadOnly }

func (readOnlyFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errReadOnly
}

func (readOnlyFS) Remove(string) error { return errReadOnly }

func (readOnlyFS) RemoveAll(string) error { return errReadOnly }

func (readOnlyFS) Rename(string, string) error { return errReadOnly }

func (readOnlyFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errReadOnly
}

func (readOnlyFS) MkdirAll(string, os.FileMode) error { return errReadOnly }

func (readOnlyFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }
