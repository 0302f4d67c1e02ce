package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// fsm is what Raft applies to. Its methods are called by Raft's apply goroutine
// only, snapshots' Persist apart.
type fsm struct{ *Group }

var _ raft.BatchingFSM = fsm{}

// Apply implements raft.FSM.
func (f fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. After a fault it does nothing: the
// replica is being stopped.
func (f fsm) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if f.stopped() {
			break
		}
		switch l.Type {
		case raft.LogCommand:
			f.applyLog(l)
		case raft.LogConfiguration:
			f.setConfiguration(l.Index, raft.DecodeConfiguration(l.Data))
		}
		f.advance(l.Index)
	}
	return make([]any, len(logs))
}

// applyLog applies one entry and hands its output on.
func (f fsm) applyLog(l *raft.Log) {
	f.logBytes.Add(int64(len(l.Data)))
	if l.Index <= f.restored.Load() {
		return // the state is ahead of the log that is being replayed
	}
	entry, own := f.entryOf(l)
	if entry == nil {
		return
	}
	start := time.Now()
	if own != nil {
		f.cfg.Metrics.Committed(start.Sub(own.at))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			f.fail("apply", faultOf(l.Index, r))
		}
	}()
	indexBefore, timeBefore := f.store.Applied(), f.core.LogTime()
	out := f.core.Apply(l.Index, entry)
	if digestDue(f.cfg.Core.Clock, timeBefore, f.core.LogTime(), indexBefore, f.store.Applied()) {
		f.store.Digests(f.digests.take)
	}
	a := leader.Applied{Output: out, Own: own != nil, NextTimer: f.core.NextTimer()}
	a.OutboxRecords, a.OutboxBytes = f.core.OutboxDepth()
	f.cfg.Metrics.Applied(time.Since(start))
	f.publish(out, entry)
	f.placed(out.Moved)
	if t := f.tenure.Load(); t != nil {
		t.applied(a, entry)
	}
}

// entryOf decodes a log's entry, or finds it among our own proposals.
func (f fsm) entryOf(l *raft.Log) (entry *core.Entry, own *proposal) {
	if t := f.tenure.Load(); t != nil {
		if p := t.own(l.Extensions); p != nil {
			// What came with a later level than the entry's has no place in its
			// bytes. As long as there may be such, the leader applies what the
			// others will.
			if p.entry.Level == f.core.Knows() {
				return p.entry, p
			}
			own = p
		}
	}
	var e core.Entry
	if err := f.cfg.Core.Codec.Decode(l.Data, &e); err != nil {
		f.fail("apply", fmt.Errorf("decode entry %d: %w", l.Index, err))
		return nil, nil
	}
	return &e, own
}

// faultOf turns what was raised while applying into an error. A fault of the
// store is expected to be raised; anything else is a bug, and its trace helps.
func faultOf(index uint64, raised any) error {
	var fault *state.Fault
	if err, ok := raised.(error); ok && errors.As(err, &fault) {
		return fmt.Errorf("apply entry %d: %w", index, fault.Err)
	}
	return fmt.Errorf("apply entry %d: panic: %v\n%s", index, raised, debug.Stack())
}

// publish hands an entry's output to those who wait for it. The caller holds
// the apply mutex.
func (f fsm) publish(out *core.Output, entry *core.Entry) {
	f.replies.publish(out, entry)
	for _, r := range out.Records {
		f.cfg.Metrics.Record(r.Type)
		if d, ok := r.Payload.Value.(*operators.DeadLetter); ok {
			f.cfg.Metrics.DeadLetter(d.Code)
		}
		if e, ok := r.Payload.Value.(operators.Counted); ok {
			f.cfg.Metrics.Outcome(r.Type, e.Outcome())
		}
	}
	if len(out.Records) > 0 {
		f.cfg.Records(out.Records)
	}
	if out.Members {
		f.cfg.Changed()
	}
	f.atLevel(out.Level)
	halted := out.Halt != nil
	if halted != f.halted.Load() {
		f.halted.Store(halted)
		if halted {
			f.cfg.Log.Error("group is halted", "group", f.cfg.Core.Group, "entry", out.Halt.Index, "message", out.Halt.Message, "code", out.Halt.Code)
		}
		f.poke()
		f.cfg.Changed()
	}
}

