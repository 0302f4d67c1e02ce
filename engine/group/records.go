package group

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/raftlog"
)

// cachedEntries of the log are kept in memory: followers are sent them, and
// they are applied, without reading the disk.
const cachedEntries = 256

// records are the log and the stable store as Raft is given them.
//
// Raft panics when it can't read a committed record or save its term. Here the
// fault is reported and Raft's main goroutine ends, as if Raft had been shut
// down: the replica stops in order, and other groups of the process go on.
type records struct {
	*raft.LogCache
	log     *raftlog.Log
	fail    func(part string, err error)
	running atomic.Bool // Raft's goroutines run: one may be ended

	last, effect atomic.Uint64 // last entry, and last one that does something
}

var (
	_ raft.LogStore          = (*records)(nil)
	_ raft.MonotonicLogStore = (*records)(nil)
	_ raft.StableStore       = (*records)(nil)
)

func newRecords(log *raftlog.Log, fail func(part string, err error)) (*records, error) {
	cache, err := raft.NewLogCache(cachedEntries, log)
	if err != nil {
		return nil, err
	}
	r := &records{LogCache: cache, log: log, fail: fail}
	return r, r.findEffect()
}

// findEffect looks for the last entry that does something.
func (r *records) findEffect() error {
	first, err := r.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := r.log.LastIndex()
	if err != nil {
		return err
	}
	r.last.Store(last)
	for ; last >= first && last > 0; last-- {
		var l raft.Log
		if err := r.log.GetLog(last, &l); err != nil {
			return err
		}
		if hasEffect(&l) {
			break
		}
	}
	r.effect.Store(last)
	return nil
}

// hasEffect says whether an entry is handed to the FSM.
func hasEffect(l *raft.Log) bool { return l.Type == raft.LogCommand || l.Type == raft.LogConfiguration }

// passed is up to where the log is applied once an index is: entries that do
// nothing don't reach the FSM.
func (r *records) passed(applied, commit uint64) uint64 {
	end := min(commit, r.last.Load())
	if applied < r.effect.Load() { // read after last, which is written after it
		return applied
	}
	return max(applied, end)
}

// GetLog implements raft.LogStore.
func (r *records) GetLog(index uint64, l *raft.Log) error {
	err := r.LogCache.GetLog(index, l)
	if err == nil || errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return r.end(fmt.Errorf("log: read record %d: %w", index, err))
}

// end reports a fault, and ends the goroutine if Raft would panic with it.
func (r *records) end(err error) error {
	if !r.running.Load() {
		return err
	}
	r.fail("log", err)
	if wouldPanic() {
		runtime.Goexit()
	}
	return err
}

// wouldPanic looks among the callers for those of Raft's that can't handle an
// error. Others, such as the goroutines that replicate, can.
func wouldPanic() bool {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "raft.(*Raft).processLogs") || strings.HasSuffix(f.Function, "raft.(*Raft).setCurrentTerm") {
			return true
		}
		if !more {
			return false
		}
	}
}

// StoreLog implements raft.LogStore.
func (r *records) StoreLog(l *raft.Log) error { return r.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (r *records) StoreLogs(logs []*raft.Log) error {
	if err := r.LogCache.StoreLogs(logs); err != nil {
		return err // reported by the log
	}
	for _, l := range logs {
		if hasEffect(l) {
			r.effect.Store(l.Index)
		}
	}
	r.last.Store(logs[len(logs)-1].Index)
	return nil
}

// Set implements raft.StableStore.
func (r *records) Set(key, value []byte) error {
	if err := r.log.Set(key, value); err != nil {
		return r.end(fmt.Errorf("log: %w", err))
	}
	return nil
}

// SetUint64 implements raft.StableStore.
func (r *records) SetUint64(key []byte, value uint64) error {
	if err := r.log.SetUint64(key, value); err != nil {
		return r.end(fmt.Errorf("log: %w", err))
	}
	return nil
}

// Get implements raft.StableStore.
func (r *records) Get(key []byte) ([]byte, error) {
	b, err := r.log.Get(key)
	return b, r.checked(err)
}

// GetUint64 implements raft.StableStore.
func (r *records) GetUint64(key []byte) (uint64, error) {
	n, err := r.log.GetUint64(key)
	return n, r.checked(err)
}

// checked lets the error pass by which Raft knows a missing key.
func (r *records) checked(err error) error {
	if errors.Is(err, raftlog.ErrCorrupt) {
		return r.end(fmt.Errorf("log: %w", err))
	}
	return err
}
