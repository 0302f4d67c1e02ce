package pebblestate

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// faulted runs fn and returns the fault it raised.
func faulted(fn func()) (err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case *state.Fault:
			err = f
		default:
			panic(f)
		}
	}()
	fn()
	return nil
}

// TestDiskErrors lets the disk fail after n operations of a kind, for growing
// n. The failure must be told, and what is on the disk must be the state at
// some index that is not older than what was called durable.
func TestDiskErrors(t *testing.T) {
	for kind, match := range map[string]func(op errorfs.Op) bool{
		"write":    func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileWriteAt },
		"create":   func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate },
		"read":     func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpFileRead },
		"manifest": func(op errorfs.Op) bool { return isSync(op) && strings.Contains(op.Path, "MANIFEST") },
		"sync":     isSync,
		// Which Pebble panics about.
		"directory": func(op errorfs.Op) bool {
			return isSync(op) && !strings.Contains(filepath.Base(op.Path), "-") && filepath.Ext(op.Path) == ""
		},
	} {
		t.Run(kind, func(t *testing.T) {
			met := 0
			for n := range 8 {
				for _, ingested := range []int{1, 1 << 20} {
					if diskError(t, match, int32(n*n), ingested) {
						met++
					}
				}
			}
			if met < 6 {
				t.Errorf("only %d runs met an error", met)
			}
		})
	}
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

// diskError makes one run and says whether the disk failed in it. Runs of the
// store from a size on are ingested.
func diskError(t *testing.T, match func(op errorfs.Op) bool, after int32, ingested int) bool {
	var armed, failing atomic.Bool
	var left atomic.Int32
	left.Store(after)
	mem := vfs.NewCrashableMem()
	o := Options{Codec: codec.New(), HotBytes: 4 << 10, CacheBytes: 1, Gather: time.Microsecond, FlushBytes: 8 << 10, limits: defaultLimits}
	o.limits.ingestBytes = ingested
	o.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && match(op) && left.Add(-1) < 0 {
			failing.Store(true)
			return syscall.EIO // from now on
		}
		return nil
	}))
	s := start(t, o)
	model := memstate.New(testTables, o.Codec)
	states := map[uint64]*memstate.Store{0: model.Clone()}
	armed.Store(true)
	var told error
	for index := uint64(1); index < 400 && told == nil; index++ {
		randomEntry(rand.New(rand.NewPCG(index, uint64(after))), index, model)
		states[index] = model.Clone()
		told = faulted(func() { randomEntry(rand.New(rand.NewPCG(index, uint64(after))), index, s) })
		if told == nil && index%50 == 0 {
			told = s.Flush(context.Background())
		}
	}
	durable := s.Durable()
	if err := s.end(); told == nil {
		told = err
	}
	if failing.Load() && told == nil && s.Durable() < model.Applied() {
		t.Errorf("after %d operations the disk failed at %d, and nobody was told", after, durable)
	}
	if told != nil && !errors.Is(told, state.ErrDamaged) {
		t.Errorf("after %d operations: %v; want it to say that a disk which fails is damage", after, told)
	}
	if told != nil && !failing.Load() {
		t.Errorf("after %d operations: %v, without a failure of the disk", after, told)
	}
	armed.Store(false)
	o.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	survivor := start(t, o)
	found := survivor.Applied()
	if found < durable || states[found] == nil {
		t.Fatalf("after %d operations: applied index %d; %d was durable", after, found, durable)
	}
	if got, want := viewDump(t, survivor.Store), dump(t, states[found].View()); got != want {
		t.Errorf("after %d operations: state at %d is\n%s\nwant\n%s", after, found, got, want)
	}
	if err := survivor.end(); err != nil {
		t.Fatal(err)
	}
	return failing.Load()
}

// A failure ends all waiting: of commits for room, and of whoever wants a view.
func TestFailureEndsWaiting(t *testing.T) {
	s := start(t, Options{FS: vfs.NewMem(), QueueBytes: 300})
	release := s.hold()
	waiting := make(chan error, 2)
	go func() {
		waiting <- faulted(func() {
			for index := uint64(1); ; index++ {
				s.Cell(state.CellID{Key: "k"}).Set(testTables[0], "r", &item{Number: int64(index)}, 0)
				s.Commit(index)
			}
		})
	}()
	go func() { waiting <- s.Flush(context.Background()) }()
	s.awaitFull()
	cause := errors.New("disk on fire")
	s.fail(cause)
	for range 2 {
		if err := <-waiting; !errors.Is(err, cause) {
			t.Errorf("waiting call returned %v; want %v", err, cause)
		}
	}
	release()
	if err := s.end(); !errors.Is(err, cause) {
		t.Errorf("Run = %v; want %v", err, cause)
	}
}

func TestOpenRefuses(t *testing.T) {
	c := codec.New()
	open := func(fs vfs.FS, dir string) error {
		s, err := Open(Options{Dir: dir, FS: fs, Tables: testTables, Codec: c})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	write := func(fs vfs.FS, name string) {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			if err := fs.MkdirAll(base, 0o755); err != nil {
				t.Fatal(err)
			}
			used := fs.PathJoin(base, "used")
			first := start(t, Options{Dir: used, FS: fs})
			if err := open(fs, used); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), used) {
				t.Errorf("Open(directory in use) = %v; want ErrInUse", err)
			}
			if err := first.end(); err != nil {
				t.Fatal(err)
			}
			if err := open(fs, used); err != nil {
				t.Errorf("Open(closed store) = %v", err)
			}

			foreign := fs.PathJoin(base, "foreign")
			if err := fs.MkdirAll(foreign, 0o755); err != nil {
				t.Fatal(err)
			}
			write(fs, fs.PathJoin(foreign, "holiday.jpg"))
			if err := open(fs, foreign); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "holiday.jpg") {
				t.Errorf("Open(foreign directory) = %v; want ErrForeign", err)
			}

			other := fs.PathJoin(base, "other")
			db, err := pebble.Open(other, &pebble.Options{FS: fs, Logger: &logger{newStore(Options{}.withDefaults())}})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := open(fs, other); !errors.Is(err, ErrForeign) {
				t.Errorf("Open(another program's Pebble) = %v; want ErrForeign", err)
			}

			half := fs.PathJoin(base, "half")
			if err := fs.MkdirAll(half, 0o755); err != nil {
				t.Fatal(err)
			}
			write(fs, fs.PathJoin(half, "MANIFEST-000001"))
			if err := open(fs, half); err != nil {
				t.Errorf("Open(store that was never finished) = %v", err)
			}
		})
	}
}

func TestOpenReportsAllFaults(t *testing.T) {
	_, err := Open(Options{HotBytes: -1})
	for _, want := range []string{"no directory", "no codec", "negative limit -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(bad options) = %v; want %q in it", err, want)
		}
	}
}

// A full disk stops the store, but nothing on it is wrong.
func TestFullDiskIsNoDamage(t *testing.T) {
	var full atomic.Bool
	o := Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileWriteAt) {
			return syscall.ENOSPC
		}
		return nil
	}))}
	s := start(t, o)
	full.Store(true)
	s.Cell(state.CellID{Key: "k"}).Set(testTables[0], "r", &item{Number: 1}, 0)
	s.Commit(1)
	if err := s.Flush(context.Background()); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, state.ErrDamaged) {
		t.Errorf("Flush = %v; want %v, which is no damage", err, syscall.ENOSPC)
	}
	if err := s.end(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, state.ErrDamaged) {
		t.Errorf("Run = %v; want %v, which is no damage", err, syscall.ENOSPC)
	}
}
