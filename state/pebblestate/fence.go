package pebblestate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errFenced = errors.New("nothing is written after a failure")

// fence is a file system that changes nothing any more once it is shut. Pebble
// tries failed work again and again; when it was the MANIFEST that could not be
// written, nobody knows what the disk holds, and another try might make it
// worse.
type fence struct {
	vfs.FS
	s *Store
}

func (f fence) err() error {
	if f.s.abandoned.Load() {
		select {} // nobody waits for Pebble any more
	}
	if f.s.shut.Load() {
		return errFenced
	}
	return nil
}

// Create implements [vfs.FS], as do the methods below.
func (f fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, category)
	base := f.PathBase(name)
	if err != nil || !strings.HasPrefix(base, manifestPrefix) {
		return file, err
	}
	marks, own := f.s.marks, false
	if dir := f.PathDir(name); dir != f.s.o.Dir { // a checkpoint
		marks, own = &manifestMarks{fs: f.FS, dir: dir}, true
	}
	if file, err = newManifestFile(file, base, marks, own); err != nil {
		return nil, err
	}
	return fencedFile{file, f}, nil
}

func (f fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.FS.ReuseForWrite(oldname, newname, category)
}

func (f fence) Link(oldname, newname string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

func (f fence) Remove(name string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f fence) Rename(oldname, newname string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

// OpenDir opens a directory to be synced.
func (f fence) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return fencedDir{dir, f.s}, nil
}

// fencedDir is a directory. Pebble panics when it can't sync one, on goroutines
// of its own too, which would end the process with all its groups. It is told
// nothing: the store has failed, and whoever is told of something durable asks
// for that first.
type fencedDir struct {
	vfs.File
	s *Store
}

// Sync implements [vfs.File].
func (d fencedDir) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.s.fail(fmt.Errorf("sync directory: %w", err))
	}
	return nil
}

// fencedFile is a MANIFEST, which stays open for long.
type fencedFile struct {
	vfs.File
	fence fence
}

// Write implements [vfs.File], as do the methods below.
func (f fencedFile) Write(b []byte) (int, error) {
	if err := f.fence.err(); err != nil {
		return 0, err
	}
	n, err := f.File.Write(b)
	return n, f.written(err)
}

func (f fencedFile) Sync() error {
	if err := f.fence.err(); err != nil {
		return err
	}
	return f.written(f.File.Sync())
}

func (f fencedFile) SyncData() error {
	if err := f.fence.err(); err != nil {
		return err
	}
	return f.written(f.File.SyncData())
}

// written fails the store for a cause that Pebble would tell as mere text.
func (f fencedFile) written(err error) error {
	if err != nil {
		f.fence.s.fail(fmt.Errorf("write manifest: %w", err))
	}
	return err
}
