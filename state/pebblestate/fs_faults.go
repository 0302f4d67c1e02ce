//go:build faults

package pebblestate

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/internal/faultdisk"
)

// defaultFS is the disk as faultdisk has it.
func defaultFS() vfs.FS { return faultFS{vfs.Default} }

// faultFS does on a disk with faults what Pebble's does.
type faultFS struct{ vfs.FS }

// Create implements [vfs.FS], as do the methods below.
func (faultFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := faultdisk.Create(name)
	return fileOf(f, err)
}

func (faultFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fileOf(faultdisk.Open(name))
	if err == nil {
		for _, o := range opts {
			o.Apply(f)
		}
	}
	return f, err
}

func (faultFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return fileOf(faultdisk.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666))
}

func (faultFS) OpenDir(name string) (vfs.File, error) {
	f, err := vfs.Default.OpenDir(name)
	return faultDir{f, name}, err
}

func (f faultFS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := faultdisk.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return fileOf(faultdisk.OpenFile(newname, os.O_RDWR, 0o666))
}

func (faultFS) Link(oldname, newname string) error   { return faultdisk.Link(oldname, newname) }
func (faultFS) Remove(name string) error             { return faultdisk.Remove(name) }
func (faultFS) RemoveAll(name string) error          { return faultdisk.RemoveAll(name) }
func (faultFS) Rename(oldname, newname string) error { return faultdisk.Rename(oldname, newname) }

func (faultFS) MkdirAll(dir string, perm os.FileMode) error { return faultdisk.MkdirAll(dir, perm) }

// faultDir is a directory that is opened to be synced.
type faultDir struct {
	vfs.File
	path string
}

// Sync implements [vfs.File].
func (d faultDir) Sync() error { return faultdisk.SyncDir(d.path) }

// faultFile is a file on a disk with faults.
type faultFile struct{ *faultdisk.File }

func fileOf(f *faultdisk.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return faultFile{f}, nil
}

// Preallocate implements [vfs.File], as do the methods below.
func (faultFile) Preallocate(_, _ int64) error { return nil }
func (faultFile) Prefetch(_, _ int64) error    { return nil }
func (faultFile) SyncTo(int64) (bool, error)   { return false, nil }
func (faultFile) Fd() uintptr                  { return vfs.InvalidFd }
func (f faultFile) SyncData() error            { return f.Sync() }
func (f faultFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	return faultInfo{info}, err
}

type faultInfo struct{ os.FileInfo }

// DeviceID implements [vfs.FileInfo].
func (faultInfo) DeviceID() (id vfs.DeviceID) { return id }
