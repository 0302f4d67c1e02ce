package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
)

// A node of a new incarnation has a directory that was made while no process had
// it open: a new identity, and for each group a state to begin with (a seed). It is
// made whole under another name, and renamed.

// partialDir is the end of a directory's name while it is made.
const partialDir = ".partial"

// Restoring says what a node's directory is made of.
type Restoring struct {
	Incarnation uint64
	Snapshot    string // names the snapshot: all nodes of the cluster must be made of one
	Parts       []RestoringPart
}

// RestoringPart is one group's state in a snapshot.
type RestoringPart struct {
	Dir         string // of its files, which are only read
	Index, Term uint64
}

// Restore makes the directory of a node that does not exist yet, of a consistent
// cut of all groups. The nodes made of one snapshot are then formed into a cluster
// as new ones are. What it writes differs from the snapshot in one row per group,
// the group's own.
func Restore(ctx context.Context, cfg Config, r Restoring) error {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return err
	}
	if len(r.Parts) != cfg.Groups {
		return fmt.Errorf("%d groups in the snapshot, %d in the configuration", len(r.Parts), cfg.Groups)
	}
	if entries, err := os.ReadDir(cfg.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s holds a node already; name an empty or new directory", ErrForeign, cfg.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory %w", err)
	}
	partial := cfg.Dir + partialDir
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	id := cfg.identity()
	id.Incarnation, id.Snapshot = r.Incarnation, r.Snapshot
	for g, p := range r.Parts {
		if _, err := cfg.seed(ctx, partial, g, p.Dir, &group.Seeding{
			Core: cfg.offlineCore(g, r.Incarnation), Lanes: core.LanesGoOn, Index: p.Index, Term: p.Term}); err != nil {
			return errors.Join(err, os.RemoveAll(partial))
		}
	}
	if err := writeIdentity(filepath.Join(partial, identityFile), id); err != nil {
		return err
	}
	if err := os.Remove(cfg.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return fmt.Errorf("data directory %w", err)
	}
	return errors.Join(os.Rename(partial, cfg.Dir), raftlog.SyncDir(filepath.Dir(filepath.Clean(cfg.Dir))))
}

// Seed is where the state lies that a replica of a new incarnation will begin
// with, until it is opened for the first time.
func (r *OfflineReplica) Seed() (dir string, ok bool) { return group.SeedState(r.Dir) }

// seed makes a group's seed of a copy of a state, or of none.
func (c *Config) seed(ctx context.Context, partial string, g int, from string, s *group.Seeding) (group.Seeded, error) {
	s.Dir = (&directory{path: partial}).groupDir(g)
	s.From = filepath.Join(partial, "work")
	if err := errors.Join(os.RemoveAll(s.From), os.RemoveAll(s.Dir), os.MkdirAll(s.Dir, 0o755)); err != nil {
		return group.Seeded{}, fmt.Errorf("data directory %w", err)
	}
	if from == "" {
		if err := os.Mkdir(s.From, 0o755); err != nil {
			return group.Seeded{}, fmt.Errorf("data directory %w", err)
		}
	} else if err := raftlog.CopyState(from, s.From); err != nil {
		return group.Seeded{}, fmt.Errorf("group %d: copy state: %w", g, err)
	}
	tables := core.Tables(c.Plan)
	s.OpenStore = func(dir string, copy bool) (group.Store, error) {
		return c.OpenStore(StoreOptions{Group: g, Dir: dir, Copy: copy, Tables: tables, HotMemory: c.HotMemory / int64(c.Groups)})
	}
	return group.MakeSeed(ctx, *s)
}

// offlineCore is what a group's core must know.
func (c *Config) offlineCore(g int, incarnation uint64) core.Config {
	return core.Config{Plan: c.Plan, Codec: c.Codec, Shards: c.Shards, Group: g, Groups: c.Groups,
		GroupOf:     func(s state.Shard) int { return firstGroup(s, c.Shards, c.Groups) },
		Incarnation: incarnation, Lateness: state.Time(c.Lateness.Microseconds()), Clock: core.Clock(c.Clock), Fields: c.Fields, Knows: c.knows}
}

// identity is that of a new directory.
func (c *Config) identity() identity {
	return identity{Format: identityFormat, Cluster: c.Cluster, Node: c.ID, Shards: c.Shards, Groups: c.Groups,
		Clock: c.Clock, Lateness: c.Lateness.String(), Fingerprint: c.Fingerprint, Incarnation: 1, Stage: stageNew}
}
