package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/node"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
	"anabranch.dev/state/pebblestate"
)

// look is a look at one replica.
type look struct {
	cfg     Config
	report  *Report
	offline *node.Offline
	replica *node.OfflineReplica
	name    string // of the node
	seen    Replica
	named   []string // replicas that log and snapshots name as members
}

func (l *look) add(part Part, place, text string) {
	l.report.add(l.name, l.replica.Group, part, place, text)
}

// all looks at everything. An error ends the whole look.
func (l *look) all(ctx context.Context) error {
	l.seen = Replica{Node: l.name, Group: l.replica.Group, Replica: l.replica.ID}
	if err := l.replica.Damaged(); err != nil {
		l.add(Note, "damaged", err.Error())
	}
	if entries, err := os.ReadDir(l.replica.Dir); err != nil || len(entries) == 0 {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if l.replica.Made {
			l.add(Log, filepath.Base(l.replica.Dir), "its files are gone")
		}
		return nil
	}
	if dir, ok := l.replica.Seed(); ok {
		return l.seed(ctx, dir)
	}
	snapshots := l.snapshots()
	l.log()
	l.members()
	if err := l.state(ctx); err != nil {
		return err
	}
	for _, s := range snapshots {
		if err := l.snapshotState(ctx, s); err != nil {
			return err
		}
	}
	l.report.Replicas = append(l.report.Replicas, l.seen)
	return nil
}

// seed looks at a replica that has only what a new incarnation begins with.
func (l *look) seed(ctx context.Context, dir string) error {
	l.progress("state of the new incarnation")
	found, err := l.inspect(ctx, dir, func(place string, err error) { l.add(statePart(place), "seed/"+place, err.Error()) })
	if err != nil {
		return err
	}
	l.take(found)
	if found.Reader != nil {
		err = l.rows(found)
	}
	l.report.Replicas = append(l.report.Replicas, l.seen)
	return errors.Join(err, found.Close())
}

func (l *look) take(found *pebblestate.Inspected) {
	l.seen.Tables, l.seen.Bytes, l.seen.Rows, l.seen.Applied, l.seen.digests = found.Tables, found.Bytes, found.Rows, found.Applied, found.Digests
}

func (l *look) progress(what string) {
	l.cfg.Progress(fmt.Sprintf("node %s, group %d: %s", l.name, l.replica.Group, what))
}

// snapshots compares their files with what is written of them.
func (l *look) snapshots() []raftlog.InspectedSnapshot {
	l.progress("snapshots")
	list := raftlog.InspectSnapshots(filepath.Join(l.replica.Dir, "snapshots"), func(place string, err error) { l.add(Snapshot, place, err.Error()) })
	for _, s := range list {
		l.seen.Snapshot = max(l.seen.Snapshot, s.Index)
		l.named = append(l.named, s.Replicas...)
	}
	return list
}

func (l *look) log() {
	l.progress("log")
	found := raftlog.Inspection{
		Dir: filepath.Join(l.replica.Dir, "log"), Group: uint64(l.replica.Group), Snapshot: l.seen.Snapshot,
		Entry: func(_ uint64, data []byte) error {
			if err := l.cfg.Codec.Decode(data, new(core.Entry)); err != nil {
				return fmt.Errorf("entry is not readable: %w", err)
			}
			return nil
		},
		Fault: func(place string, err error) { l.add(logPart(place), place, err.Error()) },
	}.Run()
	l.seen.First, l.seen.Last, l.seen.Records = found.First, found.Last, found.Records
	l.named = append(l.named, found.Replicas...)
}

// members wants the replica among those that its files tell of: files of another
// node look good otherwise.
func (l *look) members() {
	if l.replica.ID == "" || !l.replica.Made || len(l.named) == 0 || slices.Contains(l.named, l.replica.ID) {
		return
	}
	slices.Sort(l.named)
	l.add(Identity, filepath.Base(l.replica.Dir), fmt.Sprintf("its files are not of replica %s: they tell of %s", l.replica.ID, strings.Join(slices.Compact(l.named), ", ")))
}

// state reads the state, and what its rows say.
func (l *look) state(ctx context.Context) error {
	l.progress("state")
	dir := filepath.Join(l.replica.Dir, "state")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !l.replica.Made {
		return nil // a new replica that a crash cut short
	}
	found, err := l.inspect(ctx, dir, func(place string, err error) { l.add(statePart(place), place, err.Error()) })
	if err != nil {
		return err
	}
	l.take(found)
	switch {
	case found.Newer > 0: // wrong is who looks: no finding would mean anything
		err = &core.UnknownLevel{Knows: core.Level, Needs: uint64(found.Newer)}
	case found.Reader != nil:
		l.applied(found.Applied)
		err = l.rows(found)
	}
	return errors.Join(err, found.Close())
}

func (l *look) inspect(ctx context.Context, dir string, fault func(place string, err error)) (*pebblestate.Inspected, error) {
	return pebblestate.Inspect(ctx, pebblestate.Options{Dir: dir, Tables: core.Tables(l.cfg.Plan), Codec: l.cfg.Codec, Knows: core.Level}, fault)
}

// applied compares how far the state is with what the log has.
func (l *look) applied(index uint64) {
	index = max(index, l.seen.Snapshot) // an older state is replaced by the snapshot
	switch end := max(l.seen.Last, l.seen.Snapshot); {
	case index > end:
		l.add(Applied, "state", fmt.Sprintf("it is at entry %d, the log ends at %d", index, end))
	case l.seen.First > 1 && index+1 < l.seen.First:
		l.add(Applied, "state", fmt.Sprintf("it is at entry %d, the log begins at %d", index, l.seen.First))
	}
}

// rows checks what the rows say, once they are known to be those written.
func (l *look) rows(found *pebblestate.Inspected) error {
	if !l.offline.Known {
		return nil // how many shards and groups there are is not known
	}
	l.progress("rows")
	if err := core.Inspect(l.coreConfig(), found.Reader, found.Shards, func(place, what string) { l.add(Core, place, what) }); err != nil {
		return err
	}
	partial, err := core.PartialShards(found.Reader, l.offline.Shards, l.replica.Group)
	if err != nil {
		return err
	}
	whole := slices.DeleteFunc(slices.Clone(found.Shards), func(s state.Shard) bool { return partial[s] })
	return l.cfg.Invariants(found.Reader, whole, func(place, what string) { l.add(Invariant, place, what) })
}

// snapshotState reads the state in a snapshot.
func (l *look) snapshotState(ctx context.Context, s raftlog.InspectedSnapshot) error {
	if !s.Whole {
		return nil // said already, by file
	}
	l.progress("snapshot " + s.ID)
	found, err := l.inspect(ctx, s.State, func(place string, err error) {
		l.add(Snapshot, "snapshots/"+s.ID+"/"+place, err.Error())
	})
	if err != nil {
		return err
	}
	// Its index may be that of an entry that does nothing to the state.
	if found.Reader != nil && found.Applied > s.Index {
		l.add(Snapshot, "snapshots/"+s.ID, fmt.Sprintf("its state is at entry %d", found.Applied))
	}
	return found.Close()
}
