package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
)

// Open opens a group's log, snapshots and state. Nothing runs before
// [Group.Run]; a group that is not run must be closed. An error that wraps
// [ErrDamaged] means that this replica must be replaced.
func Open(cfg Config) (g *Group, err error) {
	g = &Group{cfg: cfg.withDefaults(), started: time.Now(), pokes: make(chan struct{}, 1), failed: make(chan struct{})}
	g.moved.L = &g.movedMu
	g.replies.max = g.cfg.MaxRequests
	if err := g.open(); err != nil {
		// Without a note: what is found by opening is found by opening again, and
		// files that were put back are good.
		return nil, fmt.Errorf("group %d: %w", cfg.Core.Group, damage(errors.Join(err, g.release())))
	}
	return g, nil
}

func (g *Group) open() (err error) {
	if err := faultdisk.MkdirAll(g.cfg.Dir, 0o755); err != nil {
		return err
	}
	if err := readDamage(g.cfg.Dir); err != nil {
		return err
	}
	if g.snaps, err = raftlog.OpenSnapshots(filepath.Join(g.cfg.Dir, "snapshots")); err != nil {
		return err
	}
	if err := errors.Join(faultdisk.RemoveAll(filepath.Join(g.cfg.Dir, backupDir)), g.plantSeed()); err != nil {
		return err
	}
	g.snaps.Verify(func(dir string) error { return g.scrubCopy(context.Background(), dir, 0) })
	snapshot, _ := g.snaps.Newest()
	o := raftlog.Options{
		Dir: filepath.Join(g.cfg.Dir, "log"), Group: uint64(g.cfg.Core.Group), Durability: g.cfg.Durability, Snapshot: snapshot,
		OnSync:  g.cfg.Metrics.Synced,
		OnFault: func(err error) { g.fail("log", fmt.Errorf("log: %w", err)) },
	}
	g.cfg.Disk(&o)
	if g.log, err = raftlog.Open(o); err != nil {
		return err
	}
	if err = g.raiseTerm(); err != nil {
		return err
	}
	if err = g.openState(snapshot); err != nil {
		return err
	}
	if err = g.check(snapshot); err != nil {
		return err
	}
	if index, c := g.snaps.Configuration(); index > 0 {
		g.members.Store(&configuration{index: index, servers: c.Servers})
	}
	g.records, err = newRecords(g.log, g.fail)
	return err
}

func (g *Group) stateDir() string { return filepath.Join(g.cfg.Dir, "state") }

// openState opens the state. One that is older than the newest snapshot (the
// replica was stopped while it installed that) is replaced by it.
func (g *Group) openState(snapshot uint64) error {
	store, c, err := g.openStore()
	if err == nil && store.Applied() < snapshot {
		err = store.Close()
		if err == nil {
			err = g.extract()
		}
		if err == nil {
			store, c, err = g.openStore()
		}
	}
	if err != nil {
		return err
	}
	g.store, g.core = store, c
	g.level.Store(c.Level())
	g.cfg.Placed(c.Placements())
	g.restored.Store(store.Applied())
	return nil
}

// extract puts the newest snapshot in the state's place.
func (g *Group) extract() error {
	incoming := filepath.Join(g.cfg.Dir, "incoming")
	if err := faultdisk.RemoveAll(incoming); err != nil {
		return err
	}
	if err := g.snaps.Extract(incoming); err != nil {
		return err
	}
	return replaceDir(incoming, g.stateDir())
}

// openStore opens the store and a core over it. Opening reads rows, whose
// faults are raised.
func (g *Group) openStore() (store Store, c *core.Core, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = faultOf(0, r)
		}
		if err != nil && store != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if store, err = g.cfg.OpenStore(g.stateDir(), false); err != nil {
		return nil, nil, fmt.Errorf("state: %w", err)
	}
	c, err = core.New(g.cfg.Core, store)
	return store, c, err
}

// writeBehind is a store that writes.
type writeBehind struct {
	stop context.CancelFunc
	done chan struct{}
}

// runStore starts a store's write-behind, and watches it.
func (g *Group) runStore(store Store) *writeBehind {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writeBehind{stop: cancel, done: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-ctx.Done():
		case <-store.Failed():
			g.fail("state", fmt.Errorf("state: %w", store.Err()))
		}
	})
	running.Go(func() {
		defer cancel()
		if err := store.Run(ctx); err != nil {
			g.fail("state", fmt.Errorf("state: %w", err))
		}
	})
	go func() { running.Wait(); close(w.done) }()
	return w
}

// closeStore writes what is pending, waits for the write-behind and closes.
func (g *Group) closeStore() error {
	if g.store == nil {
		return nil
	}
	err := g.writing.close(g.store)
	g.store, g.core, g.writing = nil, nil, nil
	return err
}

