package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
)

// Inspection says which log to look at. No process may have it open.
type Inspection struct {
	Dir   string
	Group uint64
	// Snapshot is the index of the newest snapshot: the log may end there.
	Snapshot uint64
	// Entry is given the data of every command in the log. May be nil.
	Entry func(index uint64, data []byte) error
	// Record is told the index and term of every record that is good, whatever
	// it holds, before Entry is. May be nil.
	Record func(index, term uint64)
	// Fault is told where something is wrong, and what.
	Fault func(place string, err error)
}

// Inspected is what was found in a log.
type Inspected struct {
	First, Last uint64 // records that are there, 0 if there are none
	Records     int64  // read
	Mark        uint64
	// Replicas are all that are named as members in it, sorted.
	Replicas []string
}

// Run reads everything in the log, past what is wrong, and writes nothing.
func (n Inspection) Run() Inspected {
	r := &inspector{Inspection: n, names: map[string]bool{}}
	if _, err := os.Stat(n.Dir); err != nil {
		r.fault("log", err)
		return r.found
	}
	left := r.mark()
	if meta := r.meta(); meta != nil {
		r.records(meta)
		if end := max(r.found.Last, n.Snapshot); end < left.index {
			r.fault("log", fmt.Errorf("%w: it ends at %d, the mark is %d", ErrBehind, end, left.index))
		}
	}
	r.found.Replicas = sortedNames(r.names)
	return r.found
}

// inspector is an inspection under way.
type inspector struct {
	Inspection
	found Inspected
	names map[string]bool // of replicas
	term  uint64          // of the last good record
}

func (r *inspector) fault(place string, err error) { r.Fault(place, err) }

// mark reads the mark, and says what it says about how the log was left.
func (r *inspector) mark() mark {
	path := filepath.Join(r.Dir, markName)
	b, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: there is none", ErrCorrupt)
		}
		r.fault("log/"+markName, err)
		return mark{}
	}
	var last mark
	valid := 0
	for slot := range 2 {
		at := slot * markSpace
		if len(b) < at+markSlot || allZero(b[at:at+markSlot]) { // not written yet
			continue
		}
		m, ok := decodeMark(b[at : at+markSlot])
		switch {
		case !ok:
			r.fault("log/"+markName, fmt.Errorf("%w: checksum of slot %d does not match", ErrCorrupt, slot))
		case valid == 0 || m.sequence > last.sequence:
			last, valid = m, valid+1
		}
	}
	r.found.Mark = last.index
	if last.memory && !last.clean {
		if boot, err := BootID(); err == nil && boot != last.boot {
			r.fault("log/"+markName, ErrUnclean)
		}
	}
	return last
}

func allZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// meta reads the meta store, nil if it can't be used.
func (r *inspector) meta() *heldMeta {
	place := "log/" + metaFile
	meta, err := readMeta(filepath.Join(r.Dir, metaFile))
	if err != nil {
		r.fault(place, err)
		return nil
	}
	for _, err := range meta.faults() {
		r.fault(place, err)
	}
	return meta
}

// records reads every record, as raft-wal would after opening the files.
func (r *inspector) records(meta *heldMeta) {
	d := newDisk(Options{FS: scratchFS{}, OnFault: func(error) {}, OnSync: func(time.Duration) {}})
	store := &metaStore{MetaStore: meta, d: d}
	f := filer{segment.NewFiler(r.Dir, d)}
	l := &Log{disk: d}
	err := settleTail(r.Dir, d, store, f)
	if err == nil {
		l.wal, err = wal.Open(r.Dir, wal.WithCodec(codec{r.Group}), wal.WithMetaStore(store), wal.WithSegmentFiler(f), wal.WithLogger(hclog.NewNullLogger()))
	}
	if err != nil {
		r.fault("log", unreadable(err))
		return
	}
	r.readRecords(l)
	r.votes(l, meta)
	if err := l.wal.Close(); err != nil {
		r.fault("log", err)
	}
}

func (r *inspector) readRecords(l *Log) {
	first, err := l.wal.FirstIndex()
	if err == nil {
		r.found.Last, err = l.wal.LastIndex()
	}
	if err != nil {
		r.fault("log", unreadable(err))
		return
	}
	r.found.First = first
	l.first.Store(first)
	if first == 0 {
		return
	}
	for i := first; i <= r.found.Last; i++ {
		var entry raft.Log
		if err := l.GetLog(i, &entry); err != nil {
			r.fault(recordPlace(i), err)
			continue
		}
		r.record(&entry)
	}
}

func recordPlace(index uint64) string { return fmt.Sprintf("log record %d", index) }

// record looks at a record whose checksum is right.
func (r *inspector) record(entry *raft.Log) {
	r.found.Records++
	if r.Record != nil {
		r.Record(entry.Index, entry.Term)
	}
	if entry.Term < r.term {
		r.fault(recordPlace(entry.Index), fmt.Errorf("%w: its term is %d, an earlier record's %d", ErrCorrupt, entry.Term, r.term))
	}
	r.term = max(r.term, entry.Term)
	switch entry.Type {
	case raft.LogConfiguration:
		for _, s := range raft.DecodeConfiguration(entry.Data).Servers {
			r.names[string(s.ID)] = true
		}
	case raft.LogCommand:
		if r.Entry == nil {
			return
		}
		if err := r.Entry(entry.Index, entry.Data); err != nil {
			r.fault(recordPlace(entry.Index), err)
		}
	}
}

// votes compares the stored terms with each other and with the records'.
func (r *inspector) votes(l *Log, meta *heldMeta) {
	if meta.broken { // said already
		return
	}
	term, err := l.GetUint64([]byte("CurrentTerm"))
	if err != nil {
		r.fault("log/"+metaFile, unreadable(err))
		return
	}
	voted, err := l.GetUint64([]byte("LastVoteTerm"))
	switch {
	case err != nil:
		r.fault("log/"+metaFile, unreadable(err))
	case voted > term:
		r.fault("log/"+metaFile, fmt.Errorf("%w: a vote in term %d, the term is %d", ErrCorrupt, voted, term))
	case r.term > term:
		r.fault("log/"+metaFile, fmt.Errorf("%w: the term is %d, a record's %d", ErrCorrupt, term, r.term))
	}
}

func sortedNames(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
