package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
)

// entry makes the log entry of an index, so that any reader knows its content.
func entry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: index/7 + 1, Type: raft.LogCommand,
		Data: bytes.Repeat([]byte{byte(index)}, int(index*13%90)+1), Extensions: []byte("x")}
}

func appendEntries(t *testing.T, l *Log, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := l.StoreLog(entry(i)); err != nil {
			t.Fatalf("StoreLog(%d): %v", i, err)
		}
	}
}

// checkEntries fails unless the log holds exactly first to at least last, as
// written.
func checkEntries(t *testing.T, l *Log, first, last uint64) {
	t.Helper()
	for i := first; i <= last; i++ {
		var got raft.Log
		if err := l.GetLog(i, &got); err != nil {
			t.Fatalf("GetLog(%d): %v", i, err)
		}
		want := entry(i)
		if got.Index != i || got.Term != want.Term || !bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Extensions, want.Extensions) {
			t.Fatalf("GetLog(%d) = %+v; want %+v", i, got, want)
		}
	}
	if end, err := l.LastIndex(); err != nil || end < last {
		t.Fatalf("LastIndex() = %d, %v; want %d or more", end, err, last)
	}
}

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReopen(t *testing.T) {
	for _, d := range []Durability{Disk, Memory} {
		t.Run(string(d), func(t *testing.T) {
			o := Options{Dir: t.TempDir(), Group: 3, Durability: d, SegmentBytes: 4 << 10}
			l := open(t, o)
			appendEntries(t, l, 1, 200)
			if err := l.SetUint64([]byte("term"), 9); err != nil {
				t.Fatal(err)
			}
			if err := l.DeleteRange(1, 120); err != nil {
				t.Fatal(err)
			}
			if err := l.DeleteRange(191, 200); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(190); err != nil {
				t.Fatal(err)
			}
			l = open(t, o)
			checkEntries(t, l, 121, 190)
			if err := l.GetLog(120, new(raft.Log)); err != raft.ErrLogNotFound {
				t.Errorf("GetLog(120) = %v; want %v", err, raft.ErrLogNotFound)
			}
			if term, err := l.GetUint64([]byte("term")); err != nil || term != 9 {
				t.Errorf("GetUint64(term) = %d, %v; want 9", term, err)
			}
			appendEntries(t, l, 191, 220)
			if err := l.Close(220); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// image is what a crash left behind.
type image struct {
	fs    *memFS
	meta  *memMeta
	how   crash
	acked uint64
	at    string
}

// TestCrashAnywhere crashes at every access to the disk, in every way, and
// finds everything acknowledged, in a log that takes further entries.
func TestCrashAnywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex // guards images and rnd: segments are rotated in the background
	var images []image
	fs, meta := newMemFS(), newMemMeta()
	var acked atomic.Uint64
	mended, sealedTails := 0, 0
	o := Options{Dir: "d", FS: fs, Meta: meta, SegmentBytes: 1 << 10, Boot: someBoot,
		Fault: func(op Op, name string) error {
			if op == OpRead || op == OpOpen {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			for _, how := range []crash{killed, powerLost, torn} {
				images = append(images, image{fs.clone(how, rnd), meta.clone(), how, acked.Load(), fmt.Sprintf("%s %s", op, name)})
			}
			return nil
		}}
	l := open(t, o)
	for i := uint64(1); i <= 120; i += 3 {
		if err := l.StoreLogs([]*raft.Log{entry(i), entry(i + 1), entry(i + 2)}); err != nil {
			t.Fatal(err)
		}
		acked.Store(i + 2)
		if i%10 == 0 {
			if err := l.Mark(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(120); err != nil {
		t.Fatal(err)
	}
	for n, im := range images {
		st, _ := im.meta.Load("")
		before := len(st.Segments)
		var opening atomic.Bool
		opening.Store(true)
		o := Options{Dir: "d", FS: im.fs, Meta: im.meta, SegmentBytes: 1 << 10, Boot: otherBoot,
			Fault: func(op Op, name string) error {
				if opening.Load() && op == OpWrite && strings.HasSuffix(name, ".wal") {
					mended++
				}
				return nil
			}}
		l, err := Open(o)
		if err != nil {
			t.Fatalf("image %d, %s at %s, %d acknowledged: %v", n, im.how, im.at, im.acked, err)
		}
		if st, _ = im.meta.Load(""); before > 0 && len(st.Segments) > before {
			sealedTails++
		}
		opening.Store(false)
		o.Fault = nil
		checkEntries(t, l, 1, im.acked)
		last, _ := l.LastIndex()
		appendEntries(t, l, last+1, last+20)
		if err := l.Close(last + 20); err != nil {
			t.Fatal(err)
		}
		l = open(t, o)
		checkEntries(t, l, 1, last+20)
		if err := l.Close(last + 20); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d images, %d tails wiped, %d seals finished", len(images), mended, sealedTails)
	if mended == 0 || sealedTails == 0 {
		t.Error("no crash hit the sealing of a segment; the test does not test it")
	}
}

func TestMemoryDurability(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, meta := newMemFS(), newMemMeta()
		var syncs atomic.Int64
		o := Options{Dir: "d", FS: fs, Meta: meta, Durability: Memory, Boot: someBoot,
			Fault: func(op Op, name string) error {
				if op == OpSync && strings.HasSuffix(name, ".wal") {
					syncs.Add(1)
				}
				return nil
			}}
		l := open(t, o)
		appendEntries(t, l, 1, 50)
		if l.Synced() != 0 || syncs.Load() != 0 {
			t.Fatalf("synced %d with %d syncs at once; want none", l.Synced(), syncs.Load())
		}
		synctest.Wait()
		pulse(t, syncDelay)
		if l.Synced() != 50 || syncs.Load() != 1 {
			t.Fatalf("synced %d with %d syncs after the delay; want 50 with 1", l.Synced(), syncs.Load())
		}
		// The mark covers what is synced, not what is committed.
		appendEntries(t, l, 51, 60)
		if err := l.Mark(60); err != nil {
			t.Fatal(err)
		}
		if l.mark.last.index != 50 {
			t.Errorf("mark is %d; want 50", l.mark.last.index)
		}
		lost := fs.clone(powerLost, nil)
		o2 := Options{Dir: "d", FS: lost, Meta: meta.clone(), Durability: Memory, Boot: otherBoot}
		if _, err := Open(o2); !errors.Is(err, ErrUnclean) {
			t.Errorf("Open after a power loss = %v; want %v", err, ErrUnclean)
		}
		o3 := Options{Dir: "d", FS: fs.clone(killed, nil), Meta: meta.clone(), Durability: Memory, Boot: someBoot}
		l3 := open(t, o3)
		checkEntries(t, l3, 1, 60)
		if err := errors.Join(l3.Close(60), l.Close(60)); err != nil {
			t.Fatal(err)
		}
		// After an orderly stop another boot is welcome.
		o.Boot = otherBoot
		l = open(t, o)
		checkEntries(t, l, 1, 60)
		if err := l.Close(60); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFaultStopsTheLog(t *testing.T) {
	for _, d := range []Durability{Disk, Memory} {
		for _, bad := range []Op{OpWrite, OpSync} {
			t.Run(fmt.Sprintf("%s %s", d, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fs, meta := newMemFS(), newMemMeta()
					var full bool
					var reported []error
					o := Options{Dir: "d", FS: fs, Meta: meta, Durability: d, Boot: someBoot,
						OnFault: func(err error) { reported = append(reported, err) },
						Fault: func(op Op, name string) error {
							if full && op == bad {
								return syscall.ENOSPC
							}
							return nil
						}}
					l := open(t, o)
					appendEntries(t, l, 1, 10)
					full = true
					err := l.StoreLog(entry(11))
					pulse(t, syncDelay)
					if late := d == Memory && bad == OpSync; late != (err == nil) {
						t.Fatalf("StoreLog on a full disk = %v; want an error only if it is noticed at once", err)
					}
					if !errors.Is(l.Err(), syscall.ENOSPC) || len(reported) != 1 {
						t.Fatalf("Err() = %v, reported %v; want the full disk, once", l.Err(), reported)
					}
					full = false
					if err := l.StoreLog(entry(11)); !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("StoreLog after a fault = %v; want the fault again", err)
					}
					if err := l.Close(10); !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("Close after a fault = %v; want the fault", err)
					}
					o.Fault = nil
					l = open(t, o)
					checkEntries(t, l, 1, 10)
					if err := l.Close(10); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}
}

// TestDamage changes files on a real disk.
func TestDamage(t *testing.T) {
	prepare := func(t *testing.T) (Options, string) {
		o := Options{Dir: t.TempDir(), SegmentBytes: 64 << 10, Group: 1}
		l := open(t, o)
		appendEntries(t, l, 1, 100)
		if err := l.Close(100); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(o.Dir, "*.wal"))
		if err != nil || len(files) != 1 {
			t.Fatalf("segments %v, %v; want one", files, err)
		}
		return o, files[0]
	}
	change := func(t *testing.T, path string, fn func(b []byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fn(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("cut", func(t *testing.T) {
		o, file := prepare(t)
		change(t, file, func(b []byte) []byte { return b[:2000] })
		if _, err := Open(o); !errors.Is(err, ErrBehind) {
			t.Errorf("Open of a cut log = %v; want %v", err, ErrBehind)
		}
	})
	t.Run("another group's", func(t *testing.T) {
		o, _ := prepare(t)
		o.Group = 2
		if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Open of another group's log = %v; want %v", err, ErrCorrupt)
		}
	})
	t.Run("mark gone bad", func(t *testing.T) {
		o, _ := prepare(t)
		change(t, filepath.Join(o.Dir, markName), func(b []byte) []byte { b[20]++; b[markSpace+20]++; return b })
		if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Open with a bad mark = %v; want %v", err, ErrCorrupt)
		}
	})
	t.Run("flipped bits", func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(7, 7))
		o, file := prepare(t)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(good, "\x00"))
		for range 60 {
			at, bit := segmentHeader+rnd.IntN(end-segmentHeader), rnd.IntN(8)
			change(t, file, func([]byte) []byte {
				b := bytes.Clone(good)
				b[at] ^= 1 << bit
				return b
			})
			l, err := Open(o)
			if err == nil { // the bit stood where nothing is read: the log must still be whole
				checkEntries(t, l, 1, 100)
				if err := l.Close(100); err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrBehind) {
				t.Errorf("Open with bit %d of byte %d flipped = %v; want %v or %v", bit, at, err, ErrCorrupt, ErrBehind)
			}
		}
	})
}
