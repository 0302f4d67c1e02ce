//go:build faults

package group

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
)

// diskFault is an error of one access to a disk.
type diskFault struct {
	n    int64 // the access, from 1
	stay bool  // accesses of its kind to that file fail from then on
}

// short makes a script for the errors: each needs a run of its own.
func (s *script) short() *script {
	s.lives, s.perLife = 2, 30
	return s
}

// accesses is how many a short script has.
func accesses(t *testing.T) int64 {
	t.Helper()
	s := newScript(t, raftlog.Disk).short()
	var n atomic.Int64
	s.disk.Before = func(faultdisk.Op, string) error { n.Add(1); return nil }
	if err := s.play(); err != nil {
		t.Fatal(err)
	}
	return n.Load()
}

// meets plays a script in which an access fails. The replica must say so in so
// many words, or go on; what a loss of power leaves then, on a disk that is sound
// again, must have all that was acknowledged.
func (f diskFault) meets(t *testing.T) (what string, err error) {
	s := newScript(t, raftlog.Disk).short()
	var n atomic.Int64
	var mu sync.Mutex // guards op and path
	var op faultdisk.Op
	var path string
	var soon []crashClone // what is left a little later, if the replica goes on
	s.disk.Before = func(at faultdisk.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		k := n.Add(1)
		if k == f.n+accessesLater {
			c, err := s.left(t, faultdisk.All)
			if err != nil {
				return err
			}
			soon = append(soon, c)
		}
		if k == f.n {
			op, path = at, name
		} else if k < f.n || !f.stay || at != op || name != path {
			return nil
		}
		return syscall.EIO
	}
	stopped := s.play()
	mu.Lock()
	what = fmt.Sprintf("access %d, %s of %s, for good %v: the run ended with %v", f.n, op, strings.TrimPrefix(path, s.dir), f.stay, stopped)
	mu.Unlock()
	if stopped != nil && !errors.Is(stopped, syscall.EIO) && !strings.Contains(stopped.Error(), syscall.EIO.Error()) {
		return what, errors.New("want it to say what the disk did")
	}
	s.disk.Before = nil
	for _, loss := range []faultdisk.Loss{faultdisk.All, faultdisk.Nothing} {
		c, err := s.left(t, loss)
		if err != nil {
			return what, err
		}
		soon = append(soon, c)
	}
	for _, c := range soon {
		if err := s.sound(c); err != nil {
			return what, fmt.Errorf("%s: %w", c.loss, err)
		}
	}
	return what, nil
}

// accessesLater is how many accesses after a failed one it is looked what a loss
// of power would leave: as many as an acknowledgement takes, and some.
const accessesLater = 9

// left is what a loss of power would leave now.
func (s *script) left(t testing.TB, loss faultdisk.Loss) (crashClone, error) {
	c := crashClone{dir: filepath.Join(t.TempDir(), "left"), loss: loss, acked: s.acked.Load(), b: s.b.copied()}
	err := s.disk.Image(c.dir, loss, 1)
	c.asked = s.asked.Load()
	return c, err
}

// sound opens what a failed disk left. A replica that has noted its damage stays
// away; without the note it must be as good as any.
func (s *script) sound(c crashClone) error {
	note := filepath.Join(c.dir, damageName)
	if _, err := os.Stat(note); err == nil {
		if _, err := s.open(c.dir, c.b, &digestLog{}, ""); !errors.Is(err, ErrDamaged) {
			return fmt.Errorf("opened in spite of its note: %w", err)
		}
		if err := os.Remove(note); err != nil {
			return err
		}
	}
	var later func() error
	if err := s.survives(c, func(check func() error) { later = check }); err != nil {
		return err
	}
	return later()
}

// TestErrorsOfDisk has one access after the other fail, once or for good.
func TestErrorsOfDisk(t *testing.T) {
	total := accesses(t)
	want := int64(part(80, 1000))
	step := max(1, 2*total/want)
	var met, stopped atomic.Int64
	t.Run("each", func(t *testing.T) {
		for n := int64(1); n <= total; n += step {
			for _, stay := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d %v", n, stay), func(t *testing.T) {
					t.Parallel()
					what, err := diskFault{n, stay}.meets(t)
					met.Add(1)
					if !strings.HasSuffix(what, "<nil>") {
						stopped.Add(1)
					}
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
		}
	})
	t.Logf("%d of %d accesses failed, once or for good: %d runs, of which %d were stopped by it", met.Load()/2, total, met.Load(), stopped.Load())
	if stopped.Load() == 0 || stopped.Load() == met.Load() {
		t.Error("want both: runs that are stopped and runs that go on")
	}
}
