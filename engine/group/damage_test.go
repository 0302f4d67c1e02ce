package group

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"anabranch.dev/engine/raftlog"
)

// only finds the one file that matches.
func only(t testing.TB, pattern ...string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(found) != 1 {
		t.Fatalf("files %v = %v, %v; want one", pattern, found, err)
	}
	return found[0]
}

// alter changes a file in place, as rot does.
func alter(t testing.TB, path string, change func(content []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // it may be linked
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 4; return b }
}

// TestDamageIsFoundOnOpen damages one file at a time.
func TestDamageIsFoundOnOpen(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	r := start(t, cfg)
	for i := range 30 {
		r.add(fmt.Sprint(i), "a", 1)
	}
	if err := r.Snapshot(); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		r.add(fmt.Sprint(100+i), "a", 1)
	}
	r.mustEnd()
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
	}{
		{"record", func(t *testing.T, dir string) { alter(t, only(t, dir, "log", "*.wal"), flip(400)) }},
		{"tail", func(t *testing.T, dir string) {
			alter(t, only(t, dir, "log", "*.wal"), func(b []byte) []byte { clear(b[2000:]); return b })
		}},
		{"mark", func(t *testing.T, dir string) {
			alter(t, filepath.Join(dir, "log", "mark"), func(b []byte) []byte { b[20] ^= 1; b[4096+20] ^= 1; return b })
		}},
		{"votes", func(t *testing.T, dir string) {
			alter(t, filepath.Join(dir, "log", "wal-meta.db"), func(b []byte) []byte { clear(b[:8192]); return b })
		}},
		{"segment missing", func(t *testing.T, dir string) {
			if err := os.Remove(only(t, dir, "log", "*.wal")); err != nil {
				t.Fatal(err)
			}
		}},
		{"snapshot's list", func(t *testing.T, dir string) {
			alter(t, only(t, dir, "snapshots", "*", "meta.json"), flip(30))
		}},
		{"snapshot's manifest", func(t *testing.T, dir string) {
			alter(t, only(t, dir, "snapshots", "*", "state", "MANIFEST-*"), flip(60))
		}},
		{"snapshot's table missing", func(t *testing.T, dir string) {
			found, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state", "*.sst"))
			if err := os.Remove(found[0]); err != nil {
				t.Fatal(err)
			}
		}},
		{"state", func(t *testing.T, dir string) {
			alter(t, only(t, dir, "state", "MANIFEST-*"), func(b []byte) []byte { return b[:len(b)/2] })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := copyDir(t, cfg.Dir)
			tt.damage(t, dir)
			_, err := Open(config(t, dir, &broker{}))
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("Open = %v; want %v", err, ErrDamaged)
			}
			t.Log(err)
			if _, again := Open(config(t, dir, &broker{})); !errors.Is(again, ErrDamaged) {
				t.Errorf("the second Open = %v; want it found again", again)
			}
		})
	}
}

