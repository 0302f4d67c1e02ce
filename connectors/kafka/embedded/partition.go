package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bits of a record batch's attributes.
const (
	attrTransactional = 0x10
	attrControl       = 0x20
)

// A partitionLog is what the files of one partition hold.
type partitionLog struct {
	dir          string
	segments     []segmentInfo
	start, next  int64 // first offset, and the one after the last
	epoch        int32 // leader epoch of the last batch
	maxTimestamp int64
	created      time.Time
	open         map[int64]openTransaction // by producer
	aborted      []abortedTransaction      // in order of their markers
}

// An openTransaction has records in a partition and no marker yet.
type openTransaction struct {
	first int64
	epoch int16
}

// scan reads all segments, cuts off a torn end and completes the index. It adds
// the transactions whose commit it finds. buf is reused and returned.
func (l *partitionLog) scan(buf []byte, committed map[transaction]bool) ([]byte, error) {
	bases, err := segmentBases(l.dir)
	if err != nil {
		return buf, err
	}
	for i, base := range bases {
		last := i == len(bases)-1
		if buf, err = l.scanSegment(buf, base, last, committed); err != nil {
			return buf, fmt.Errorf("%s: %w", segmentFile(base), err)
		}
	}
	return buf, nil
}

func (l *partitionLog) scanSegment(buf []byte, base int64, last bool, committed map[transaction]bool) ([]byte, error) {
	path := filepath.Join(l.dir, segmentFile(base))
	buf, err := readInto(buf, path)
	if err != nil {
		return buf, err
	}
	info := segmentInfo{BaseOffset: base}
	var index []byte
	for rest := buf; len(rest) > 0; rest = buf[info.Size:] {
		b, size, err := readBatch(rest)
		if err != nil {
			if !last || !errors.Is(err, errTorn) {
				return buf, fmt.Errorf("%w at byte %d: %w", ErrCorrupt, info.Size, err)
			}
			break
		}
		if len(l.segments) == 0 && info.Size == 0 {
			l.start, l.created = b.FirstOffset, time.UnixMilli(b.FirstTimestamp)
		}
		if err := l.take(&b, committed); err != nil {
			return buf, fmt.Errorf("%w at byte %d: %w", ErrCorrupt, info.Size, err)
		}
		if info.Size == 0 {
			info.MinEpoch = b.PartitionLeaderEpoch
		}
		info.MaxEpoch = max(info.MaxEpoch, b.PartitionLeaderEpoch)
		info.Size += int64(size)
		index = appendIndexEntry(index, &b)
	}
	if info.Size < int64(len(buf)) {
		if err := truncateSynced(path, info.Size); err != nil {
			return buf, err
		}
	}
	if info.Size == 0 {
		// Begun and never written to; kfake would not find it in the snapshot.
		return buf, errors.Join(os.Remove(path), removeIfThere(filepath.Join(l.dir, indexFile(base))))
	}
	l.segments = append(l.segments, info)
	return buf, completeIndex(filepath.Join(l.dir, indexFile(base)), index)
}

// take moves the log's state over one batch.
func (l *partitionLog) take(b *kmsg.RecordBatch, committed map[transaction]bool) error {
	if b.FirstOffset < l.next {
		return fmt.Errorf("offset %d after %d", b.FirstOffset, l.next-1)
	}
	l.next = b.FirstOffset + int64(b.LastOffsetDelta) + 1
	l.epoch = b.PartitionLeaderEpoch
	l.maxTimestamp = max(l.maxTimestamp, b.MaxTimestamp)
	switch {
	case b.Attributes&attrControl != 0:
		commit, err := isCommit(b)
		if err != nil {
			return err
		}
		if commit {
			committed[transaction{b.ProducerID, b.ProducerEpoch}] = true
		}
		l.close(b.ProducerID, commit, b.FirstOffset)
	case b.Attributes&attrTransactional != 0:
		if _, ok := l.open[b.ProducerID]; !ok {
			l.open[b.ProducerID] = openTransaction{b.FirstOffset, b.ProducerEpoch}
		}
	}
	return nil
}

// close notes that a marker ended a producer's transaction here.
func (l *partitionLog) close(producer int64, commit bool, marker int64) {
	if o, ok := l.open[producer]; ok && !commit {
		l.aborted = append(l.aborted, abortedTransaction{producer, o.first, marker})
	}
	delete(l.open, producer)
}

// end writes the marker of a transaction that has none here.
func (l *partitionLog) end(producer int64, commit bool) error {
	b := marker(producer, l.open[producer].epoch, commit)
	b.FirstOffset, b.PartitionLeaderEpoch = l.next, l.epoch
	raw := b.AppendTo(nil)
	info := &l.segments[len(l.segments)-1]
	if err := appendSynced(filepath.Join(l.dir, segmentFile(info.BaseOffset)), raw); err != nil {
		return err
	}
	if err := appendSynced(filepath.Join(l.dir, indexFile(info.BaseOffset)), appendIndexEntry(nil, &b)); err != nil {
		return err
	}
	info.Size += int64(len(raw))
	l.close(producer, commit, l.next)
	l.next++
	return nil
}

// segmentBases lists a partition's segments, oldest first.
func segmentBases(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".dat")
		if !ok {
			continue
		}
		base, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: file %s", ErrForeign, e.Name())
		}
		bases = append(bases, base)
	}
	slices.Sort(bases)
	return bases, nil
}

// completeIndex makes an index file hold one entry per batch.
func completeIndex(path string, want []byte) error {
	have, err := os.Stat(path)
	if err == nil && have.Size() == int64(len(want)) {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replaceSynced(path, want)
}

func readInto(buf []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	n, err := f.ReadAt(buf, 0)
	if n == len(buf) {
		err = nil
	}
	return buf[:n], err
}

func truncateSynced(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
