package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/raftlog"
)

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !within(30*time.Second, cond) {
		t.Fatalf("%s: not within 30 s", what)
	}
}

// within reports whether a condition comes to hold in a time.
func within(d time.Duration, cond func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(d)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			return false
		}
	}
	return true
}

// copyDir copies a directory as a killed process leaves it: what the system
// has, synced or not. Nothing may be in flight.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func expectTotals(t testing.TB, b *broker, name string, n int) {
	t.Helper()
	var want []string
	for i := 1; i <= n; i++ {
		want = append(want, fmt.Sprintf("%s=%d", name, i))
	}
	var got []string
	eventually(t, fmt.Sprintf("%d totals of %s", n, name), func() bool {
		got = got[:0]
		for _, r := range b.all() {
			if strings.HasPrefix(r, name+"=") {
				got = append(got, r)
			}
		}
		return len(got) >= n
	})
	if !slices.Equal(got, want) {
		t.Errorf("delivered %v; want each total of %s once, up to %d", got, name, n)
	}
}

func TestRestart(t *testing.T) {
	for _, durability := range []raftlog.Durability{raftlog.Disk, raftlog.Memory} {
		t.Run(string(durability), func(t *testing.T) {
			b := &broker{}
			cfg := config(t, t.TempDir(), b)
			cfg.Durability = durability
			first := start(t, cfg)
			for i := range 20 {
				first.add(fmt.Sprint(i), "a", 1)
			}
			decision := first.add("20", "a", 1).Decision
			expectTotals(t, b, "a", 21)
			first.quiet()
			killed := copyDir(t, cfg.Dir)
			first.mustEnd()

			for _, dir := range []string{cfg.Dir, killed} {
				cfg := config(t, dir, b)
				cfg.Durability = durability
				r := start(t, cfg)
				if got := r.sum("a"); got != 21 {
					t.Errorf("sum after a restart = %d; want 21", got)
				}
				again, err := r.submit("20", "a", 1)
				if err != nil || again.Outcome != core.OutcomeDuplicate || again.Decision != decision {
					t.Errorf("submitted again = %+v, %v; want a duplicate with decision %s", again, err, decision)
				}
				stage, key, err := r.FindDecision(context.Background(), decision)
				if err != nil || stage != "tally" || key != "a" {
					t.Errorf("FindDecision = %s, %s, %v; want tally, a", stage, key, err)
				}
				expectTotals(t, b, "a", 21)
				r.mustEnd()
			}
		})
	}
}

