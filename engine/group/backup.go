package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
)

// ErrHoldLost: lanes were not held back all the time, because it took too long
// or because the leader has changed.
var ErrHoldLost = errors.New("lanes were not held back until the end")

// HoldLanes keeps everything between groups out of this group's log until
// [Group.ReleaseLanes], but for so long at most, and returns once nothing of that
// kind is under way. Everything else goes on. It works on the leader only.
func (g *Group) HoldLanes(ctx context.Context, id string, limit time.Duration) error {
	begun := false
	for {
		var lasts, complete bool
		leads, err := g.look(ctx, func(t *tenure) {
			if !begun {
				t.machines.Hold(id, g.now()+state.Time(limit.Microseconds()))
			}
			lasts, complete = t.machines.Held(id, g.now())
		})
		switch {
		case err != nil:
			return err
		case !leads:
			return ErrNotLeader
		case !lasts:
			return ErrHoldLost
		case complete:
			return nil
		}
		begun = true
		if !g.waitForEntry(ctx) {
			return errors.Join(ctx.Err(), g.Err())
		}
	}
}

// waitForEntry waits a moment, in which an entry on its way may be applied. It
// returns false if ctx ended or the replica stopped.
func (g *Group) waitForEntry(ctx context.Context) bool {
	t := time.NewTimer(2 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-g.failed:
	}
	return false
}

// ReleaseLanes ends a hold. [ErrHoldLost] if it has not lasted until now.
func (g *Group) ReleaseLanes(ctx context.Context, id string) error {
	lasted := false
	leads, err := g.look(ctx, func(t *tenure) { lasted = t.machines.Release(id, g.now()) })
	if err == nil && (!leads || !lasted) {
		return ErrHoldLost
	}
	return err
}

const (
	backupDir = "backup"
	// backupKept is how long a copy is kept that nobody reads.
	backupKept = 5 * time.Minute
	// maxBackups is how many there may be of one group at a time: each keeps
	// files alive that the state needs no more.
	maxBackups = 2
	// MaxBackupRead is how much of a file is read at a time.
	MaxBackupRead = 4 << 20
)

// Copy is a copy of the group's state as of one entry, on its disk, for whoever
// fetches it.
type Copy struct {
	Index, Term uint64
	LogTime     state.Time
	Files       []CopiedFile // in the order of names
}

// CopiedFile is one file of a copy.
type CopiedFile struct {
	Name string
	Size int64
}

// backups are the copies that are kept.
type backups struct {
	mu   sync.Mutex // guards what follows
	byID map[string]*backup
}

type backup struct {
	copy Copy
	dir  string
	done chan struct{} // closed when the files are there, or err is set
	err  error
	used time.Time
}

// BeginCopy fixes the index of a copy and returns; the files are written beside
// later entries. Unlike a snapshot of Raft's it does not truncate the log.
func (g *Group) BeginCopy(id string) (Copy, error) {
	g.backups.mu.Lock()
	defer g.backups.mu.Unlock()
	switch {
	case g.backups.byID[id] != nil:
		return Copy{}, fmt.Errorf("snapshot %s is there already", id)
	case len(g.backups.byID) >= maxBackups:
		return Copy{}, fmt.Errorf("%w: group %d keeps %d snapshots that are being fetched", connectors.ErrOverloaded, g.cfg.Core.Group, maxBackups)
	}
	b := &backup{dir: filepath.Join(g.cfg.Dir, backupDir, id), done: make(chan struct{}), used: time.Now()}
	if err := faultdisk.MkdirAll(filepath.Dir(b.dir), 0o755); err != nil {
		return Copy{}, err
	}
	wait, err := g.beginCopy(b)
	if err != nil {
		return Copy{}, err
	}
	if g.backups.byID == nil {
		g.backups.byID = map[string]*backup{}
	}
	g.backups.byID[id] = b
	begun := b.copy // the goroutine adds the files to it
	g.waits.Go(func() {
		defer close(b.done)
		index, err := wait(context.Background()) // it ends with the store
		if err == nil && index != b.copy.Index {
			err = fmt.Errorf("copy is at %d, not at %d", index, b.copy.Index)
		}
		if err == nil {
			b.copy.Files, err = copiedFiles(b.dir)
		}
		b.err = err
	})
	return begun, nil
}

