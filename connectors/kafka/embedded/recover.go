package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// ErrCorrupt: a file of the data directory is damaged in a way that no crash
// explains.
var ErrCorrupt = errors.New("damaged")

// A transaction of one producer. Every transaction has an epoch of its own
// (KIP-890), which all clients that speak Kafka 4's protocol keep to.
type transaction struct {
	producer int64
	epoch    int16
}

// recoverDirectory makes a directory after a crash what it would be after an
// orderly stop; then kfake trusts it and need not repair anything by its own
// rules.
//
// A marker of a commit is written only when the transaction's fate is decided,
// so one marker on any partition means: committed on all. A transaction without
// one is aborted. Whole records at the end of a file are kept even if nobody was
// told of them, torn ones are cut off. It may crash itself at any point and
// start over.
func recoverDirectory(path string) error {
	for _, name := range []string{pidsFile, groupsFile} {
		if err := cutTornEntries(filepath.Join(path, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	dirs, err := os.ReadDir(filepath.Join(path, "partitions"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var logs []*partitionLog
	committed := map[transaction]bool{}
	buf := make([]byte, 0, segmentBytes)
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		l := &partitionLog{dir: filepath.Join(path, "partitions", d.Name()), open: map[int64]openTransaction{}}
		if buf, err = l.scan(buf, committed); err != nil {
			return fmt.Errorf("partition %s: %w", d.Name(), err)
		}
		logs = append(logs, l)
	}
	if err := endTransactions(path, logs, committed); err != nil {
		return err
	}
	for _, l := range logs {
		if err := l.saveSnapshot(); err != nil {
			return err
		}
	}
	return nil
}

// endTransactions writes the markers that the crash left unwritten, and then
// moves their producers to the next epoch: a producer that is still alive must
// not go on in a transaction that has ended.
func endTransactions(path string, logs []*partitionLog, committed map[transaction]bool) error {
	fates := map[transaction]bool{}
	for _, l := range logs {
		for producer, o := range l.open {
			t := transaction{producer, o.epoch}
			fates[t] = committed[t]
			if err := l.end(producer, committed[t]); err != nil {
				return err
			}
		}
		clear(l.open)
	}
	if len(fates) == 0 {
		return nil
	}
	var entries []byte
	for t, commit := range fates {
		entry := pidEntry{Type: "timeout", PID: t.producer, Epoch: nextEpoch(t.epoch)}
		if commit {
			entry.Type, entry.Commit = "endtx", &commit
		}
		raw, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		entries = appendEntry(entries, raw)
	}
	return appendSynced(filepath.Join(path, pidsFile), entries)
}

func nextEpoch(epoch int16) int16 {
	if epoch == math.MaxInt16 {
		return epoch
	}
	return epoch + 1
}

// saveSnapshot writes what kfake keeps about a partition at an orderly stop, if
// what is there differs.
func (l *partitionLog) saveSnapshot() error {
	if len(l.segments) == 0 {
		return nil
	}
	s := snapshot{
		Version: formatVersion, HighWatermark: l.next, LastStableOffset: l.next,
		LogStartOffset: l.start, Epoch: l.epoch, MaxTimestamp: l.maxTimestamp,
		CreatedAt: l.created, AbortedTxns: l.aborted, Segments: l.segments,
	}
	path := filepath.Join(l.dir, snapshotFile)
	old, found, err := readSnapshot(path)
	if err != nil {
		return err
	}
	if found {
		s.CreatedAt = old.CreatedAt
		// Records deleted on request leave no other trace.
		s.LogStartOffset = min(max(s.LogStartOffset, old.LogStartOffset), l.next)
		if old.HighWatermark == s.HighWatermark && old.LastStableOffset == s.LastStableOffset && slices.Equal(old.Segments, s.Segments) {
			return nil
		}
	}
	raw, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	return replaceSynced(path, raw)
}

// readSnapshot finds nothing in a missing or, after a crash, torn file.
func readSnapshot(path string) (s snapshot, found bool, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if json.Unmarshal(raw, &s) != nil {
		return snapshot{}, false, nil
	}
	return s, true, nil
}

// appendSynced appends to a file.
func appendSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// replaceSynced replaces a file as a whole.
func replaceSynced(path string, data []byte) error {
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