// errReplaying: the log is still being replayed over a state that is ahead.
var errReplaying = errors.New("log is being replayed")

// Snapshot implements raft.FSM: it only asks for a checkpoint at this index.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stopped():
		return nil, f.Err()
	case f.core.Halted() != nil:
		return nil, errors.New("group is halted")
	case f.appliedIndex.Load() < f.store.Applied():
		return nil, errReplaying // the label would be behind its content
	}
	dir := filepath.Join(f.cfg.Dir, "checkpoint")
	if err := faultdisk.RemoveAll(dir); err != nil {
		return nil, err
	}
	wait, err := f.store.BeginCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	return &snapshot{g: f.Group, dir: dir, index: f.store.Applied(), bytes: f.logBytes.Load(), wait: wait}, nil
}

// snapshot is a checkpoint on its way to the snapshot store.
type snapshot struct {
	g     *Group
	dir   string
	index uint64
	bytes int64 // of log since the snapshot before
	wait  func(ctx context.Context) (index uint64, err error)
}

// Persist implements raft.FSMSnapshot. Raft closes the sink, or cancels it
// after an error.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	index, err := s.wait(context.Background()) // it ends with the store
	if err != nil {
		return err
	}
	if index != s.index {
		return fmt.Errorf("checkpoint is at %d, not at %d", index, s.index)
	}
	k, ok := sink.(*raftlog.Sink)
	if !ok {
		return fmt.Errorf("snapshot sink is a %T", sink)
	}
	if err := faultdisk.Rename(s.dir, k.Dir()); err != nil {
		return err
	}
	s.g.logBytes.Add(-s.bytes)
	return nil
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {
	// What is left after an error is deleted before the next checkpoint.
	faultdisk.RemoveAll(s.dir)
}

// Restore implements raft.FSM: it replaces the state by another replica's, which
// the snapshot store has installed already. The stream is not needed: the files
// are linked.
func (f fsm) Restore(r io.ReadCloser) error {
	index, _ := f.snaps.Newest()
	f.cfg.Log.Info("installing snapshot", "group", f.cfg.Core.Group, "index", index)
	err := r.Close()
	if err == nil {
		err = f.install()
	}
	if err != nil {
		// The state is neither the old one nor a good new one.
		f.fail("restore", fmt.Errorf("snapshot at %d: %w", index, err))
		return err
	}
	f.advance(max(index, f.store.Applied()))
	f.logBytes.Store(0)
	if at, c := f.snaps.Configuration(); at > 0 {
		f.setConfiguration(at, c)
	}
	return nil
}

// install takes the newest snapshot, which was verified before it was kept, into
// use in place of the state. Meanwhile there is no state to ask.
func (f fsm) install() error {
	f.mu.Lock()
	err := f.closeStore()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.extract(); err != nil {
		return err
	}
	store, c, err := f.openStore()
	if err != nil {
		return err
	}
	writing := f.runStore(store)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store, f.core, f.writing = store, c, writing
	f.atLevel(c.Level())
	f.cfg.Placed(c.Placements())
	f.restored.Store(store.Applied())
	f.halted.Store(c.Halted() != nil)
	f.poke()
	return nil
}

// replaceDir puts a directory in another's place. After a crash in the middle
// the place is empty, which [Group.openState] mends from the snapshot: what was
// there is moved away whole, since removing takes a while.
func replaceDir(from, to string) error {
	old := to + ".old"
	if err := faultdisk.RemoveAll(old); err != nil {
		return err
	}
	if err := faultdisk.Rename(to, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := faultdisk.Rename(from, to); err != nil {
		return err
	}
	// Else the old name may come back, without some of the files.
	if err := faultdisk.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return faultdisk.RemoveAll(old)
}