// beginCopy fixes the index.
func (g *Group) beginCopy(b *backup) (wait func(ctx context.Context) (uint64, error), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stopped():
		return nil, g.Err()
	case g.core == nil, !g.joined.Load():
		return nil, fmt.Errorf("%w: %w", connectors.ErrUnavailable, errReplaying)
	case g.core.Halted() != nil:
		return nil, fmt.Errorf("%w: group is halted", connectors.ErrUnavailable)
	case g.appliedIndex.Load() < g.store.Applied():
		return nil, fmt.Errorf("%w: %w", connectors.ErrUnavailable, errReplaying)
	}
	b.copy = Copy{Index: g.store.Applied(), Term: g.raft.CurrentTerm(), LogTime: g.core.LogTime()}
	return g.store.BeginCheckpoint(b.dir)
}

func copiedFiles(dir string) (files []CopiedFile, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, CopiedFile{Name: e.Name(), Size: info.Size()})
	}
	return files, nil
}

// find looks a copy up, and notes that it is in use.
func (g *Group) find(id string) (*backup, error) {
	g.backups.mu.Lock()
	defer g.backups.mu.Unlock()
	b := g.backups.byID[id]
	if b == nil {
		return nil, fmt.Errorf("%w: group %d has no snapshot %s here", connectors.ErrNotFound, g.cfg.Core.Group, id)
	}
	b.used = time.Now()
	return b, nil
}

// Copied waits until a copy's files are there, and lists them.
func (g *Group) Copied(ctx context.Context, id string) (Copy, error) {
	b, err := g.find(id)
	if err != nil {
		return Copy{}, err
	}
	select {
	case <-b.done:
		return b.copy, b.err
	case <-ctx.Done():
		return Copy{}, ctx.Err()
	}
}

// ReadCopy reads of a copy's file, from an offset, at most [MaxBackupRead] bytes.
func (g *Group) ReadCopy(ctx context.Context, id, name string, offset int64) ([]byte, error) {
	c, err := g.Copied(ctx, id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.Files, func(f CopiedFile) bool { return f.Name == name })
	if i < 0 || offset < 0 || offset > c.Files[i].Size {
		return nil, fmt.Errorf("%w: snapshot %s of group %d has no file %s with a byte %d", connectors.ErrNotFound, id, g.cfg.Core.Group, name, offset)
	}
	f, err := faultdisk.Open(filepath.Join(g.cfg.Dir, backupDir, id, name))
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(MaxBackupRead, c.Files[i].Size-offset))
	_, err = io.ReadFull(io.NewSectionReader(f, offset, int64(len(b))), b)
	return b, errors.Join(err, f.Close())
}

// DropCopy deletes a copy, if it is there.
func (g *Group) DropCopy(id string) error {
	g.backups.mu.Lock()
	b := g.backups.byID[id]
	g.backups.mu.Unlock()
	if b == nil {
		return nil
	}
	<-b.done
	g.backups.mu.Lock()
	defer g.backups.mu.Unlock()
	if g.backups.byID[id] != b {
		return nil
	}
	delete(g.backups.byID, id)
	return faultdisk.RemoveAll(b.dir)
}

// dropUnused deletes the copies that nobody has read for long.
func (g *Group) dropUnused() {
	g.backups.mu.Lock()
	var old []string
	for id, b := range g.backups.byID {
		select {
		case <-b.done:
			if time.Since(b.used) > backupKept {
				old = append(old, id)
			}
		default:
		}
	}
	g.backups.mu.Unlock()
	for _, id := range old {
		if err := g.DropCopy(id); err != nil {
			g.cfg.Log.Warn("snapshot that nobody fetched is left", "group", g.cfg.Core.Group, "id", id, "err", err)
		}
	}
}
