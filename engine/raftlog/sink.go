package raftlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"

	"anabranch.dev/internal/faultdisk"
)

// Sink is a snapshot that is being made: either its maker puts a checkpoint at
// [Sink.Dir], or Raft writes the stream of another replica's snapshot to it.
// It is used by one goroutine.
type Sink struct {
	store *Snapshots
	path  string
	meta  raft.SnapshotMeta

	pipe     *io.PipeWriter // to the unpacker, once something was written
	unpacked chan error
	done     bool
}

var _ raft.SnapshotSink = (*Sink)(nil)

// Create implements raft.SnapshotStore.
func (s *Snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("snapshot version %d is not supported", version)
	}
	id := fmt.Sprintf("%d-%d", term, index)
	path := filepath.Join(s.dir, id+unfinished)
	if err := faultdisk.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("create snapshot %s: %w", id, err)
	}
	if err := faultdisk.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("create snapshot %s: %w", id, err)
	}
	return &Sink{store: s, path: path, meta: raft.SnapshotMeta{
		Version: version, ID: id, Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}, nil
}

// ID implements raft.SnapshotSink.
func (k *Sink) ID() string { return k.meta.ID }

// Dir is where the checkpoint goes. It does not exist yet.
func (k *Sink) Dir() string { return filepath.Join(k.path, snapshotState) }

// Write implements io.Writer: it unpacks another replica's stream.
func (k *Sink) Write(b []byte) (int, error) {
	if k.pipe == nil {
		r, w := io.Pipe()
		k.pipe, k.unpacked = w, make(chan error, 1)
		go func() {
			err := Unpack(r, k.Dir())
			r.CloseWithError(err) // a writer of a bad stream learns why
			k.unpacked <- err
		}()
	}
	return k.pipe.Write(b)
}

// Close implements io.Closer: it makes the snapshot visible, on disk, as a
// whole, and deletes those it replaces.
func (k *Sink) Close() error {
	if k.done {
		return nil
	}
	if err := k.finish(); err != nil {
		return errors.Join(fmt.Errorf("snapshot %s: %w", k.meta.ID, err), k.Cancel())
	}
	return nil
}

func (k *Sink) finish() error {
	received := k.pipe != nil
	if received {
		err := errors.Join(k.pipe.Close(), <-k.unpacked)
		k.pipe = nil
		if err != nil {
			return err
		}
	}
	files, err := listFiles(k.Dir())
	if err != nil {
		return err
	}
	if received && k.store.verify != nil {
		if err := k.check(files); err != nil {
			return err
		}
	}
	m := &storedMeta{Meta: k.meta, Files: files}
	if m.Meta.Size, err = packedSize(files); err != nil {
		return err
	}
	m.Sum = m.sum()
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(k.path, snapshotMeta), b); err != nil {
		return err
	}
	if err := errors.Join(SyncDir(k.Dir()), SyncDir(k.path)); err != nil {
		return err
	}
	return k.publish(m)
}

// check has a copy of what was received verified.
func (k *Sink) check(files []snapshotFile) error {
	dir := filepath.Join(k.path, "check")
	if err := copyState(k.Dir(), dir, files); err != nil {
		return err
	}
	return errors.Join(k.store.verify(dir), faultdisk.RemoveAll(dir))
}

// publish renames the snapshot into its place.
func (k *Sink) publish(m *storedMeta) error {
	s := k.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.metas {
		if other.Meta.ID == k.meta.ID { // the same index of the same log: the same state
			k.done = true
			return faultdisk.RemoveAll(k.path)
		}
	}
	if err := faultdisk.Rename(k.path, filepath.Join(s.dir, k.meta.ID)); err != nil {
		return err
	}
	k.done = true
	if err := SyncDir(s.dir); err != nil {
		return err
	}
	s.metas = append(s.metas, m)
	return s.pruneLocked()
}

// Cancel implements raft.SnapshotSink.
func (k *Sink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	if k.pipe != nil {
		k.pipe.CloseWithError(errors.New("snapshot was cancelled"))
		<-k.unpacked // its error is the cancellation
	}
	return faultdisk.RemoveAll(k.path)
}
