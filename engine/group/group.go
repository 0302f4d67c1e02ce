package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
)

// Group is one Raft group on this node.
type Group struct {
	cfg   Config
	log   *raftlog.Log
	snaps *raftlog.Snapshots
	layer *layer
	trans *raft.NetworkTransport
	raft  *raft.Raft // set before joined is

	joined atomic.Bool

	started time.Time // wall time that the clock counts from, monotonically

	// mu is the apply mutex: it guards core and store, and is held when the
	// tenure changes, so that a tenure hears of every entry after its start. It
	// is held for one entry, or one query, at a time.
	mu        sync.Mutex
	core      *core.Core
	store     Store
	tenure    atomic.Pointer[tenure]
	storeStop context.CancelFunc
	storeDone chan struct{}

	appliedIndex atomic.Uint64 // last index of any kind that has passed
	restored     atomic.Uint64 // index of the state when it was opened
	logBytes     atomic.Int64  // of entries since the last snapshot
	halted       atomic.Bool
	leading      atomic.Bool // a tenure is serving
	moved        sync.Cond   // broadcast when appliedIndex moves
	movedMu      sync.Mutex

	replies replies
	verify  verifier
	pokes   chan struct{} // wakes the lead loop between tenures

	failOnce sync.Once
	failed   chan struct{} // closed by the first fault
	fault    error

	waits sync.WaitGroup // for Raft's futures: they end with Raft
}

// trailingLogs is how many entries stay in the log behind a snapshot, for
// followers that are a little late.
const trailingLogs = 256

// Open opens a group's log, snapshots and state. Nothing runs before
// [Group.Run]; a group that is not run must be closed.
func Open(cfg Config) (g *Group, err error) {
	g = &Group{cfg: cfg.withDefaults(), started: time.Now(), pokes: make(chan struct{}, 1), failed: make(chan struct{})}
	g.moved.L = &g.movedMu
	g.replies.max = g.cfg.MaxRequests
	defer func() {
		if err != nil {
			err = fmt.Errorf("group %d: %w", cfg.Core.Group, errors.Join(err, g.release()))
			g = nil
		}
	}()
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return g, err
	}
	if g.snaps, err = raftlog.OpenSnapshots(filepath.Join(cfg.Dir, "snapshots")); err != nil {
		return g, err
	}
	snapshot, _ := g.snaps.Newest()
	o := raftlog.Options{
		Dir: filepath.Join(cfg.Dir, "log"), Group: uint64(cfg.Core.Group), Durability: cfg.Durability, Snapshot: snapshot,
		OnSync:  cfg.Metrics.Synced,
		OnFault: func(err error) { g.fail("log", fmt.Errorf("log: %w", err)) },
	}
	g.cfg.Disk(&o)
	if g.log, err = raftlog.Open(o); err != nil {
		return g, err
	}
	if err = g.openState(snapshot); err != nil {
		return g, err
	}
	return g, g.check(snapshot)
}

func (g *Group) stateDir() string { return filepath.Join(g.cfg.Dir, "state") }

// openState opens the state. One that is older than the newest snapshot (the
// replica was stopped while it installed that) is replaced by it.
func (g *Group) openState(snapshot uint64) error {
	if err := g.openStore(); err != nil {
		return err
	}
	if g.store.Applied() >= snapshot {
		return nil
	}
	if err := g.closeStore(); err != nil {
		return err
	}
	incoming := filepath.Join(g.cfg.Dir, "incoming")
	if err := os.RemoveAll(incoming); err != nil {
		return err
	}
	if err := g.snaps.Extract(incoming); err != nil {
		return err
	}
	if err := replaceDir(incoming, g.stateDir()); err != nil {
		return err
	}
	return g.openStore()
}

// openStore opens the store and a core over it. Opening reads rows, whose
// faults are raised.
func (g *Group) openStore() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = faultOf(0, r)
		}
	}()
	if g.store, err = g.cfg.OpenStore(g.stateDir()); err != nil {
		g.store = nil
		return err
	}
	if g.core, err = core.New(g.cfg.Core, g.store); err != nil {
		return err
	}
	g.restored.Store(g.store.Applied())
	return nil
}

// runStore starts the store's write-behind.
func (g *Group) runStore() {
	ctx, cancel := context.WithCancel(context.Background())
	store, done := g.store, make(chan struct{})
	g.storeStop, g.storeDone = cancel, done
	go func() {
		defer close(done)
		if err := store.Run(ctx); err != nil {
			g.fail("state", fmt.Errorf("state: %w", err))
		}
	}()
}

// closeStore writes what is pending, waits for the write-behind and closes.
func (g *Group) closeStore() error {
	if g.store == nil {
		return nil
	}
	if g.storeStop != nil {
		g.storeStop()
		<-g.storeDone
		g.storeStop = nil
	}
	err := g.store.Close()
	g.store, g.core = nil, nil
	return err
}

