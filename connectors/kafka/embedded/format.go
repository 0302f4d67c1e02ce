package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file knows kfake's files: raw record batches in .dat, 15 bytes per batch
// in .idx, framed JSON in .log, and a snapshot per partition. A test opens
// directories that went through here with kfake, so a new version of kfake that
// changes them is noticed.

const (
	formatVersion = 1
	pidsFile      = "pids.log"
	groupsFile    = "groups.log"
	snapshotFile  = "snapshot.json"
	entryHeader   = 10 // length, checksum, version
)

func segmentFile(base int64) string { return strconv.FormatInt(base, 10) + ".dat" }
func indexFile(base int64) string   { return strconv.FormatInt(base, 10) + ".idx" }

type snapshot struct {
	Version          int                  `json:"version"`
	HighWatermark    int64                `json:"high_watermark"`
	LastStableOffset int64                `json:"last_stable_offset"`
	LogStartOffset   int64                `json:"log_start_offset"`
	Epoch            int32                `json:"epoch"`
	LeaderNode       int32                `json:"leader_node,omitempty"`
	MaxTimestamp     int64                `json:"max_timestamp"`
	CreatedAt        time.Time            `json:"created_at"`
	AbortedTxns      []abortedTransaction `json:"aborted_txns,omitempty"`
	Segments         []segmentInfo        `json:"segments"`
}

type abortedTransaction struct {
	Producer    int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"` // of its marker
}

type segmentInfo struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

// pidEntry is one entry of pids.log.
type pidEntry struct {
	Type   string `json:"type"`
	PID    int64  `json:"pid"`
	Epoch  int16  `json:"epoch"`
	Commit *bool  `json:"commit,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn: the file ends in the middle of a write.
var errTorn = errors.New("cut short")

// batchHeader is the length of a record batch before its records.
const batchHeader = 61

// readBatch reads the first batch of raw and its size. The error is errTorn if
// nothing but an unfinished write can follow.
func readBatch(raw []byte) (b kmsg.RecordBatch, size int, err error) {
	if len(raw) < batchHeader || len(bytes.Trim(raw, "\x00")) == 0 {
		return b, 0, errTorn
	}
	size = 12 + int(int32(binary.BigEndian.Uint32(raw[8:])))
	if size > len(raw) {
		return b, 0, errTorn
	}
	if size < batchHeader {
		return b, 0, fmt.Errorf("a batch of %d bytes", size)
	}
	if crc32.Checksum(raw[21:size], castagnoli) != binary.BigEndian.Uint32(raw[17:]) {
		err = errors.New("wrong checksum")
		if size == len(raw) {
			err = fmt.Errorf("%w: %w", err, errTorn)
		}
		return b, 0, err
	}
	err = b.ReadFrom(raw[:size])
	return b, size, err
}

// isCommit reads a marker.
func isCommit(b *kmsg.RecordBatch) (bool, error) {
	var r kmsg.Record
	if err := r.ReadFrom(b.Records); err != nil {
		return false, fmt.Errorf("control record: %w", err)
	}
	var key kmsg.ControlRecordKey
	if err := key.ReadFrom(r.Key); err != nil {
		return false, fmt.Errorf("control record key: %w", err)
	}
	return key.Type == kmsg.ControlRecordKeyTypeCommit, nil
}

// marker makes the control batch that ends a transaction on a partition. The
// caller sets offset and leader epoch, which the checksum leaves out.
func marker(producer int64, epoch int16, commit bool) kmsg.RecordBatch {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	var value kmsg.EndTxnMarker
	r := kmsg.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself is one byte
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		Magic: 2, Attributes: attrControl | attrTransactional,
		FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1,
		NumRecords: 1, Records: r.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], castagnoli))
	return b
}

// appendIndexEntry describes a batch: version, checksum, leader epoch, a
// timestamp that kfake computes anew, and whether it is of a transaction.
func appendIndexEntry(index []byte, b *kmsg.RecordBatch) []byte {
	var e [15]byte
	e[0] = formatVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.PartitionLeaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(b.MaxTimestamp))
	if b.Attributes&attrTransactional != 0 && b.Attributes&attrControl == 0 {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(index, e[:]...)
}

// appendEntry frames an entry of a .log file.
func appendEntry(dst, data []byte) []byte {
	body := binary.LittleEndian.AppendUint16(nil, formatVersion)
	body = append(body, data...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
	return append(dst, body...)
}

// cutTornEntries cuts an unfinished entry off a .log file: kfake would append
// behind it and never read what it appended.
func cutTornEntries(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := 0
	for rest := raw; len(rest) >= entryHeader; rest = raw[whole:] {
		length := int(binary.LittleEndian.Uint32(rest))
		if length < 2 || 8+length > len(rest) {
			break
		}
		if crc32.Checksum(rest[8:8+length], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		whole += 8 + length
	}
	if whole == len(raw) {
		return nil
	}
	return truncateSynced(path, int64(whole))
}
