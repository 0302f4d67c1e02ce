//go:build faults

package raftlog

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"

	"anabranch.dev/internal/faultdisk"
)

// newFS and newMeta are the disk as faultdisk has it.
func newFS() types.VFS { return faultFS{} }

func newMeta() types.MetaStore { return &faultMeta{} }

// faultFS does on a disk with faults what raft-wal's does, but for making room
// beforehand.
type faultFS struct{}

// ListDir implements types.VFS, as do the methods below.
func (faultFS) ListDir(dir string) ([]string, error) { return fs.New().ListDir(dir) }

func (faultFS) Create(dir, name string, _ uint64) (types.WritableFile, error) {
	f, err := faultdisk.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, dir: dir}, nil
}

func (faultFS) Delete(dir, name string) error {
	return errors.Join(faultdisk.Remove(filepath.Join(dir, name)), faultdisk.SyncDir(dir))
}

func (faultFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	return openFile(dir, name, os.O_RDONLY)
}

func (faultFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	return openFile(dir, name, os.O_RDWR)
}

func openFile(dir, name string, flag int) (*faultdisk.File, error) {
	return faultdisk.OpenFile(filepath.Join(dir, name), flag, 0)
}

// newFile syncs its directory with its first sync.
type newFile struct {
	*faultdisk.File
	dir  string
	once sync.Once
}

// Sync implements types.WritableFile.
func (f *newFile) Sync() error {
	err := f.File.Sync()
	if err == nil {
		f.once.Do(func() { err = faultdisk.SyncDir(f.dir) })
	}
	return err
}

// faultMeta has bbolt write to the file past faultdisk, and tells it afterwards.
type faultMeta struct {
	metadb.BoltMetaDB
	path string
}

// Load implements types.MetaStore, as do the methods below.
func (m *faultMeta) Load(dir string) (types.PersistentState, error) {
	m.path = filepath.Join(dir, metadb.FileName)
	st, err := m.BoltMetaDB.Load(dir)
	if err == nil {
		err = faultdisk.Adopt(m.path)
	}
	return st, err
}

func (m *faultMeta) CommitState(st types.PersistentState) error {
	return m.commit(func() error { return m.BoltMetaDB.CommitState(st) })
}

func (m *faultMeta) SetStable(key, value []byte) error {
	return m.commit(func() error { return m.BoltMetaDB.SetStable(key, value) })
}

func (m *faultMeta) commit(do func() error) error {
	return faultdisk.Commit(m.path, int64(os.Getpagesize()), do)
}
