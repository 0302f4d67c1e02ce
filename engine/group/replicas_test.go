package group

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/raftlog"
)

// addMany adds one to a name n times.
func (c *trio) addMany(name string, n int) {
	c.t.Helper()
	for i := range n {
		c.add(fmt.Sprintf("%s-%d", name, i), name)
	}
}

// shortLog has snapshots taken only on demand, with next to no log behind them.
func shortLog(_ int, cfg *Config) { cfg.TrailingEntries = 10 }

func TestReplicatesAndTransfersOnStop(t *testing.T) {
	c := newTrio(t, nil)
	c.addMany("a", 50)
	c.expectSame("a", 50)
	old := c.leader()
	if err := c.close(old.node); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	now := c.leader()
	t.Logf("serves %v after the old leader has stopped", time.Since(begun))
	c.add("more", "a")
	c.open(old.node)
	c.expectSame("a", 51)
	expectTotals(t, c.b, "a", 51)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := old.Transfer(ctx, ""); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Transfer on a follower = %v; want %v", err, ErrNotLeader)
	}
	begun = time.Now()
	eventually(t, "a transfer to a replica that has just come back", func() bool {
		return now.Transfer(ctx, nodeName(old.node)) == nil
	})
	eventually(t, "the named node leads", old.Leading)
	t.Logf("transferred within %v", time.Since(begun))
	eventually(t, "a follower knows who leads", func() bool { return now.Leader() == old.replica() })
}

func TestKilledLeaderIsReplaced(t *testing.T) {
	c := newTrio(t, nil)
	stop := c.load("a")
	for range 5 {
		old := c.leader()
		begun := time.Now()
		replaced := make(chan time.Duration)
		go func() {
			defer close(replaced)
			others := []*member{c.members[(old.node+1)%3], c.members[(old.node+2)%3]}
			within(10*time.Second, func() bool { return others[0].Leading() || others[1].Leading() })
			replaced <- time.Since(begun)
		}()
		c.kill(old.node)
		t.Logf("replaced within %v", <-replaced)
		c.open(old.node)
	}
	n := stop()
	c.expectSame("a", n)
	expectTotals(t, c.b, "a", int(n))
}

