package raftlog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/zeebo/xxh3"

	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/internal/planted"
)

const (
	snapshotMeta  = "meta.json"
	snapshotState = "state"    // directory of the checkpoint inside a snapshot
	unfinished    = ".partial" // suffix of a snapshot that is being made
	// keepSnapshots is how many snapshots are kept: the newest one. Raft
	// lists it before it asks for another.
	keepSnapshots = 1
)

// Snapshots is a group's snapshot store. A snapshot is a directory
// <term>-<index> with its metadata and a checkpoint of the state: the files of
// the state itself, hard-linked. Nothing is copied to make one; one that is
// sent to another replica is streamed from those files.
type Snapshots struct {
	dir    string
	verify func(dir string) error // of what is received; see Verify

	mu     sync.Mutex // guards what follows
	metas  []*storedMeta
	inUse  map[string]int // readers per snapshot
	doomed map[string]bool
}

var _ raft.SnapshotStore = (*Snapshots)(nil)

// storedMeta is what meta.json holds.
type storedMeta struct {
	Meta  raft.SnapshotMeta
	Files []snapshotFile
	Sum   uint64 // XXH3-64 of the JSON with Sum 0
}

// snapshotFile is one file of a checkpoint. Small files, such as the list of
// tables, have a checksum; tables carry one per block.
type snapshotFile struct {
	Name string
	Size int64
	Sum  uint64 // 0: not summed
}

// OpenSnapshots opens the store in a directory, deletes what was left half
// made, and checks that every snapshot has its files.
func OpenSnapshots(dir string) (*Snapshots, error) {
	s := &Snapshots{dir: dir, inUse: map[string]int{}, doomed: map[string]bool{}}
	if err := faultdisk.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open snapshots %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), unfinished) {
			if err := faultdisk.RemoveAll(path); err != nil {
				return nil, fmt.Errorf("open snapshots: %w", err)
			}
			continue
		}
		m, err := readSnapshot(path)
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", path, err)
		}
		s.metas = append(s.metas, m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.pruneLocked()
}

// Verify has every snapshot that is received from another replica checked
// before it is taken: one that fails leaves everything as it was. fn is given
// a working copy of the state. It must be set before Raft runs.
func (s *Snapshots) Verify(fn func(dir string) error) { s.verify = fn }

// readSnapshot reads a snapshot's metadata and checks its files against it.
func readSnapshot(path string) (*storedMeta, error) {
	m, err := readDescription(path)
	if err != nil {
		return nil, err
	}
	files, err := listFiles(filepath.Join(path, snapshotState))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(files, m.Files) {
		return nil, fmt.Errorf("%w: files differ from %s", ErrCorrupt, snapshotMeta)
	}
	return m, nil
}

// readDescription reads a snapshot's metadata.
func readDescription(path string) (*storedMeta, error) {
	b, err := faultdisk.ReadFile(filepath.Join(path, snapshotMeta))
	if err != nil {
		return nil, err
	}
	var m storedMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	sum := m.Sum
	if m.Sum = 0; sum != m.sum() {
		return nil, fmt.Errorf("%w: checksum of %s does not match", ErrCorrupt, snapshotMeta)
	}
	m.Sum = sum
	return &m, nil
}

func (m *storedMeta) sum() uint64 {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("raftlog: snapshot metadata: %v", err)) // plain data: can't happen
	}
	return xxh3.Hash(b)
}

// listFiles describes the files of a checkpoint, sorted by name.
func listFiles(dir string) ([]snapshotFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []snapshotFile
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%s is not a file", filepath.Join(dir, e.Name()))
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		f := snapshotFile{Name: e.Name(), Size: info.Size()}
		if !strings.HasSuffix(e.Name(), ".sst") && !strings.HasSuffix(e.Name(), ".blob") {
			b, err := faultdisk.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			f.Sum = xxh3.Hash(b)
		}
		files = append(files, f)
	}
	return files, nil
}

// Newest is the index and term of the newest snapshot, 0 if there is none.
func (s *Snapshots) Newest() (index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.metas) == 0 {
		return 0, 0
	}
	return s.metas[0].Meta.Index, s.metas[0].Meta.Term
}

