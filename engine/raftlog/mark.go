package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/raft-wal/types"
	"github.com/zeebo/xxh3"
)

// Errors of opening a log.
var (
	// ErrBehind: the log or the state lacks entries that were acknowledged.
	ErrBehind = errors.New("log is behind what was acknowledged")
	// ErrUnclean: in memory durability, the machine went down without an
	// orderly stop, so the last entries may be lost.
	ErrUnclean = errors.New("machine restarted without an orderly stop in memory durability")
)

const markName = "mark"

// mark says below which index the log may never end, and how it was left.
type mark struct {
	sequence uint64
	index    uint64 // min(synced, committed)
	clean    bool   // left by an orderly stop
	memory   bool
	boot     string // boot id of the machine that wrote it
}

// Two slots in sectors of their own are written in turn, in place: one sync of
// data and no metadata once a second, and never a moment without a valid mark.
const (
	markSlot  = 128
	markSpace = 4096
	markMagic = 0x6d61726b
)

// encode returns m as a slot.
func (m mark) encode() []byte {
	b := make([]byte, markSlot)
	binary.LittleEndian.PutUint32(b[8:], markMagic)
	binary.LittleEndian.PutUint64(b[16:], m.sequence)
	binary.LittleEndian.PutUint64(b[24:], m.index)
	if m.clean {
		b[32] = 1
	}
	if m.memory {
		b[33] = 1
	}
	b[34] = byte(copy(b[35:markSlot], m.boot))
	binary.LittleEndian.PutUint64(b, xxh3.Hash(b[8:]))
	return b
}

// decodeMark reads a slot; ok is false if it was never written or is damaged.
func decodeMark(b []byte) (m mark, ok bool) {
	if len(b) != markSlot || binary.LittleEndian.Uint64(b) != xxh3.Hash(b[8:]) ||
		binary.LittleEndian.Uint32(b[8:]) != markMagic || int(b[34]) > markSlot-35 {
		return mark{}, false
	}
	return mark{
		sequence: binary.LittleEndian.Uint64(b[16:]),
		index:    binary.LittleEndian.Uint64(b[24:]),
		clean:    b[32] == 1,
		memory:   b[33] == 1,
		boot:     string(b[35 : 35+int(b[34])]),
	}, true
}

// markFile is the open mark. It is used by one goroutine at a time.
type markFile struct {
	f    types.WritableFile
	last mark
}

// openMark opens the mark, or makes an empty one.
func openMark(dir string, d *disk) (*markFile, error) {
	f, err := d.OpenWriter(dir, markName)
	if errors.Is(err, os.ErrNotExist) {
		if f, err = d.Create(dir, markName, 0); err != nil {
			return nil, err
		}
		return &markFile{f: f}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open mark: %w", err)
	}
	m := &markFile{f: f}
	written, valid := false, false
	for slot := range int64(2) {
		b := make([]byte, markSlot)
		n, err := f.ReadAt(b, slot*markSpace)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(fmt.Errorf("read mark: %w", err), f.Close())
		}
		written = written || n > 0
		if got, ok := decodeMark(b[:n]); ok && (!valid || got.sequence > m.last.sequence) {
			m.last, valid = got, true
		}
	}
	if written && !valid {
		return nil, errors.Join(fmt.Errorf("%w: no valid mark", ErrCorrupt), f.Close())
	}
	return m, nil
}

// write stores next durably, in every durability.
func (m *markFile) write(next mark) error {
	next.sequence = m.last.sequence + 1
	if _, err := m.f.WriteAt(next.encode(), int64(next.sequence%2)*markSpace); err != nil {
		return err
	}
	if err := syncFile(m.f); err != nil {
		return err
	}
	m.last = next
	return nil
}

// syncFile syncs at once, also in [Memory].
func syncFile(f types.WritableFile) error {
	if f, ok := f.(*diskFile); ok {
		return f.syncNow()
	}
	return f.Sync()
}

func (m *markFile) close() error { return m.f.Close() }
