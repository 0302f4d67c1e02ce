package raftlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
)

// heldMeta is a meta store in memory: what a file held when it was read.
type heldMeta struct {
	state  types.PersistentState
	stable map[string][]byte
	pages  []error // faults of the file's structure
	broken bool    // a value is not what was stored
}

var _ types.MetaStore = (*heldMeta)(nil)

// Load implements types.MetaStore, as do the methods below.
func (m *heldMeta) Load(string) (types.PersistentState, error) { return m.state, nil }

func (m *heldMeta) CommitState(st types.PersistentState) error { m.state = st; return nil }

func (m *heldMeta) GetStable(key []byte) ([]byte, error) { return m.stable[string(key)], nil }

func (m *heldMeta) SetStable(key, value []byte) error { m.stable[string(key)] = value; return nil }

func (m *heldMeta) Close() error { return nil }

// readMeta reads a meta store's file, read-only.
func readMeta(path string) (m *heldMeta, err error) {
	m = &heldMeta{stable: map[string][]byte{}}
	if err := m.readHeaders(path); err != nil {
		return nil, err
	}
	// bbolt maps the file into memory and trusts what it reads there.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, unreadable(err)
	}
	err = db.View(m.read)
	if closing := db.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return m, nil
}

// read takes over what a file holds.
func (m *heldMeta) read(tx *bbolt.Tx) error {
	if info, err := os.Stat(tx.DB().Path()); err != nil || info.Size() < tx.Size() {
		return fmt.Errorf("%w: the file is cut off", ErrCorrupt)
	}
	for err := range tx.Check() {
		m.pages = append(m.pages, fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	segments, stable := tx.Bucket([]byte(metadb.MetaBucket)), tx.Bucket([]byte(metadb.StableBucket))
	if segments == nil || stable == nil {
		return fmt.Errorf("%w: a bucket is missing", ErrCorrupt)
	}
	if raw := segments.Get([]byte(metadb.MetaKey)); raw != nil {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&m.state); err != nil {
			return fmt.Errorf("%w: list of segments: %w", ErrCorrupt, err)
		}
	}
	return stable.ForEach(func(key, value []byte) error {
		m.stable[string(key)] = bytes.Clone(value)
		return nil
	})
}

// bbolt begins its file with two headers, written in turn, and silently uses
// the older one if the newer is bad: votes would be forgotten.
const (
	boltHeaderAt  = 16
	boltHeaderSum = boltHeaderAt + 56
)

func (m *heldMeta) readHeaders(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return unreadable(err)
	}
	defer f.Close() // only read
	page := os.Getpagesize()
	b := make([]byte, 2*page)
	if _, err := f.ReadAt(b, 0); err != nil {
		return unreadable(err)
	}
	for i := range 2 {
		h := b[i*page:]
		sum := fnv.New64a()
		_, _ = sum.Write(h[boltHeaderAt:boltHeaderSum]) // never fails
		if sum.Sum64() != binary.NativeEndian.Uint64(h[boltHeaderSum:]) {
			m.pages = append(m.pages, fmt.Errorf("%w: checksum of header %d does not match", ErrCorrupt, i))
		}
	}
	return nil
}

// faults lists what is wrong with what was read.
func (m *heldMeta) faults() []error {
	faults := slices.Clone(m.pages)
	checked := metaStore{MetaStore: m}
	for _, key := range slices.Sorted(maps.Keys(m.stable)) {
		if _, err := checked.GetStable([]byte(key)); err != nil {
			faults, m.broken = append(faults, err), true
		}
	}
	for i, s := range m.state.Segments {
		last := i == len(m.state.Segments)-1
		sealed := !s.SealTime.IsZero()
		switch {
		case s.MinIndex < s.BaseIndex, sealed && s.MaxIndex < s.MinIndex, !sealed && !last, s.ID >= m.state.NextSegmentID, s.Codec != codecID:
			faults = append(faults, fmt.Errorf("%w: segment %d contradicts itself", ErrCorrupt, s.ID))
		case !last && m.state.Segments[i+1].BaseIndex != s.MaxIndex+1:
			faults = append(faults, fmt.Errorf("%w: segment %d ends at %d, the next begins at %d", ErrCorrupt, s.ID, s.MaxIndex, m.state.Segments[i+1].BaseIndex))
		}
	}
	return faults
}