// Configuration is the group's as of the newest snapshot, and the index of its
// entry, 0 if there is no snapshot.
func (s *Snapshots) Configuration() (index uint64, c raft.Configuration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.metas) == 0 {
		return 0, raft.Configuration{}
	}
	return s.metas[0].Meta.ConfigurationIndex, s.metas[0].Meta.Configuration.Clone()
}

// List implements raft.SnapshotStore.
func (s *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*raft.SnapshotMeta
	for _, m := range s.metas {
		meta := m.Meta
		list = append(list, &meta)
	}
	return list, nil
}

// Open implements raft.SnapshotStore. The stream is read by [Unpack].
func (s *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.metas, func(m *storedMeta) bool { return m.Meta.ID == id })
	if i < 0 {
		return nil, nil, fmt.Errorf("snapshot %s: not found", id)
	}
	m := s.metas[i]
	s.inUse[id]++
	meta := m.Meta
	return &meta, newPacker(filepath.Join(s.dir, id, snapshotState), m.Files, func() error { return s.release(id) }), nil
}

func (s *Snapshots) release(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse[id]--; s.inUse[id] > 0 {
		return nil
	}
	delete(s.inUse, id)
	if !s.doomed[id] {
		return nil
	}
	delete(s.doomed, id)
	return s.remove(id)
}

// pruneLocked sorts the snapshots, newest first, and deletes those beyond what
// is kept, or lets their last reader do it.
func (s *Snapshots) pruneLocked() error {
	slices.SortFunc(s.metas, func(a, b *storedMeta) int {
		return cmp.Or(cmp.Compare(b.Meta.Term, a.Meta.Term), cmp.Compare(b.Meta.Index, a.Meta.Index))
	})
	var errs []error
	for len(s.metas) > keepSnapshots {
		last := len(s.metas) - 1
		id := s.metas[last].Meta.ID
		s.metas = s.metas[:last]
		if s.inUse[id] > 0 {
			s.doomed[id] = true
			continue
		}
		errs = append(errs, s.remove(id))
	}
	return errors.Join(errs...)
}

// remove deletes a snapshot so that a crash leaves all of it or a half-made one:
// its new name is on the disk before the first file goes.
func (s *Snapshots) remove(id string) error {
	path := filepath.Join(s.dir, id)
	if err := faultdisk.Rename(path, path+unfinished); err != nil {
		return err
	}
	if !planted.Is("disk: a removed snapshot may come back in part") {
		if err := SyncDir(s.dir); err != nil {
			return err
		}
	}
	return faultdisk.RemoveAll(path + unfinished)
}

// Extract makes dir, which must not exist, a working copy of the newest
// snapshot's state. Tables never change and are linked, the rest is copied.
func (s *Snapshots) Extract(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.metas) == 0 {
		return errors.New("extract snapshot: there is none")
	}
	m := s.metas[0]
	if err := copyState(filepath.Join(s.dir, m.Meta.ID, snapshotState), dir, m.Files); err != nil {
		return fmt.Errorf("extract snapshot %s: %w", m.Meta.ID, err)
	}
	return nil
}

// CopyState makes to, which must not exist, a working copy of a checkpoint, as
// [Snapshots.Extract] does.
func CopyState(from, to string) error {
	files, err := listFiles(from)
	if err != nil {
		return err
	}
	return copyState(from, to, files)
}

// copyState makes a working copy of a checkpoint's files.
func copyState(from, to string, files []snapshotFile) error {
	if err := faultdisk.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		take := copyFile
		if f.Sum == 0 {
			take = faultdisk.Link
		}
		if err := take(filepath.Join(from, f.Name), filepath.Join(to, f.Name)); err != nil {
			return err
		}
	}
	return SyncDir(to)
}

func copyFile(from, to string) error {
	b, err := faultdisk.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, b)
}

// writeFile writes and syncs a small file.
func writeFile(path string, b []byte) error {
	f, err := faultdisk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes a directory's entries durable.
func SyncDir(dir string) error { return faultdisk.SyncDir(dir) }
