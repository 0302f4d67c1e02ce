package pebblestate

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// damage marks an error that means that the store's files can't be trusted any
// more.
func damage(err error) error {
	var digest *DigestError
	switch {
	case err == nil, errors.Is(err, state.ErrDamaged):
		return err
	case errors.Is(err, codec.ErrCorrupt), pebble.IsCorruptionError(err), errors.Is(err, syscall.EIO), errors.As(err, &digest):
		return fmt.Errorf("%w: %w", state.ErrDamaged, err)
	}
	return err
}

// isDisk says that an error comes from the disk or the operating system, and not
// from what is in the files.
func isDisk(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no) && !isNotExist(err)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// checkOpenManifest checks the MANIFEST of an open store, at a moment when Pebble
// may be writing it: then what its mark says changes, and it is looked at again.
func (s *Store) checkOpenManifest() error {
	for {
		before := s.marks.newest()
		path := s.o.FS.PathJoin(s.o.Dir, manifestName(before.number))
		err := s.marks.check(path)
		if err == nil || s.marks.newest() == before {
			return err
		}
	}
}

func (m *manifestMarks) newest() manifestMark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks[0]
}