func TestSnapshotAndTruncation(t *testing.T) {
	b := &broker{}
	cfg := config(t, t.TempDir(), b)
	cfg.TrailingEntries = 100
	r := start(t, cfg)
	for i := range 200 { // more than what trails a snapshot
		r.add(fmt.Sprint(i), "a", 1)
	}
	if err := r.Snapshot(); err != nil {
		t.Fatal(err)
	}
	low, err := r.log.FirstIndex()
	if err != nil || low <= 1 {
		t.Errorf("log begins at %d, %v after a snapshot; want it truncated", low, err)
	}
	index, _ := r.snaps.Newest()
	digest := func(r *running) string {
		list, err := r.Shards(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	for i := range 10 {
		r.add(fmt.Sprint(1000+i), "a", 1)
	}
	expectTotals(t, b, "a", 210)
	r.quiet()
	before := digest(r)
	killed := copyDir(t, cfg.Dir)
	r.mustEnd()

	// The state is gone, as after a crash while a snapshot was installed.
	if err := os.RemoveAll(filepath.Join(killed, "state")); err != nil {
		t.Fatal(err)
	}
	r = start(t, config(t, killed, b))
	if got := r.sum("a"); got != 210 {
		t.Errorf("sum from snapshot %d and log = %d; want 210", index, got)
	}
	if after := digest(r); after != before {
		t.Errorf("digests from snapshot and log = %s; want %s", after, before)
	}
	r.mustEnd()

	// A log that was truncated and no snapshot: refused.
	if err := os.RemoveAll(filepath.Join(killed, "state")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(killed, "snapshots")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(config(t, killed, b)); !errors.Is(err, raftlog.ErrBehind) {
		t.Errorf("Open without state and snapshot = %v; want %v", err, raftlog.ErrBehind)
	}
}

func TestSnapshotWhenDue(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	cfg.SnapshotBytes = 2 << 10
	r := start(t, cfg)
	for i := range 50 {
		r.add(fmt.Sprint(i), "a", 1)
	}
	newest := func() uint64 { index, _ := r.snaps.Newest(); return index }
	eventually(t, "a snapshot", func() bool { return newest() > 0 })
	before := newest()
	for i := range 50 {
		r.add(fmt.Sprint(100+i), "a", 1)
	}
	eventually(t, "the next snapshot", func() bool { return newest() > before })
	eventually(t, "one snapshot on disk", func() bool {
		entries, err := os.ReadDir(filepath.Join(cfg.Dir, "snapshots"))
		return err == nil && len(entries) == 1
	})
	r.mustEnd()
}

func TestRestoreFromStream(t *testing.T) {
	b := &broker{}
	r := start(t, config(t, t.TempDir(), b))
	for i := range 50 {
		r.add(fmt.Sprint(i), "a", 1)
	}
	if err := r.Snapshot(); err != nil {
		t.Fatal(err)
	}
	list, err := r.snaps.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("snapshots %v, %v; want one", list, err)
	}
	meta, stream, err := r.snaps.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, t.TempDir(), &broker{})
	before := start(t, cfg)
	before.add("x", "a", 1000)
	before.mustEnd()
	// It is not run: Raft restores and applies in one goroutine, so nothing may be
	// applied meanwhile.
	other, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingReader{ReadCloser: stream}
	sink, err := other.snaps.Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(sink, counted); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (fsm{other}).Restore(counted); err != nil {
		t.Fatal(err)
	}
	if counted.n != meta.Size {
		t.Errorf("stream has %d bytes; its size says %d", counted.n, meta.Size)
	}
	answer, _, err := other.Ask(context.Background(), tally.Stage, tally.Query, "a", &tally.Question{}, connectors.Stale)
	if err != nil || answer.(*tally.Total).Sum != 50 {
		t.Errorf("sum in the restored state = %v, %v; want 50, and nothing of before", answer, err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	r.mustEnd()
}

type countingReader struct {
	io.ReadCloser
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}

func TestFullDisk(t *testing.T) {
	b := &broker{}
	cfg := config(t, t.TempDir(), b)
	var full atomic.Bool
	cfg.Disk = func(o *raftlog.Options) {
		o.Fault = func(op raftlog.Op, name string) error {
			if full.Load() && op == raftlog.OpWrite {
				return syscall.ENOSPC
			}
			return nil
		}
	}
	r := start(t, cfg)
	for i := range 10 {
		r.add(fmt.Sprint(i), "a", 1)
	}
	full.Store(true)
	// Whichever write meets the full disk first: this command's, whose outcome
	// is then unknown, or an acknowledgement's, after which nothing is taken in.
	reply, err := r.submit("lost", "a", 1)
	if !errors.Is(err, connectors.ErrUnknown) && !errors.Is(err, connectors.ErrUnavailable) {
		t.Errorf("Submit on a full disk = %+v, %v; want %v or %v", reply, err, connectors.ErrUnknown, connectors.ErrUnavailable)
	}
	if err := <-r.done; !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Run on a full disk = %v; want one line that says so", err)
	} else if errors.Is(err, ErrDamaged) {
		t.Errorf("Run on a full disk = %v; want no damage", err)
	}
	cfg = config(t, cfg.Dir, b)
	r = start(t, cfg)
	if got := r.sum("a"); got != 10 {
		t.Errorf("sum after a full disk = %d; want 10", got)
	}
	r.add("lost", "a", 1)
	expectTotals(t, b, "a", 11)
	r.mustEnd()
}

func TestHaltAndSkip(t *testing.T) {
	b := &broker{}
	cfg := config(t, t.TempDir(), b)
	r := start(t, cfg)
	r.add("1", "a", 1)
	bad := &core.Entry{Level: r.Level(), Items: []core.Item{{Ack: &core.Ack{Shard: 3, Through: 99}}}}
	data, err := cfg.Core.Codec.Append(nil, uint8(bad.Level), bad)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.raft.Apply(data, 0).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "halt", func() bool { return r.Halted() && !r.Leading() })
	if _, err := r.submit("2", "a", 1); !errors.Is(err, connectors.ErrUnavailable) {
		t.Errorf("Submit to a halted group = %v; want %v", err, connectors.ErrUnavailable)
	}
	if err := r.Snapshot(); err == nil {
		t.Error("a halted group took a snapshot")
	}
	r.mustEnd()

	r = start(t, config(t, cfg.Dir, b))
	eventually(t, "halt after a restart", r.Halted)
	s, err := r.Status(context.Background())
	if err != nil || s.Halted == "" {
		t.Fatalf("Status = %+v, %v; want a halt", s, err)
	}
	halt := r.core.Halted()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Skip(ctx, halt.Index, halt.Message+1); !errors.Is(err, connectors.ErrNotFound) {
		t.Errorf("Skip of another message = %v; want %v", err, connectors.ErrNotFound)
	}
	if err := r.Skip(ctx, halt.Index, halt.Message); err != nil {
		t.Fatal(err)
	}
	eventually(t, "leader after the skip", r.Leading)
	r.add("2", "a", 1)
	expectTotals(t, b, "a", 2)
	r.mustEnd()
}

// TestDeliveryOnce has transactions fail, and succeed without anybody knowing.
func TestDeliveryOnce(t *testing.T) {
	b := &broker{}
	n := 0
	b.fail = func() error {
		if n++; n%3 == 0 {
			return errors.New("broker not available")
		}
		return nil
	}
	b.after = func() error {
		if n%4 == 0 {
			return connectors.ErrMaybe
		}
		return nil
	}
	r := start(t, config(t, t.TempDir(), b))
	for i := range 40 {
		r.add(fmt.Sprint(i), "a", 1)
	}
	expectTotals(t, b, "a", 40)
	r.mustEnd()
}

func TestManyAtOnce(t *testing.T) {
	b := &broker{}
	cfg := config(t, t.TempDir(), b)
	r := start(t, cfg)
	var callers sync.WaitGroup
	const each = 50
	for c := range 20 {
		callers.Go(func() {
			for i := range each {
				if _, err := r.submit(fmt.Sprintf("%d-%d", c, i), "a", 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	if got := r.sum("a"); got != 20*each {
		t.Errorf("sum = %d; want %d", got, 20*each)
	}
	if last, err := r.log.LastIndex(); err != nil || last >= 20*each {
		t.Errorf("%d entries for %d commands, %v; want them batched", last, 20*each, err)
	}
	expectTotals(t, b, "a", 20*each)
	r.mustEnd()
}

func TestRejectedBecomesDeadLetter(t *testing.T) {
	r := start(t, config(t, t.TempDir(), &broker{}))
	reply, err := r.submit("1", "a", -1)
	if err != nil || reply.Outcome != core.OutcomeDeadLetter || reply.Code != "negative" || reply.DeadLetter == "" {
		t.Errorf("Submit = %+v, %v; want a dead letter", reply, err)
	}
	r.mustEnd()
}

func TestNothingIsLeftOpen(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	r := start(t, cfg)
	r.add("1", "a", 1)
	r.mustEnd()
	var left []string
	err := filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".partial") || d.Name() == "checkpoint" || d.Name() == "incoming" || d.Name() == "recheck" {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v; want nothing half made", left, err)
	}
}

// TestHalfBootstrap stops a founding replica between the two writes of its
// bootstrap: the next start completes it.
func TestHalfBootstrap(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	g, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.records.SetUint64([]byte("CurrentTerm"), 1), g.Close()); err != nil {
		t.Fatal(err)
	}
	r := start(t, cfg)
	r.add("1", "a", 1)
	r.mustEnd()
}
