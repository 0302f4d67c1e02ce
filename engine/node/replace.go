package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
)

const (
	replaceEvery   = time.Second     // a damaged replica asks again whether it may be replaced
	replaceTimeout = 5 * time.Second // for one step of it
	quarantined    = 2               // directories kept per group, the newest
	reasonFile     = "reason.txt"
)

// replace puts a new replica in the place of a damaged one, as soon as the
// others can do without what it promised. It returns nil once there is one, or
// when ctx ends.
//
// The old replica is removed from the group before its files are touched: that
// takes a majority, so that of two damaged replicas which ask at the same time
// one at most loses its files. They are put aside before the new one has a
// name; a crash in between leaves a directory that is gone, which comes to the
// same.
func (s *slot) replace(ctx context.Context) error {
	for ctx.Err() == nil {
		why, err := s.tryReplace(ctx)
		if err != nil {
			return err
		}
		if why == "" {
			return nil
		}
		s.mu.Lock()
		news := s.doing != why
		s.doing = why
		s.mu.Unlock()
		if news && ctx.Err() == nil {
			s.n.cfg.Log.Error("replica is not replaced", "group", s.id, "replica", s.replica(), "why", why)
			s.n.changed()
		}
		wait(ctx, replaceEvery)
	}
	return nil
}

// tryReplace tries once. why says what it waits for, with nothing changed.
func (s *slot) tryReplace(ctx context.Context) (why string, err error) {
	if err := s.n.greetAll(ctx); err != nil {
		return "", err
	}
	leader, why := s.mayReplace()
	if why != "" {
		return why, nil
	}
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	q := &replicaRequest{Group: uint64(s.id), Replica: s.replica()}
	if _, err := call[nothing](ctx, s.n, leader, callRemove, q); err != nil {
		return "waiting to be removed from the group: " + err.Error(), nil
	}
	old := s.replica()
	moved, err := s.setAside(time.Now())
	if err != nil {
		return "", err
	}
	if err := s.keep(replicaState{Generation: s.nextGeneration()}); err != nil {
		return "", err
	}
	s.n.cfg.Log.Error("replica is being replaced", "group", s.id, "old", old, "new", s.replica(), "reason", s.reason(), "files", moved)
	if err := s.openFiles(); err != nil {
		return "", err // a new directory that can't be opened
	}
	s.n.changed()
	return "", nil
}

func (s *slot) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damaged
}

// mayReplace names the leader that can let a new replica in, or says why there
// must be none yet: without a majority of all members that have what was
// promised, the damaged files may be the only ones that still do.
func (s *slot) mayReplace() (leader, why string) {
	id := s.n.dir.now()
	if n := s.n; n.isLeaving() {
		return "", "this node is being removed from the cluster"
	}
	members, healthy := 1, 0
	var others []string
	for _, m := range id.Members {
		if m.ID == s.n.cfg.ID {
			continue
		}
		v := s.n.peers.of(m.ID)
		r := v.replicaOf(s.id)
		if v.fresh() && (m.State == memberJoining || m.State == memberLeaving) && (r == nil || !r.Votes) {
			continue // it has promised nothing
		}
		members++
		switch {
		case !v.fresh():
			others = append(others, m.ID+" does not answer")
		case r == nil:
			others = append(others, m.ID+" has no replica")
		case r.Damaged != "":
			others = append(others, m.ID+" is damaged too")
		case !r.Healthy || !r.Votes:
			others = append(others, m.ID+" does not vote")
		default:
			healthy++
			others = append(others, m.ID+" is healthy")
		}
	}
	need := members/2 + 1
	s.mu.Lock()
	unclear := s.unclear
	s.mu.Unlock()
	switch leader = s.n.peers.serving(s.id); {
	case unclear:
		return "", "nobody can tell which replica is right: the files stay as they are, and " + noRecovery
	case members < 3:
		return "", fmt.Sprintf("%s, but of two members one alone can't let a new replica in: the files stay as they are, and "+noRecovery, strings.Join(others, ", "))
	case healthy < need:
		return "", fmt.Sprintf("%s: %d of %d members would have to be healthy. The files stay as they are; if it stays so, "+noRecovery, strings.Join(others, ", "), need, members)
	case leader == "":
		return "", "the others have no leader now"
	}
	return leader, ""
}

const noRecovery = "'anabranch cluster recover' makes a cluster of the nodes that are left, with what was lost acknowledged"

func (v *view) replicaOf(group int) *replicaView {
	if v == nil || v.said == nil {
		return nil
	}
	return v.said.replica(group)
}

// nextGeneration is higher than that of any replica that this node has had in
// the group, as far as it or another member knows.
func (s *slot) nextGeneration() uint64 {
	last := s.state().Generation
	for _, m := range s.n.dir.now().Members {
		if r := s.n.peers.of(m.ID).replicaOf(s.id); r != nil {
			for _, replica := range r.Members {
				if peer.NodeOf(replica) == s.n.cfg.ID {
					last = max(last, generationOf(replica))
				}
			}
		}
	}
	return last + 1
}

// generationOf is the number in a replica's id.
func generationOf(replica string) (generation uint64) {
	if _, err := fmt.Sscanf(replica[strings.LastIndexByte(replica, '.')+1:], "%d", &generation); err != nil {
		return 0
	}
	return generation
}

// setAside moves the replica's files, if there are any, into quarantine, says
// there why, and deletes what is too old there.
func (s *slot) setAside(now time.Time) (moved string, err error) {
	from := s.n.dir.groupDir(s.id)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	parent := filepath.Join(s.n.dir.path, quarantineDir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	moved = filepath.Join(parent, fmt.Sprintf("group-%d-%s", s.id, now.UTC().Format("20060102T150405.000Z")))
	reason := fmt.Sprintf("replica %s, set aside %s\n%s\n", s.replica(), now.UTC().Format(time.RFC3339), s.reason())
	if err := errors.Join(os.Rename(from, moved), os.WriteFile(filepath.Join(moved, reasonFile), []byte(reason), 0o644),
		raftlog.SyncDir(parent), raftlog.SyncDir(s.n.dir.path)); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	s.mu.Lock()
	s.moves++
	s.mu.Unlock()
	old, err := filepath.Glob(filepath.Join(parent, fmt.Sprintf("group-%d-*", s.id)))
	if err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	slices.Sort(old)
	for _, dir := range old[:max(0, len(old)-quarantined)] {
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("quarantine: %w", err)
		}
	}
	return moved, nil
}
