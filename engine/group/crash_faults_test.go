//go:build faults

package group

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
)

// copied is a broker as it stands now, for another life.
func (b *broker) copied() *broker {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &broker{records: slices.Clone(b.records), through: map[uint16]uint64{}}
	for shard, n := range b.through {
		c.through[shard] = n
	}
	return c
}

// crashClone is the disk as a crash would leave it, and what was known then.
type crashClone struct {
	op           faultdisk.Op
	path, dir    string
	loss         faultdisk.Loss
	asked, acked int64
	b            *broker
}

func (c crashClone) String() string {
	return fmt.Sprintf("%s before %s of %s, %d events acknowledged", c.loss, c.op, c.path, c.acked)
}

// crashes plays a script and hands a clone of its disk to check at accesses that
// pick chooses. It returns what check found wrong, at most a few.
func crashes(t testing.TB, durability raftlog.Durability, pick func() bool, check func(s *script, c crashClone) error) (clones int64, faults []error) {
	s := newScript(t, durability)
	s.lives = part(3, 5)
	var made, number atomic.Int64
	var mu sync.Mutex                                               // guards faults
	queue, work := make(chan crashClone, 100_000), sync.WaitGroup{} // the run must not wait for the checks
	for range 8 {
		work.Go(func() {
			for c := range queue {
				err := check(s, c)
				if e := os.RemoveAll(c.dir); e != nil {
					err = errors.Join(err, e)
				}
				if err != nil {
					mu.Lock()
					faults = append(faults, fmt.Errorf("%s: %w", c, err))
					mu.Unlock()
				}
			}
		})
	}
	base := t.TempDir()
	s.disk.Before = func(op faultdisk.Op, path string) error {
		if op == faultdisk.OpRead {
			return nil
		}
		for _, loss := range faultdisk.Losses {
			if !pick() {
				continue
			}
			n := number.Add(1)
			// What was acknowledged before is on the disk, and what the broker has
			// was applied before.
			c := crashClone{op: op, path: strings.TrimPrefix(path, s.dir), dir: filepath.Join(base, fmt.Sprint(n)), loss: loss,
				acked: s.acked.Load(), b: s.b.copied()}
			if err := s.disk.Image(c.dir, loss, uint64(n)); err != nil {
				return fmt.Errorf("image: %w", err)
			}
			c.asked = s.asked.Load()
			made.Add(1)
			queue <- c
		}
		return nil
	}
	err := s.play()
	close(queue)
	work.Wait()
	if err != nil {
		t.Fatalf("the run itself: %v", err)
	}
	return made.Load(), faults
}

// survives opens a clone as production would, and checks that nothing that was
// acknowledged is missing, that every state it goes through is one of the
// reference's, that what is on the disk is that state, and that the records that
// leave it make the broker's topic complete.
func (s *script) survives(c crashClone, later func(check func() error)) error {
	disk, err := faultdisk.Attach(c.dir)
	if err != nil {
		return err
	}
	boot := ""
	if c.loss != faultdisk.Nothing {
		boot = "after"
	}
	var seen digestLog
	l, err := s.open(c.dir, c.b, &seen, boot)
	if err != nil {
		return errors.Join(err, disk.Detach())
	}
	err = s.checked(c, l)
	if err = errors.Join(err, l.end(), disk.Detach()); err != nil {
		return err
	}
	if len(seen.at) == 0 {
		return errors.New("no digest was noted")
	}
	later(func() error {
		_, err := seen.differs(s.ref, l.last)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		return nil
	})
	return nil
}

// checked checks a replica that was made of a clone.
func (s *script) checked(c crashClone, l *life) error {
	if err := l.awaitLeader(); err != nil {
		return err
	}
	if c.acked > 0 {
		reply, err := l.submit(eventOf(c.acked - 1))
		if err != nil || reply.Outcome != core.OutcomeDuplicate {
			return fmt.Errorf("the event acknowledged last, again: %+v, %v; want a duplicate", reply, err)
		}
	}
	if _, err := l.submit("after", "dora", 1); err != nil {
		return fmt.Errorf("an event after the crash: %w", err)
	}
	for i, name := range scriptNames {
		got, err := l.total(name)
		if low, high := sumOf(i, c.acked), sumOf(i, c.asked); err != nil || got < low || got > high {
			return fmt.Errorf("%s has %d, %v; want %d to %d", name, got, err, low, high)
		}
		if err := l.told(c.b, name, got); err != nil {
			return err
		}
	}
	return l.store.Scrub(context.Background(), 0)
}

func (l *life) total(name string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, _, err := l.Ask(ctx, tally.Stage, tally.Query, name, &tally.Question{}, connectors.Linearizable)
	if errors.Is(err, connectors.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if t, ok := answer.(*tally.Total); ok && t != nil {
		return t.Sum, nil
	}
	return 0, nil
}

// told waits until a broker has each sum of a name, once and in order.
func (l *life) told(b *broker, name string, sum int64) error {
	var got, want []string
	for n := range sum {
		want = append(want, fmt.Sprintf("%s=%d", name, n+1))
	}
	if !within(patience, func() bool {
		got = nil
		for _, r := range b.all() {
			if strings.HasPrefix(r, name+"=") {
				got = append(got, r)
			}
		}
		return len(got) >= len(want) || l.stopped()
	}) || !slices.Equal(got, want) {
		return fmt.Errorf("records of %s are %v; want %v", name, got, want)
	}
	return nil
}

// share picks one of so many, by a seed.
func share(of int) func() bool {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, uint64(of)))
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(of) == 0
	}
}

// part is a number for CI and one for the long version.
func part(ci, long int) int {
	if os.Getenv("ANABRANCH_FULL") == "1" {
		return long
	}
	return ci
}

// TestCrashOfReplica stops the machine before accesses to its disk, and opens
// what is left of the replica as a whole.
func TestCrashOfReplica(t *testing.T) {
	var mu sync.Mutex
	var checks []func() error
	clones, faults := crashes(t, raftlog.Disk, share(part(10, 1)), func(s *script, c crashClone) error {
		return s.survives(c, func(check func() error) {
			mu.Lock()
			defer mu.Unlock()
			checks = append(checks, check)
		})
	})
	for _, check := range checks {
		if err := check(); err != nil {
			faults = append(faults, err)
		}
	}
	report(t, faults)
	t.Logf("%d crash clones", clones)
	if least := int64(part(100, 1000)); clones < least {
		t.Errorf("%d crash clones; want %d", clones, least)
	}
}

// report tells the first few of many faults.
func report(t testing.TB, faults []error) {
	t.Helper()
	for i, err := range faults {
		if i == 8 {
			t.Fatalf("and %d more", len(faults)-i)
		}
		t.Errorf("%v", err)
	}
}
