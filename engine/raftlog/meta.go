package raftlog

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/raft-wal/types"
	"github.com/zeebo/xxh3"
)

// metaFile is the name under which faults of the meta store are reported.
const metaFile = "wal-meta.db"

// metaStore keeps votes, terms and the list of segments: always fsynced,
// whatever the durability, and with a checksum per value.
type metaStore struct {
	types.MetaStore
	d *disk
}

// CommitState implements types.MetaStore. The list of segments must never be
// ahead of the segments, so they are synced first; in [Disk] they are already.
func (m *metaStore) CommitState(st types.PersistentState) (err error) {
	defer catchPages(&err)
	if err := m.d.flush(); err != nil {
		return err
	}
	defer m.d.pending.end(m.d.pending.begin(OpCommit))
	if err := m.d.before(OpCommit, metaFile); err != nil {
		return err
	}
	segments := make([]types.SegmentInfo, len(st.Segments))
	copy(segments, st.Segments)
	for i := range segments {
		segments[i].Codec = codecID
	}
	st.Segments = segments
	if err := m.MetaStore.CommitState(st); err != nil {
		return m.d.fail(OpCommit, metaFile, err)
	}
	return nil
}

// SetStable implements types.MetaStore.
func (m *metaStore) SetStable(key, value []byte) (err error) {
	defer catchPages(&err)
	defer m.d.pending.end(m.d.pending.begin(OpCommit))
	if err := m.d.before(OpCommit, metaFile); err != nil {
		return err
	}
	if value != nil {
		value = binary.LittleEndian.AppendUint64(append([]byte(nil), value...), stableSum(key, value))
	}
	if err := m.MetaStore.SetStable(key, value); err != nil {
		return m.d.fail(OpCommit, metaFile, err)
	}
	return nil
}

// GetStable implements types.MetaStore.
func (m *metaStore) GetStable(key []byte) (b []byte, err error) {
	defer catchPages(&err)
	b, err = m.MetaStore.GetStable(key)
	if err != nil || b == nil {
		return nil, err
	}
	n := len(b) - 8
	if n < 0 || binary.LittleEndian.Uint64(b[n:]) != stableSum(key, b[:n]) {
		return nil, fmt.Errorf("%w: checksum of %s does not match", ErrCorrupt, key)
	}
	return b[:n], nil
}

// catchPages turns the panics into errors with which bbolt meets pages that make
// no sense, such as a bucket whose name has changed.
func catchPages(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %s: %v", ErrCorrupt, metaFile, r)
	}
}

func stableSum(key, value []byte) uint64 { return xxh3.HashSeed(value, xxh3.Hash(key)) }