func TestRebootInMemoryDurabilityIsDamage(t *testing.T) {
	for _, durability := range []raftlog.Durability{raftlog.Disk, raftlog.Memory} {
		cfg := config(t, t.TempDir(), &broker{})
		cfg.Durability = durability
		r := start(t, cfg)
		r.add("1", "a", 1)
		r.quiet()
		killed := copyDir(t, cfg.Dir)
		r.mustEnd()
		for _, dir := range []string{cfg.Dir, killed} {
			cfg := config(t, dir, &broker{})
			cfg.Durability = durability
			cfg.Disk = func(o *raftlog.Options) { o.Boot = "another" }
			g, err := Open(cfg)
			want := durability == raftlog.Memory && dir == killed
			if errors.Is(err, ErrDamaged) != want || !want && err != nil {
				t.Errorf("Open after a reboot in %s, killed %v = %v; want damage %v", durability, dir == killed, err, want)
			}
			if err == nil {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestFailedDiskIsDamage has one access after the other fail in a follower.
func TestFailedDiskIsDamage(t *testing.T) {
	for _, op := range []raftlog.Op{raftlog.OpSync, raftlog.OpWrite, raftlog.OpCommit} {
		t.Run(string(op), func(t *testing.T) {
			var bad [3]atomic.Bool
			c := newTrio(t, func(node int, cfg *Config) {
				cfg.Disk = func(o *raftlog.Options) {
					o.Fault = func(at raftlog.Op, _ string) error {
						if at == op && bad[node].Load() {
							return syscall.EIO
						}
						return nil
					}
				}
			})
			c.addMany("a", 5)
			f := c.follower()
			bad[f.node].Store(true)
			c.addMany("b", 5)
			if op == raftlog.OpCommit { // a new term is saved
				other := c.members[3-f.node-c.leader().node]
				if err := c.leader().Transfer(t.Context(), nodeName(other.node)); err != nil {
					t.Fatal(err)
				}
			}
			c.expectDamaged(f.node, "input/output error")
			bad[f.node].Store(false)
			if _, err := Open(c.config(f.node)); !errors.Is(err, ErrDamaged) {
				t.Errorf("Open afterwards = %v; want %v", err, ErrDamaged)
			}
			c.rejoin(f.node)
			c.expectSame("b", 5)
		})
	}
}

// expectDamaged waits until a node's replica has stopped for damage.
func (c *trio) expectDamaged(i int, why string) {
	c.t.Helper()
	m := c.members[i]
	eventually(c.t, "a fault", m.stopped)
	if s, err := m.Status(c.t.Context()); err != nil || s.Role != "damaged" || !strings.Contains(s.Damaged, why) {
		c.t.Errorf("Status = %+v, %v; want it damaged: %s", s.GroupStatus, err, why)
	}
	if err := c.close(i); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), why) {
		c.t.Errorf("Run = %v; want %v: %s", err, ErrDamaged, why)
	}
}

// rot spoils the record of an event in a replica's log. It goes by the event's
// id, because not every byte of a segment is of a record.
func rot(t *testing.T, dir, event string) {
	t.Helper()
	name := only(t, dir, "log", "*.wal")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(event))
	if at < 0 {
		t.Fatalf("%s has no record of %s", name, event)
	}
	data[at] ^= 1
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data[at:at+1], int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBadRecordWhileRunning has a leader meet a rotten record when it reads it
// for a follower that was away: it hands over and stops, and nothing panics.
func TestBadRecordWhileRunning(t *testing.T) {
	c := newTrio(t, nil)
	away := c.follower()
	if err := c.close(away.node); err != nil {
		t.Fatal(err)
	}
	c.addMany("a", 2*cachedEntries)
	l := c.leader()
	rot(t, l.dir, "a-100")
	c.open(away.node)
	c.expectDamaged(l.node, raftlog.ErrCorrupt.Error())
	c.add("more", "a")
	c.rejoin(l.node)
	c.expectSame("a", 2*cachedEntries+1)
}

// TestBadCommittedRecordWhileRunning has a record rot after it was checked and
// before it is applied, where Raft would panic.
func TestBadCommittedRecordWhileRunning(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	r := start(t, cfg)
	for i := range 30 {
		r.add(fmt.Sprintf("event-%d", i), "a", 1)
	}
	r.mustEnd()
	g, err := Open(config(t, cfg.Dir, &broker{}))
	if err != nil {
		t.Fatal(err)
	}
	rot(t, cfg.Dir, "event-20")
	if err := run(t, g).wait(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Run = %v; want %v", err, ErrDamaged)
	}
}

func TestDamageFromOutside(t *testing.T) {
	c := newTrio(t, nil)
	c.addMany("a", 5)
	l := c.leader()
	l.Damage(errors.New("digest differs from the majority's"))
	c.expectDamaged(l.node, "digest differs")
	c.add("more", "a")
	c.rejoin(l.node)
	c.expectSame("a", 6)
}

// TestBadSnapshotIsNotUsed spoils the leader's snapshot before it is sent: who
// receives it keeps what it has, and the leader, whose state is good, makes
// another.
func TestBadSnapshotIsNotUsed(t *testing.T) {
	c := newTrio(t, shortLog)
	c.addMany("a", 5)
	late := c.follower()
	if err := c.close(late.node); err != nil {
		t.Fatal(err)
	}
	c.addMany("b", 100)
	if err := c.leader().Snapshot(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(c.leader().dir, "snapshots", "*", "state", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v; want some", tables, err)
	}
	for _, path := range tables {
		alter(t, path, flip(20))
	}
	bad, _ := c.leader().snaps.Newest()
	c.open(late.node)
	eventually(t, "another snapshot", func() bool { index, _ := c.leader().snaps.Newest(); return index > bad })
	c.expectSame("b", 100)
}

// TestScrubFindsRot spoils a table that nothing reads.
func TestScrubFindsRot(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	r := start(t, cfg)
	for i := range 50 {
		r.add(fmt.Sprint(i), fmt.Sprint("name", i), 1)
	}
	r.mustEnd()
	tables, err := filepath.Glob(filepath.Join(cfg.Dir, "state", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v; want some", tables, err)
	}
	for _, path := range tables {
		alter(t, path, flip(20))
	}
	cfg = config(t, cfg.Dir, &broker{})
	cfg.scrubFirst = 1
	g, err := Open(cfg)
	if err == nil {
		err = run(t, g).wait()
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("Open and Run over a rotten table = %v; want %v", err, ErrDamaged)
	}
}

// wait waits until the group ends by itself.
func (r *running) wait() error {
	defer r.stop()
	return <-r.done
}
