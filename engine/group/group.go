package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
)

// Group is one Raft group on this node.
type Group struct {
	cfg     Config
	log     *raftlog.Log
	snaps   *raftlog.Snapshots
	records *records
	streams *streams
	trans   *transport
	raft    *raft.Raft // set before joined is, as trans is

	joined atomic.Bool

	started time.Time // wall time that the clock counts from, monotonically

	// mu is the apply mutex: it guards core and store, and is held when the
	// tenure changes, so that a tenure hears of every entry after its start. It
	// is held for one entry, or one query, at a time.
	mu      sync.Mutex
	core    *core.Core
	store   Store
	tenure  atomic.Pointer[tenure]
	writing *writeBehind // nil before Run

	members      atomic.Pointer[configuration]
	digests      digests
	appliedIndex atomic.Uint64 // last index of any kind that has passed
	restored     atomic.Uint64 // index of the state when it was opened
	logBytes     atomic.Int64  // of entries since the last snapshot
	shardChanges atomic.Uint64 // shards that came, left, were frozen or thawed
	halted       atomic.Bool
	level        atomic.Uint64 // feature level in force
	stalled      atomic.Bool   // the disk hung while this replica led
	moved        sync.Cond     // broadcast when appliedIndex moves
	movedMu      sync.Mutex

	reading sync.Mutex // held while state and snapshot are read through

	replies replies
	backups backups
	verify  verifier
	pokes   chan struct{} // wakes the lead loop between tenures

	failOnce sync.Once
	failed   chan struct{} // closed by the first fault
	fault    error

	waits sync.WaitGroup // for Raft's futures: they end with Raft
}

// now is the group's clock: wall time at the start plus what has passed since,
// so that it never goes back.
func (g *Group) now() state.Time {
	return state.TimeOf(g.started.Add(time.Since(g.started) + g.cfg.ahead + faultdisk.ClockStep()))
}

// Run serves until ctx ends, then stops in order. It returns nil after an
// orderly stop and else the fault that stopped the replica. The group is closed
// afterwards.
func (g *Group) Run(ctx context.Context) error {
	g.writing = g.runStore(g.store)
	err := g.startRaft()
	if err == nil {
		var loops sync.WaitGroup
		ctx, cancel := context.WithCancel(ctx)
		for _, loop := range []func(context.Context){g.lead, g.keep, g.watchDisk, g.scrub, g.recheck, g.suspect} {
			loops.Go(func() { loop(ctx) })
		}
		select {
		case <-ctx.Done():
		case <-g.failed:
			g.wakeReaders()
			g.noteDamage(g.fault)
			cancel()
		}
		loops.Wait()
		cancel()
	}
	if err = errors.Join(err, g.stop()); err != nil {
		err = fmt.Errorf("group %d: %w", g.cfg.Core.Group, damage(err))
		g.noteDamage(err)
		return err
	}
	return nil
}

// stop ends Raft, then closes everything.
func (g *Group) stop() error {
	var errs []error
	if g.raft != nil {
		if g.raft.State() == raft.Leader && len(g.voters()) > 1 && !g.stalled.Load() {
			// A planned move takes milliseconds, an election does not. Without
			// a willing follower there is an election.
			if err := g.transfer(""); err != nil {
				g.cfg.Log.Warn("leadership not transferred", "group", g.cfg.Core.Group, "err", err)
			}
		}
		// Raft answers every proposal while it lives, as leader or not, but
		// forgets those it had only buffered when it is shut down.
		answered := make(chan struct{})
		go func() { g.waits.Wait(); close(answered) }()
		g.awaitAnswers(answered)
		down := g.raft.Shutdown()
		// Else a peer that doesn't answer holds up the end of Raft.
		errs = append(errs, g.streams.Close(), down.Error())
		if !g.awaitAnswers(answered) {
			g.cfg.Log.Warn("raft left proposals without an answer", "group", g.cfg.Core.Group)
		}
	}
	return errors.Join(append(errs, g.release())...)
}

// awaitAnswers waits until Raft has answered everything it was asked, or, when
// its disk hangs, for as long as an orderly stop may take.
func (g *Group) awaitAnswers(answered <-chan struct{}) bool {
	limit := time.NewTimer(g.cfg.Drain)
	defer limit.Stop()
	select {
	case <-answered:
		return true
	case <-limit.C:
		return false
	}
}

// release closes what Open and startRaft opened. The first fault is what the
// caller should read first.
func (g *Group) release() error {
	var errs []error
	committed := uint64(0)
	if g.raft != nil {
		committed = g.raft.CommitIndex()
	}
	if g.streams != nil {
		errs = append(errs, g.streams.Close())
	}
	g.mu.Lock()
	errs = append(errs, g.closeStore())
	g.mu.Unlock()
	if g.log != nil {
		errs = append(errs, g.log.Close(committed))
		g.log = nil
	}
	if fault := g.Err(); fault != nil {
		return fault // what follows from it is not news
	}
	return errors.Join(errs...)
}

// Close releases a group that was never run.
func (g *Group) Close() error { return g.release() }

// fail records the first fault and has the group stopped. It never blocks.
func (g *Group) fail(part string, err error) {
	g.failOnce.Do(func() {
		g.cfg.Metrics.Fault(part)
		g.fault = damage(err)
		if errors.Is(g.fault, ErrDamaged) { // the process may go on; any other fault is what Run returns
			g.cfg.Log.Error("replica stops", "group", g.cfg.Core.Group, "err", g.fault)
		}
		close(g.failed)
	})
}

func (g *Group) stopped() bool {
	select {
	case <-g.failed:
		return true
	default:
		return false
	}
}

// Err is the fault that stopped the replica, or nil.
func (g *Group) Err() error {
	if g.stopped() {
		return g.fault
	}
	return nil
}

// Applied is the index up to which the log is applied here.
func (g *Group) Applied() uint64 {
	applied := g.appliedIndex.Load()
	if !g.joined.Load() {
		return applied
	}
	return g.records.passed(applied, g.raft.CommitIndex())
}

// Commit is the index up to which this replica knows the log to be committed.
func (g *Group) Commit() uint64 {
	if !g.joined.Load() {
		return 0
	}
	return g.raft.CommitIndex()
}

// advance notes that the log has been applied up to an index.
func (g *Group) advance(index uint64) {
	g.movedMu.Lock()
	if index > g.appliedIndex.Load() {
		g.appliedIndex.Store(index)
	}
	g.movedMu.Unlock()
	g.moved.Broadcast()
}

// poke wakes the lead loop when it waits between tenures.
func (g *Group) poke() {
	select {
	case g.pokes <- struct{}{}:
	default:
	}
}
