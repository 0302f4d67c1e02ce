package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
)

// A seed is what a group of a new incarnation begins with, in place of nothing:
// a state, and the index and term that count as those of its last entry. It lies
// in the group's directory until the group is opened for the first time, with its
// voters known; then it becomes a snapshot like any other.
const (
	seedDir   = "seed"
	seedFile  = "seed.json"
	seedState = "state"
)

type seed struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
}

// Seeding says what to make a seed of.
type Seeding struct {
	Core      core.Config // of the new incarnation
	OpenStore func(dir string, copy bool) (Store, error)
	// From holds the files of a state, which are changed and moved away.
	From string
	// Dir is the group's directory in the new life.
	Dir   string
	Lanes core.Lanes
	// Replay applies what the state lacks, and returns the index and term of the
	// last entry that counts. Nil: the state is at Index, of Term.
	Replay      func(c *core.Core, applied uint64) (index, term uint64, err error)
	Index, Term uint64
}

// Seeded is what a seed holds.
type Seeded struct {
	Index, Term   uint64 // of the entry that the seed counts as
	LogTime       state.Time
	OutboxRecords int // not known to be in Kafka
	LaneMessages  int // not known to be applied by other groups
	// Placements is where the group believes all shards to be.
	Placements []core.Placement
}

// MakeSeed makes a group's seed in an empty directory.
func MakeSeed(ctx context.Context, s Seeding) (out Seeded, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("group %d: make state of the new incarnation: %w", s.Core.Group, err)
		}
	}()
	store, err := s.OpenStore(s.From, true)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	written := make(chan error, 1)
	running, stop := context.WithCancel(context.Background())
	go func() { written <- store.Run(running) }()
	err = s.begin(ctx, store, &out)
	cancel()
	stop()
	if err = errors.Join(err, <-written, store.Close()); err != nil {
		return out, err
	}
	b, err := json.Marshal(seed{out.Index, out.Term})
	if err != nil {
		return out, err
	}
	dir := filepath.Join(s.Dir, seedDir)
	return out, errors.Join(writeSynced(filepath.Join(dir, seedFile), b), raftlog.SyncDir(dir), raftlog.SyncDir(s.Dir), faultdisk.RemoveAll(s.From))
}

// begin brings the state to where the new life begins, and copies it out.
func (s *Seeding) begin(ctx context.Context, store Store, out *Seeded) (err error) {
	defer func() {
		if r := recover(); r != nil { // faults of the state are raised
			err = faultOf(store.Applied(), r)
		}
	}()
	c, err := core.New(s.Core, store)
	if err != nil {
		return err
	}
	index, term := s.Index, s.Term
	if s.Replay != nil {
		if index, term, err = s.Replay(c, store.Applied()); err != nil {
			return err
		}
	}
	// The state has every row behind it written once more than the log, as if
	// an entry of a later term had changed it: a replica that was made of more
	// is ahead, and two that were made of the same are equal.
	out.Index, out.Term = max(index, store.Applied())+1, term+1
	out.LogTime = c.LogTime()
	out.OutboxRecords, _ = c.OutboxDepth()
	c.PendingLanes(func(l core.LaneOut) bool {
		if l.Message.Kind != core.KindWatermark {
			out.LaneMessages++
		}
		return true
	})
	out.Placements = c.Placements()
	c.BeginIncarnation(out.Index, s.Lanes)
	dir := filepath.Join(s.Dir, seedDir)
	if err := faultdisk.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	wait, err := store.BeginCheckpoint(filepath.Join(dir, seedState))
	if err != nil {
		return err
	}
	if _, err := wait(ctx); err != nil {
		return err
	}
	return store.Scrub(ctx, 0) // what was copied is what the digests say
}

func writeSynced(path string, b []byte) error {
	f, err := faultdisk.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// plantSeed makes the group's first snapshot of its seed, if it has one and no
// snapshot yet. A crash in between leaves the seed, or both: its files are linked.
func (g *Group) plantSeed() error {
	dir := filepath.Join(g.cfg.Dir, seedDir)
	b, err := faultdisk.ReadFile(filepath.Join(dir, seedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if index, _ := g.snaps.Newest(); index > 0 {
		return faultdisk.RemoveAll(dir)
	}
	var s seed
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(seedDir, seedFile), err)
	}
	if len(g.cfg.Voters) == 0 {
		return fmt.Errorf("state of a new incarnation is there, but replica %s is none of its founders", g.cfg.Replica)
	}
	k, err := g.snaps.Create(1, s.Index, s.Term, founders(g.cfg.Voters), s.Index, nil)
	if err != nil {
		return err
	}
	sink := k.(*raftlog.Sink) // of raftlog.Snapshots
	if err := raftlog.CopyState(filepath.Join(dir, seedState), sink.Dir()); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	return faultdisk.RemoveAll(dir)
}

// SeedState is where a group's directory keeps the state of its seed, if it has
// one.
func SeedState(dir string) (state string, ok bool) {
	_, err := os.Stat(filepath.Join(dir, seedDir, seedFile))
	return filepath.Join(dir, seedDir, seedState), err == nil
}

// founders are the first voters of a group, as Raft names them.
func founders(voters []string) (c raft.Configuration) {
	for _, v := range voters {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(v), Address: raft.ServerAddress(v)})
	}
	return c
}

// raiseTerm makes the stored term no lower than the newest snapshot's: a group
// that begins with a seed has never voted.
func (g *Group) raiseTerm() error {
	_, snapshot := g.snaps.Newest()
	term, err := g.log.GetUint64([]byte("CurrentTerm")) // Raft's name
	if err != nil || term >= snapshot {
		return err
	}
	return g.log.SetUint64([]byte("CurrentTerm"), snapshot)
}