// TestWipedFollowerRejoins has it come back under a new id while load goes on.
func TestWipedFollowerRejoins(t *testing.T) {
	c := newTrio(t, shortLog)
	stop := c.load("a")
	c.addMany("b", 100)
	lost := c.follower()
	if err := c.close(lost.node); err != nil {
		t.Fatal(err)
	}
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	c.rejoin(lost.node)
	if index, _ := lost.snaps.Newest(); index == 0 {
		t.Error("no snapshot was installed; want one, as the log is truncated")
	}
	eventually(t, "three voters", func() bool {
		s, err := c.leader().Status(context.Background())
		return err == nil && s.Voters == 3
	})
	members, index := c.leader().Members()
	if len(members) != 3 || index < 2 || strings.Contains(fmt.Sprint(members), firstVoters[lost.node]) {
		t.Errorf("Members() = %v, %d; want three without %s", members, index, firstVoters[lost.node])
	}

	// The old id is nobody's any more.
	_, err := c.leader().streams.layer.Dial(firstVoters[lost.node], time.Second)
	if err == nil || !strings.Contains(err.Error(), "replica is "+lost.replica()) {
		t.Errorf("stream to %s = %v; want it refused", firstVoters[lost.node], err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := c.leader().Admit(ctx, firstVoters[lost.node], 0); !errors.Is(err, ErrSuperseded) {
		t.Errorf("Admit(%s) = %v; want %v", firstVoters[lost.node], err, ErrSuperseded)
	}

	n := stop()
	c.expectSame("a", n)
	c.expectSame("b", 100)
	// It counts: with it, one of the others may go.
	c.kill(c.leader().node)
	c.add("last", "b")
	c.expectSame("b", 101)
}

// TestLaggingFollowerGetsSnapshot has one come back to a truncated log, twice:
// the second time it dies when the snapshot is installed and the state is not.
func TestLaggingFollowerGetsSnapshot(t *testing.T) {
	c := newTrio(t, shortLog)
	c.addMany("a", 30)
	late := c.follower()
	if err := c.close(late.node); err != nil {
		t.Fatal(err)
	}
	before := copyDir(t, late.dir)
	c.addMany("b", 100)
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	stop := c.load("c")
	c.open(late.node)
	eventually(t, "a snapshot", func() bool { index, _ := late.snaps.Newest(); return index > 0 })
	c.expectSame("c", stop())
	c.expectSame("b", 100)

	if err := c.close(late.node); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"log", "state"} {
		replaceTree(t, filepath.Join(before, part), filepath.Join(late.dir, part))
	}
	c.open(late.node)
	c.add("last", "b")
	c.expectSame("b", 101)
	if err := c.close(late.node); err != nil {
		t.Fatal(err)
	}
	c.open(late.node) // what the snapshot left is opened as it is
	c.expectSame("b", 101)
}

func replaceTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestShortAbsenceNeedsNoSnapshot restarts a follower behind which the leader
// has taken a snapshot.
func TestShortAbsenceNeedsNoSnapshot(t *testing.T) {
	c := newTrio(t, nil)
	away := c.follower()
	if err := c.close(away.node); err != nil {
		t.Fatal(err)
	}
	c.addMany("a", 300)
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	c.open(away.node)
	c.expectSame("a", 300)
	if index, _ := away.snaps.Newest(); index > 0 {
		t.Errorf("a snapshot at %d was installed; want the log to do", index)
	}
	eventually(t, "applied up to the commit index", func() bool { return away.Applied() == c.leader().Commit() })
}

func TestNonvoterNeverVotes(t *testing.T) {
	const timeout = 60 * time.Millisecond
	c := newTrio(t, func(_ int, cfg *Config) { cfg.Timeout = timeout })
	c.addMany("a", 10)
	joiner := c.follower()
	if err := c.close(joiner.node); err != nil {
		t.Fatal(err)
	}
	joiner.generation++
	joiner.voters, joiner.dir = nil, filepath.Join(t.TempDir(), "joiner")
	c.open(joiner.node)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var step Admission
	eventually(t, "admission", func() (ok bool) {
		var err error
		step, err = c.leader().Admit(ctx, joiner.replica(), 0)
		return err == nil
	})
	if step != AdmitAdded {
		t.Errorf("first Admit = %q; want %q", step, AdmitAdded)
	}
	eventually(t, "the joiner has caught up", func() bool { return joiner.Applied() == c.leader().Commit() })
	if s, err := joiner.Status(ctx); err != nil || s.Role != "joining" || s.Replica != joiner.replica() || s.Voters != 2 || joiner.VotesHere() {
		t.Errorf("Status = %+v, %v; want %s joining two voters", s.GroupStatus, err, joiner.replica())
	}
	// One of two voters is not enough, whatever the joiner would say.
	c.kill(c.leader().node)
	if within(10*timeout, func() bool { return c.leading() != nil }) {
		t.Fatalf("%s leads with the vote of a replica that has none", c.leading().replica())
	}
}

func TestRemoveKeepsQuorum(t *testing.T) {
	c := newTrio(t, nil)
	c.addMany("a", 5)
	l := c.leader()
	dead, other := c.members[(l.node+1)%3], c.members[(l.node+2)%3]
	c.kill(dead.node)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	eventually(t, "a refusal", func() bool { // the dead one was heard of just now
		if l.streams.heard(dead.replica(), l.cfg.Timeout) {
			return false
		}
		err := l.Remove(ctx, other.replica())
		if !errors.Is(err, ErrNoQuorum) {
			t.Fatalf("Remove(%s) = %v; want %v", other.replica(), err, ErrNoQuorum)
		}
		return true
	})
	if err := l.Remove(ctx, dead.replica()); err != nil {
		t.Errorf("Remove(%s) = %v; want it removed", dead.replica(), err)
	}
	if err := other.Remove(ctx, dead.replica()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Remove on a follower = %v; want %v", err, ErrNotLeader)
	}
	c.add("more", "a")
	c.expectSame("a", 6)
}

func TestFollowersAnswerStaleQueries(t *testing.T) {
	c := newTrio(t, nil)
	c.addMany("a", 20)
	f := c.follower()
	eventually(t, "the follower has applied", func() bool { return f.Applied() == c.leader().Commit() })
	_, index, err := f.Ask(context.Background(), tally.Stage, tally.Query, "a", &tally.Question{}, connectors.Stale)
	if err != nil || index < 20 {
		t.Errorf("stale Ask on a follower is good for %d, %v; want 20 entries or more", index, err)
	}
	if _, _, err = f.Ask(context.Background(), tally.Stage, tally.Query, "a", &tally.Question{}, connectors.Linearizable); !errors.Is(err, connectors.ErrUnavailable) {
		t.Errorf("linearizable Ask on a follower = %v; want %v", err, connectors.ErrUnavailable)
	}
}

// TestDigestsAgree moves log time on by giving each new leader a clock that is
// ahead of the one before.
func TestDigestsAgree(t *testing.T) {
	c := newTrio(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c.addMany("a", 5)
	witness := c.leader() // is never restarted
	const leaps = 3
	for i := range leaps {
		next := c.members[(witness.node+1+i%2)%3]
		if c.leader() == next {
			t.Fatalf("%s leads already", next.replica())
		}
		if err := c.close(next.node); err != nil {
			t.Fatal(err)
		}
		next.ahead = time.Duration(i+1) * time.Minute
		c.open(next.node)
		eventually(t, next.replica()+" leads", func() bool {
			return c.leader() == next || c.leader().Transfer(ctx, nodeName(next.node)) == nil && c.leader() == next
		})
		c.addMany(fmt.Sprint(i), 5)
	}
	c.expectSame("a", 5)
	eventually(t, "the last digest everywhere", func() bool {
		want := witness.Digests()
		for _, m := range c.members {
			d := m.Digests()
			if len(d) == 0 || d[len(d)-1].Index != want[len(want)-1].Index {
				return false
			}
		}
		return true
	})
	all := map[uint64]string{}
	for _, d := range witness.Digests() {
		all[d.Index] = fmt.Sprint(d)
	}
	if len(all) < 1+leaps {
		t.Errorf("%d digests; want one for the first entry and for each of %d leaps of the clock", len(all), leaps)
	}
	for _, m := range c.members {
		for _, d := range m.Digests() {
			if got := fmt.Sprint(d); got != all[d.Index] {
				t.Errorf("digest of %s = %s; want %s", m.replica(), got, all[d.Index])
			}
		}
	}
}

// TestStalledLeaderHandsOver blocks a leader's disk: others take over, and what
// it had in flight is never acknowledged by it.
func TestStalledLeaderHandsOver(t *testing.T) {
	for _, durability := range []raftlog.Durability{raftlog.Disk, raftlog.Memory} {
		t.Run(string(durability), func(t *testing.T) {
			var blocked [3]atomic.Bool
			release := make(chan struct{})
			stalled := make(chan error, 3)
			c := newTrio(t, func(node int, cfg *Config) {
				cfg.Durability = durability
				cfg.Stalled = func(err error) { stalled <- err }
				cfg.Disk = func(o *raftlog.Options) {
					o.Fault = func(op raftlog.Op, _ string) error {
						if blocked[node].Load() && op != raftlog.OpRead && op != raftlog.OpOpen {
							<-release
						}
						return nil
					}
				}
			})
			c.addMany("a", 10)
			old := c.leader()
			begun := time.Now()
			blocked[old.node].Store(true)
			answered := make(chan error, 1)
			go func() { _, err := old.submit("late", "a", 1); answered <- err }()
			eventually(t, "another leader", func() bool {
				m := c.leading()
				return m != nil && m != old
			})
			took := time.Since(begun)
			if took > 2*time.Second {
				t.Errorf("handed over after %v; want 2 s or less", took)
			}
			t.Logf("handed over after %v", took)
			if err := <-stalled; err == nil || !strings.Contains(err.Error(), "hanging") {
				t.Errorf("Stalled(%v); want what hangs", err)
			}
			c.add("late", "a")
			log, last := old.records, old.Commit()
			close(release) // the disk answers again: too late
			if err := <-answered; err == nil {
				t.Error("the old leader acknowledged what it had lost")
			}
			err := c.close(old.node)
			if err == nil || errors.Is(err, ErrDamaged) {
				t.Errorf("Run of the stalled leader = %v; want a fault that is no damage", err)
			}
			blocked[old.node].Store(false)
			if err := log.StoreLogs([]*raft.Log{{Index: last + 100, Term: 1}}); err == nil {
				t.Error("the stalled leader's log can still be written")
			}
			c.open(old.node)
			c.expectSame("a", 11)
		})
	}
}
