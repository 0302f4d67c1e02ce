package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"github.com/zeebo/xxh3"

	"anabranch.dev/internal/planted"
)

var (
	// ErrCorrupt: a record or file does not hold what was written.
	ErrCorrupt = errors.New("log is corrupt")
	// ErrDisk: a read, write, sync or commit failed, for another reason than a
	// full disk: what the files hold now is not known.
	ErrDisk = errors.New("disk failed")
)

// codecID names this record format in segment headers.
const codecID = 0x616e_6162_0001

// A record is
//
//	checksum 8 | index 8 | term 8 | type 1 | length of extensions 4 | extensions | data
//
// in little endian. The checksum is XXH3-64 of all that follows it, seeded with
// the group, so that neither a flipped bit, nor a record under another index,
// nor another group's record is taken for ours.
const recordHeader = 8 + 8 + 8 + 1 + 4

// codec turns log entries into records and back.
type codec struct{ group uint64 }

// ID implements wal.Codec.
func (c codec) ID() uint64 { return codecID }

// Encode implements wal.Codec. AppendedAt is left out: it is not a clock that
// anything here may read.
func (c codec) Encode(l *raft.Log, w io.Writer) error {
	b := make([]byte, recordHeader, recordHeader+len(l.Extensions)+len(l.Data))
	binary.LittleEndian.PutUint64(b[8:], l.Index)
	binary.LittleEndian.PutUint64(b[16:], l.Term)
	b[24] = byte(l.Type)
	binary.LittleEndian.PutUint32(b[25:], uint32(len(l.Extensions)))
	b = append(b, l.Extensions...)
	b = append(b, l.Data...)
	binary.LittleEndian.PutUint64(b, xxh3.HashSeed(b[8:], c.group))
	_, err := w.Write(b)
	return err
}

// Decode implements wal.Codec.
func (c codec) Decode(b []byte, l *raft.Log) error {
	if len(b) < recordHeader {
		return fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(b))
	}
	if binary.LittleEndian.Uint64(b) != xxh3.HashSeed(b[8:], c.group) &&
		!(planted.Is("disk: a checksum is not compared") && b[24] <= byte(raft.LogConfiguration)) {
		return fmt.Errorf("%w: record checksum does not match", ErrCorrupt)
	}
	extensions := uint64(binary.LittleEndian.Uint32(b[25:]))
	rest := b[recordHeader:]
	if extensions > uint64(len(rest)) {
		return fmt.Errorf("%w: record of %d bytes claims %d bytes of extensions", ErrCorrupt, len(b), extensions)
	}
	*l = raft.Log{
		Index: binary.LittleEndian.Uint64(b[8:]),
		Term:  binary.LittleEndian.Uint64(b[16:]),
		Type:  raft.LogType(b[24]),
	}
	// The bytes belong to the caller's pool.
	if extensions > 0 {
		l.Extensions = append([]byte(nil), rest[:extensions]...)
	}
	if data := rest[extensions:]; len(data) > 0 {
		l.Data = append([]byte(nil), data...)
	}
	return nil
}
