package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// filer makes segment files that carry our codec's id; raft-wal 0.4.2 writes
// its own codec's into every new segment and then refuses to open it again.
type filer struct{ *segment.Filer }

// Create implements types.SegmentFiler.
func (f filer) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	info.Codec = codecID
	return f.Filer.Create(info)
}

// Layout of raft-wal's segment files, version 0.
const (
	segmentHeader = 32
	frameHeader   = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// settleTail finishes, or undoes, the sealing of a segment that a crash cut
// short. A segment is sealed by its last append, which also writes an index,
// and only later registered as sealed in the metadata. raft-wal opens such a
// segment again but refuses every append to it.
//
// Sealed as a whole: the metadata is brought up to date, with an empty segment
// to follow. Sealed in part: what follows the last whole batch was never
// acknowledged and is wiped.
func settleTail(dir string, d *disk, meta types.MetaStore, f filer) error {
	st, err := meta.Load(dir)
	if err != nil || len(st.Segments) == 0 {
		return err
	}
	tail := &st.Segments[len(st.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	w, err := f.RecoverTail(*tail)
	if errors.Is(err, os.ErrNotExist) {
		return nil // registered, not yet made: raft-wal makes it
	}
	if err != nil {
		return err
	}
	sealed, indexStart, err := w.Sealed()
	last := w.LastIndex()
	if err := errors.Join(err, w.Close()); err != nil || !sealed {
		return err
	}
	file, err := d.OpenWriter(dir, segment.FileName(*tail))
	if err != nil {
		return err
	}
	whole, err := checkSeal(file, int64(indexStart))
	if err := errors.Join(err, file.Close()); err != nil || !whole {
		return err
	}
	tail.SealTime = time.Now()
	tail.MaxIndex = last
	tail.IndexStart = indexStart
	st.Segments = append(st.Segments, types.SegmentInfo{
		ID: st.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1,
		Codec: codecID, CreateTime: time.Now(), SizeLimit: tail.SizeLimit,
	})
	st.NextSegmentID++
	return meta.CommitState(st)
}

// checkSeal says whether the batch that holds the index at indexStart is whole;
// if not, it is wiped.
func checkSeal(file types.WritableFile, indexStart int64) (whole bool, err error) {
	batch, end := int64(0), int64(segmentHeader) // start of the batch at hand; end of the frames
	var h [frameHeader]byte
	for {
		if n, err := file.ReadAt(h[:], end); n < frameHeader {
			if err != nil && !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("read frame at %d: %w", end, err)
			}
			break
		}
		kind, size := h[0], int64(binary.LittleEndian.Uint32(h[4:]))
		if kind == segment.FrameCommit {
			if end > indexStart {
				b := make([]byte, end-batch)
				if _, err := file.ReadAt(b, batch); err != nil {
					return false, fmt.Errorf("read batch at %d: %w", batch, err)
				}
				if crc32.Checksum(b, castagnoli) == uint32(size) {
					return true, nil
				}
				end += frameHeader
				break
			}
			end += frameHeader
			batch = end
			continue
		}
		if kind != segment.FrameEntry && kind != segment.FrameIndex {
			break
		}
		end += frameHeader + (size+7)&^7
	}
	// A frame's length may itself be torn and point far behind the file.
	end = min(end, indexStart+(1<<20))
	if _, err := file.WriteAt(make([]byte, end-batch), batch); err != nil {
		return false, err
	}
	return false, file.Sync()
}
