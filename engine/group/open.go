package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/raftlog"
)

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
