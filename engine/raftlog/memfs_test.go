package raftlog

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/raft-wal/types"
)

// memFS is a disk in memory that can be cloned as a crash would leave it.
type memFS struct {
	mu    sync.Mutex
	files map[string]*memFile
}

type memFile struct {
	fs           *memFS
	data, synced []byte
	durable      bool // its directory entry is synced
}

func newMemFS() *memFS { return &memFS{files: map[string]*memFile{}} }

func (m *memFS) ListDir(string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files)), nil
}

func (m *memFS) Create(_, name string, _ uint64) (types.WritableFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, os.ErrExist
	}
	f := &memFile{fs: m}
	m.files[name] = f
	return f, nil
}

func (m *memFS) Delete(_, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memFS) open(name string) (*memFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
}

func (m *memFS) OpenReader(_, name string) (types.ReadableFile, error) { return m.open(name) }
func (m *memFS) OpenWriter(_, name string) (types.WritableFile, error) { return m.open(name) }

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if grow := off + int64(len(b)) - int64(len(f.data)); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	return copy(f.data[off:], b), nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.synced, f.durable = slices.Clone(f.data), true
	return nil
}

func (f *memFile) Close() error { return nil }

// crash is a way to lose what was not synced.
type crash string

const (
	killed    crash = "process killed"       // the system keeps everything
	powerLost crash = "power lost"           // only what was synced is left
	torn      crash = "power lost, torn"     // and some sectors of the rest
	sector          = 64                     // small, so that small records are torn too
	someBoot        = "boot-1"               //
	otherBoot       = "boot-2 after a crash" //
)

func (m *memFS) clone(how crash, rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemFS()
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[name]
		if how != killed && !f.durable {
			continue
		}
		data := slices.Clone(f.data)
		for at := 0; how != killed && at < len(data); at += sector {
			if how == torn && rnd.IntN(2) == 0 {
				continue
			}
			end := min(at+sector, len(data))
			clear(data[at:end])
			if at < len(f.synced) {
				copy(data[at:end], f.synced[at:])
			}
		}
		c.files[name] = &memFile{fs: c, data: data, synced: slices.Clone(data), durable: true}
	}
	return c
}

// memMeta is a meta store whose every commit is durable, as bbolt's is.
type memMeta struct {
	mu     sync.Mutex
	state  types.PersistentState
	stable map[string][]byte
}

func newMemMeta() *memMeta { return &memMeta{stable: map[string][]byte{}} }

func (m *memMeta) Load(string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state
	st.Segments = slices.Clone(st.Segments)
	return st, nil
}

func (m *memMeta) CommitState(st types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	st.Segments = slices.Clone(st.Segments)
	m.state = st
	return nil
}

func (m *memMeta) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stable[string(key)], nil
}

func (m *memMeta) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stable[string(key)] = slices.Clone(value)
	return nil
}

func (m *memMeta) Close() error { return nil }

func (m *memMeta) clone() *memMeta {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memMeta{state: m.state, stable: maps.Clone(m.stable)}
}
