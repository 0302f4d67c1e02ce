//go:build faults && plantedbugs

package group

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/internal/planted"
)

// TestPlantedBugs checks the checkers: each bug of the disk that can be planted
// is found by one of them.
func TestPlantedBugs(t *testing.T) {
	patience = 3 * time.Second
	for _, bug := range planted.DiskBugs {
		t.Run(bug, func(t *testing.T) {
			planted.Plant(bug)
			defer planted.Plant("")
			fault := finds(t, bug)
			if fault == nil {
				t.Fatal("not found")
			}
			text, _, _ := strings.Cut(fault.Error(), "\n")
			t.Log(text)
		})
	}
}

// finds looks with the checker that should find a bug.
func finds(t *testing.T, bug string) error {
	switch {
	case strings.Contains(bug, "checksum"):
		return afterFlips(t)
	case strings.Contains(bug, "tried again"):
		return afterErrors(t)
	}
	var found atomic.Bool // which is enough: a bad clone may take its checker's patience
	some := share(8)
	_, faults := crashes(t, raftlog.Disk, func() bool { return some() && !found.Load() }, func(s *script, c crashClone) error {
		if found.Load() {
			return nil
		}
		err := s.survives(c, func(func() error) {})
		found.CompareAndSwap(false, err != nil)
		return err
	})
	return first(faults)
}

func first(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return faults[0]
}

func afterFlips(t *testing.T) error {
	s, left := killed(t)
	_, faults := s.flips(t, left, fileKinds["log segment"], 150)
	return first(faults)
}

// afterErrors has syncs of the log fail, some of them after an acknowledgement
// would have followed.
func afterErrors(t *testing.T) error {
	var syncs []int64
	s := newScript(t, raftlog.Disk).short()
	n := int64(0)
	s.disk.Before = func(op faultdisk.Op, path string) error {
		if n++; op == faultdisk.OpSync && strings.HasSuffix(path, ".wal") {
			syncs = append(syncs, n)
		}
		return nil
	}
	if err := s.play(); err != nil {
		t.Fatal(err)
	}
	for i := len(syncs) / 4; i < len(syncs); i += 2 {
		if _, err := (diskFault{n: syncs[i]}).meets(t); err != nil {
			return err
		}
	}
	return nil
}
