package group

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
)

// ErrDamaged is wrapped by every fault that means that this replica's files
// can't be trusted: a bad record, file or digest, a log that lacks what was
// acknowledged, a write or sync that failed. Another replica must replace it,
// under a new id. A full disk is not damage, nor is a bug of the core.
var ErrDamaged = errors.New("replica is damaged")

// damageName is the note that a damaged replica leaves in its directory, so
// that it stays damaged even if the bad record isn't met again.
const damageName = "damaged"

// damage says whether a fault means damage, and marks it so.
func damage(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || !isDamage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

func isDamage(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return false
	}
	for _, kind := range []error{raftlog.ErrCorrupt, raftlog.ErrBehind, raftlog.ErrUnclean, raftlog.ErrDisk, state.ErrDamaged} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Damage stops the replica for a reason that others have found, such as a
// digest that differs from the majority's.
func (g *Group) Damage(err error) { g.fail("digest", fmt.Errorf("%w: %w", ErrDamaged, err)) }

// Noted is what an earlier run noted about the replica in a directory that no
// process has open, nil for nothing.
func Noted(dir string) error { return readDamage(dir) }

// readDamage returns what an earlier run noted about this replica.
func readDamage(dir string) error {
	reason, err := faultdisk.ReadFile(filepath.Join(dir, damageName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: found earlier: %s", ErrDamaged, strings.TrimSpace(string(reason)))
}

// noteDamage leaves the note, durably if the disk lets us.
func (g *Group) noteDamage(fault error) {
	if !errors.Is(fault, ErrDamaged) {
		return
	}
	path := filepath.Join(g.cfg.Dir, damageName)
	f, err := faultdisk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return // the first reason is the one to know
	}
	if err == nil {
		_, err = fmt.Fprintln(f, fault)
		err = errors.Join(err, f.Sync(), f.Close(), raftlog.SyncDir(g.cfg.Dir))
	}
	if err != nil {
		g.cfg.Log.Warn("damage not noted", "group", g.cfg.Core.Group, "err", err)
	}
}