// check refuses a log that lacks what the state or a snapshot has.
func (g *Group) check(snapshot uint64) error {
	last, err := g.log.LastIndex()
	if err != nil {
		return err
	}
	first, err := g.log.FirstIndex()
	if err != nil {
		return err
	}
	applied := g.store.Applied()
	if end := max(last, snapshot); applied > end {
		return fmt.Errorf("%w: it ends at %d, the state is at %d", raftlog.ErrBehind, end, applied)
	}
	if first > 1 && applied+1 < first {
		return fmt.Errorf("%w: the state is at %d, the log begins at %d", raftlog.ErrBehind, applied, first)
	}
	return nil
}

// now is the group's clock: wall time at the start plus what has passed since,
// so that it never goes back.
func (g *Group) now() state.Time { return state.TimeOf(g.started.Add(time.Since(g.started))) }

// startRaft joins the group, which is made first if it is new.
func (g *Group) startRaft() error {
	var err error
	if g.layer, err = g.cfg.Port.layer(uint64(g.cfg.Core.Group), g.cfg.Replica); err != nil {
		return err
	}
	logger := newRaftLogger(g.cfg.Log, g.cfg.Core.Group)
	g.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: g.layer, MaxPool: 3, MaxRPCsInFlight: 4, Timeout: 10 * time.Second, Logger: logger,
	})
	conf := g.raftConfig(logger)
	exists, err := raft.HasExistingState(g.log, g.log, g.snaps)
	if err != nil {
		return err
	}
	if !exists {
		var first raft.Configuration
		for _, v := range g.cfg.Voters {
			first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(v), Address: raft.ServerAddress(v)})
		}
		if err := raft.BootstrapCluster(conf, g.log, g.log, g.snaps, g.trans, first); err != nil {
			return err
		}
	}
	if g.raft, err = raft.NewRaft(conf, fsm{g}, g.log, g.log, g.snaps, g.trans); err != nil {
		g.raft = nil
		return err
	}
	g.joined.Store(true)
	return nil
}

func (g *Group) raftConfig(logger hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(g.cfg.Replica)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = g.cfg.Timeout, g.cfg.Timeout, g.cfg.Timeout
	if len(g.cfg.Voters) == 1 {
		// Nobody else can be leader: there is nothing to wait for.
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = soloTimeout, soloTimeout, soloTimeout
	}
	c.CommitTimeout = 5 * time.Millisecond
	c.BatchApplyCh = true
	c.MaxAppendEntries = 64
	c.NoSnapshotRestoreOnStart = true
	c.TrailingLogs = trailingLogs
	c.SnapshotThreshold = math.MaxUint64 // the group decides; see keep
	c.SnapshotInterval = time.Hour
	c.NoLegacyTelemetry = true
	c.Logger = logger
	return c
}

// soloTimeout is Raft's timeout in a group of one voter.
const soloTimeout = 100 * time.Millisecond

// Run serves until ctx ends, then stops in order. It returns nil after an
// orderly stop and else the fault that stopped the replica. The group is closed
// afterwards.
func (g *Group) Run(ctx context.Context) error {
	g.runStore()
	err := g.startRaft()
	if err == nil {
		var loops sync.WaitGroup
		ctx, cancel := context.WithCancel(ctx)
		loops.Go(func() { g.lead(ctx) })
		loops.Go(func() { g.keep(ctx) })
		loops.Go(func() { g.watchStore(ctx) })
		select {
		case <-ctx.Done():
		case <-g.failed:
			cancel()
		}
		loops.Wait()
		cancel()
	}
	if err = errors.Join(err, g.stop()); err != nil {
		return fmt.Errorf("group %d: %w", g.cfg.Core.Group, err)
	}
	return nil
}

// watchStore notices a disk that fails behind the state.
func (g *Group) watchStore(ctx context.Context) {
	g.mu.Lock()
	store := g.store
	g.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-store.Failed():
		g.fail("state", fmt.Errorf("state: %w", store.Err()))
	}
}

// stop ends Raft, then closes everything.
func (g *Group) stop() error {
	var errs []error
	if g.raft != nil {
		if g.raft.State() == raft.Leader && len(g.voters()) > 1 && g.Err() == nil {
			// A planned move takes milliseconds, an election does not. Without
			// a willing follower there is an election.
			if err := g.raft.LeadershipTransfer().Error(); err != nil {
				g.cfg.Log.Warn("leadership not transferred", "group", g.cfg.Core.Group, "err", err)
			}
		}
		errs = append(errs, g.raft.Shutdown().Error())
		g.waits.Wait()
	}
	return errors.Join(append(errs, g.release())...)
}

// release closes what Open and startRaft opened. The first fault is what the
// caller should read first.
func (g *Group) release() error {
	var errs []error
	committed := uint64(0)
	if g.raft != nil {
		committed = g.raft.CommitIndex()
	}
	if g.trans != nil {
		errs = append(errs, g.trans.Close())
	} else if g.layer != nil {
		errs = append(errs, g.layer.Close())
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
		g.fault = err
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
