//go:build faults

package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
)

// fileKinds are the kinds of files of a replica.
var fileKinds = map[string]string{
	"log segment":          "log/*.wal",
	"mark":                 "log/mark",
	"votes and segments":   "log/wal-meta.db",
	"table":                "state/*.sst",
	"MANIFEST":             "state/MANIFEST-*",
	"OPTIONS":              "state/OPTIONS-*",
	"mark of the MANIFEST": "state/manifest-mark",
	"snapshot description": "snapshots/*/meta.json",
	"snapshot table":       "snapshots/*/state/*.sst",
	"snapshot MANIFEST":    "snapshots/*/state/MANIFEST-*",
	"snapshot OPTIONS":     "snapshots/*/state/OPTIONS-*",
	"snapshot's own mark":  "snapshots/*/state/manifest-mark",
}

// flipped turns one bit over in a file of a clone, and says which.
func flipped(dir, pattern string, rng *rand.Rand) (string, error) {
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(list) == 0 {
		return "", fmt.Errorf("files %s: %w; want some", pattern, err)
	}
	slices.Sort(list)
	path := list[rng.IntN(len(list))]
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("%s: %d bytes, %w", path, len(b), err)
	}
	at, bit := rng.IntN(len(b)), rng.IntN(8)
	b[at] ^= 1 << bit
	// It may be linked.
	return fmt.Sprintf("bit %d of byte %d of %d of %s", bit, at, len(b), filepath.Base(path)), errors.Join(os.Remove(path), os.WriteFile(path, b, 0o644))
}

// killed plays a script, and returns what a kill shortly before its end would have
// left: a log that is ahead of the state, just after its mark was written. A bit
// turned over in a batch above the mark, if it is the last one, can't be told from
// a write that a loss of power has torn: there what was acknowledged is lost.
func killed(t testing.TB) (*script, crashClone) {
	t.Helper()
	s := newScript(t, raftlog.Disk)
	var left crashClone
	var mu sync.Mutex // guards left
	s.disk.Before = func(faultdisk.Op, string) (err error) {
		mu.Lock()
		defer mu.Unlock()
		acked := s.acked.Load()
		if left.dir == "" && acked >= int64(s.lives*s.perLife-15) && s.marked.Load() == acked {
			left, err = s.left(t, faultdisk.Nothing)
		}
		return err
	}
	if err := s.play(); err != nil {
		t.Fatal(err)
	}
	return s, left
}

// flips turns over one bit after the other of a kind of file, and opens what is
// left. It returns how many were found, and which went wrong unseen.
func (s *script) flips(t testing.TB, left crashClone, pattern string, count int) (found int, faults []error) {
	rng := rand.New(rand.NewPCG(7, uint64(len(pattern))))
	for n := range count {
		if len(faults) > 0 {
			break
		}
		c := left
		c.dir, c.b = filepath.Join(t.TempDir(), fmt.Sprint(n)), left.b.copied()
		err := os.CopyFS(c.dir, os.DirFS(left.dir))
		var what string
		if err == nil {
			what, err = flipped(c.dir, pattern, rng)
		}
		if err != nil {
			t.Fatal(err)
		}
		var later func() error
		err = s.survives(c, func(check func() error) { later = check })
		switch {
		case errors.Is(err, ErrDamaged):
			found++
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		default:
			if err := later(); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", what, err))
			}
		}
		if err := os.RemoveAll(c.dir); err != nil {
			t.Fatal(err)
		}
	}
	return found, faults
}

// TestFlippedBits turns bits of a killed replica's files over: each is found
// when the replica is opened, runs or is read through, or does no harm.
func TestFlippedBits(t *testing.T) {
	s, left := killed(t)
	for kind, pattern := range fileKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			count := part(6, 200)
			found, faults := s.flips(t, left, pattern, count)
			report(t, faults)
			t.Logf("%d flips: %d found, %d harmless, %d wrong", count, found, count-found-len(faults), len(faults))
		})
	}
}
