package linear

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft-wal/types"

	"anabranch.dev/engine/raftlog"
)

// disk is what a node's life writes to: log and state in memory, so that what a
// crash leaves of them can be had, and what is little and always synced in a
// folder.
type disk struct {
	dir  string
	fs   *vfs.MemFS
	meta *meta
	boot string
	slow *atomic.Int64 // ns that every write of the log takes
}

func newDisk(t testing.TB) *disk {
	return &disk{dir: filepath.Join(t.TempDir(), "node"), fs: vfs.NewCrashableMem(), meta: &meta{stable: map[string][]byte{}}, boot: "boot", slow: new(atomic.Int64)}
}

// after is the disk as the next life finds it: kept is how much of what was not
// synced is still there, in percent; all of it unless the machine lost power.
// The folder comes first and the log last, so that neither the log's mark nor
// the state is ahead of the log.
func (d *disk) after(t testing.TB, kept int, dice *rand.Rand) *disk {
	t.Helper()
	next := &disk{dir: filepath.Join(t.TempDir(), "node"), boot: d.boot, slow: d.slow}
	if kept < 100 {
		next.boot += "+"
	}
	if err := os.CopyFS(next.dir, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	next.fs = d.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: dice})
	next.meta = d.meta.clone()
	return next
}

// options puts a group's log onto the disk.
func (d *disk) options(o *raftlog.Options) {
	o.FS, o.Meta, o.Boot = logFiles{d.fs, d.slow}, d.meta, d.boot
	os.MkdirAll(o.Dir, 0o755) // an error is the log's to report
	d.fs.MkdirAll(logDir, 0o755)
}

const (
	logDir   = "log"
	stateDir = "state"
)

// logFiles are the log's files on a file system of Pebble's.
type logFiles struct {
	fs   *vfs.MemFS
	slow *atomic.Int64
}

// logFile is one of them that is written.
type logFile struct {
	vfs.File
	slow *atomic.Int64
}

// WriteAt implements io.WriterAt.
func (f logFile) WriteAt(b []byte, off int64) (int, error) {
	if slow := f.slow.Load(); slow > 0 {
		<-time.After(time.Duration(slow))
	}
	return f.File.WriteAt(b, off)
}

// ListDir implements types.VFS.
func (l logFiles) ListDir(string) ([]string, error) {
	names, err := l.fs.List(logDir)
	slices.Sort(names)
	return names, err
}

// Create implements types.VFS.
func (l logFiles) Create(_, name string, _ uint64) (types.WritableFile, error) {
	f, err := l.fs.Create(l.fs.PathJoin(logDir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := l.syncDirs(); err != nil {
		return nil, err
	}
	return l.OpenWriter("", name)
}

func (l logFiles) syncDirs() error {
	for _, dir := range []string{logDir, ""} {
		d, err := l.fs.OpenDir(dir)
		if err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements types.VFS.
func (l logFiles) Delete(_, name string) error {
	if err := l.fs.Remove(l.fs.PathJoin(logDir, name)); err != nil {
		return err
	}
	return l.syncDirs()
}

// OpenReader implements types.VFS.
func (l logFiles) OpenReader(_, name string) (types.ReadableFile, error) {
	return l.fs.Open(l.fs.PathJoin(logDir, name))
}

// OpenWriter implements types.VFS.
func (l logFiles) OpenWriter(_, name string) (types.WritableFile, error) {
	f, err := l.fs.OpenReadWrite(l.fs.PathJoin(logDir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return logFile{f, l.slow}, nil
}

// meta keeps the log's terms, votes and list of segments: each commit is
// durable, as bbolt's are.
type meta struct {
	mu     sync.Mutex // guards what follows
	state  types.PersistentState
	stable map[string][]byte
}

var _ interface {
	types.MetaStore
	io.Closer
} = (*meta)(nil)

// Load implements types.MetaStore.
func (m *meta) Load(string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state
	st.Segments = slices.Clone(st.Segments)
	return st, nil
}

// CommitState implements types.MetaStore.
func (m *meta) CommitState(st types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	st.Segments = slices.Clone(st.Segments)
	m.state = st
	return nil
}

// GetStable implements types.MetaStore.
func (m *meta) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stable[string(key)], nil
}

// SetStable implements types.MetaStore.
func (m *meta) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stable[string(key)] = slices.Clone(value)
	return nil
}

// Close implements types.MetaStore.
func (m *meta) Close() error { return nil }

func (m *meta) clone() *meta {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state
	st.Segments = slices.Clone(st.Segments)
	return &meta{state: st, stable: maps.Clone(m.stable)}
}