// close ends the write-behind, if it was started, and closes the store.
func (w *writeBehind) close(store Store) error {
	if w != nil {
		w.stop()
		<-w.done
	}
	return store.Close()
}

// check refuses a log that lacks what the state or a snapshot has. One that a
// snapshot has overtaken, because the replica was stopped while it installed
// that, begins anew behind it.
func (g *Group) check(snapshot uint64) error {
	last, err := g.log.LastIndex()
	if err != nil {
		return err
	}
	first, err := g.log.FirstIndex()
	if err != nil {
		return err
	}
	if last > 0 && last < snapshot {
		if err := g.log.DeleteRange(first, last); err != nil {
			return err
		}
		first, last = 0, 0
	}
	// A snapshot's index may be that of an entry that does nothing to the state.
	applied := max(g.store.Applied(), snapshot)
	if end := max(last, snapshot); applied > end {
		return fmt.Errorf("%w: it ends at %d, the state is at %d", raftlog.ErrBehind, end, applied)
	}
	if first > 1 && applied+1 < first {
		return fmt.Errorf("%w: the state is at %d, the log begins at %d", raftlog.ErrBehind, applied, first)
	}
	return nil
}

// startRaft joins the group, which is made first if it is new.
func (g *Group) startRaft() (err error) {
	layer, err := g.cfg.Port.Layer(uint64(g.cfg.Core.Group), g.cfg.Replica)
	if err != nil {
		return err
	}
	g.streams = newStreams(layer)
	defer func() {
		if r := recover(); r != nil { // so Raft reports that it can't read a record
			err = fmt.Errorf("log: start raft: %v", r)
			if e, ok := r.(error); ok {
				err = fmt.Errorf("log: start raft: %w", e)
			}
		}
	}()
	logger := newRaftLogger(g.cfg.Log, g.cfg.Core.Group)
	trans := &transport{refused: make(chan struct{}, 1), NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: g.streams, MaxPool: 3, MaxRPCsInFlight: 4, Timeout: 5 * time.Second, Logger: logger,
	})}
	conf := g.raftConfig(logger)
	if err := g.forgetHalfBootstrap(); err != nil {
		return err
	}
	exists, err := raft.HasExistingState(g.records, g.records, g.snaps)
	if err != nil {
		return err
	}
	if !exists && len(g.cfg.Voters) > 0 {
		if err := raft.BootstrapCluster(conf, g.records, g.records, g.snaps, trans, founders(g.cfg.Voters)); err != nil {
			return errors.Join(err, trans.Close())
		}
	}
	r, err := raft.NewRaft(conf, fsm{g}, g.records, g.records, g.snaps, trans)
	if err != nil {
		return errors.Join(err, trans.Close())
	}
	g.raft, g.trans = r, trans
	g.records.running.Store(true)
	g.joined.Store(true)
	return nil
}

// forgetHalfBootstrap takes back the term of a bootstrap that ended between its
// two writes, the term and the first entry. Raft would take it for a replica
// that has lived, and wait for others to tell it of a configuration.
func (g *Group) forgetHalfBootstrap() error {
	last, err := g.records.LastIndex()
	if snapshot, _ := g.snaps.Newest(); err != nil || last > 0 || snapshot > 0 || len(g.cfg.Voters) == 0 {
		return err
	}
	term, err := g.records.GetUint64([]byte("CurrentTerm")) // Raft's names
	if err != nil || term != 1 {
		return err
	}
	if vote, err := g.records.GetUint64([]byte("LastVoteTerm")); vote != 0 || err != nil {
		return err
	}
	return g.records.SetUint64([]byte("CurrentTerm"), 0)
}

func (g *Group) raftConfig(logger hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(g.cfg.Replica)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = g.cfg.Timeout, g.cfg.Timeout, g.cfg.Timeout
	if len(g.cfg.Voters) == 1 {
		// Nobody else can be leader: there is nothing to wait for.
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = soloTimeout, soloTimeout, soloTimeout
	}
	c.CommitTimeout = 50 * time.Millisecond
	c.BatchApplyCh = true
	c.MaxAppendEntries = 64
	c.NoSnapshotRestoreOnStart = true
	c.TrailingLogs = g.cfg.TrailingEntries
	c.SnapshotThreshold = math.MaxUint64 // the group decides; see keep
	c.SnapshotInterval = time.Hour
	c.NoLegacyTelemetry = true
	c.Logger = logger
	return c
}

// soloTimeout is Raft's timeout in a group of one voter.
const soloTimeout = 100 * time.Millisecond
