package pebblestate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// files is the content of a directory.
type files map[string][]byte

const damagedDir = "state"

func readFiles(t *testing.T, fs vfs.FS) files {
	t.Helper()
	names, err := fs.List(damagedDir)
	if err != nil {
		t.Fatal(err)
	}
	all := files{}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(damagedDir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(name, err)
		}
		all[name] = b
	}
	return all
}

func (all files) write(t *testing.T) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll(damagedDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range all {
		f, err := fs.Create(fs.PathJoin(damagedDir, name), vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write(append([]byte(nil), b...))
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// with returns the files with one changed.
func (all files) with(name string, b []byte) files {
	changed := files{}
	for n, content := range all {
		changed[n] = content
	}
	if b == nil {
		delete(changed, name)
	} else {
		changed[name] = b
	}
	return changed
}

// damagedStore fills a store with runs of all kinds, and returns its files as an
// orderly end leaves them, or a crash, and what they should say.
func damagedStore(t *testing.T, crashed bool) (files, map[uint64]string) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	o := Options{Codec: codec.New(), FS: fs, Gather: time.Microsecond, FlushBytes: 8 << 10, limits: defaultLimits}
	o.limits.blockBytes, o.limits.ingestBytes = 256, 4<<10
	s := start(t, o)
	model := memstate.New(testTables, o.Codec)
	states := map[uint64]string{}
	for index := uint64(1); index < 200; index++ {
		randomEntry(rand.New(rand.NewPCG(index, 7)), index, s, model)
		states[index] = dump(t, model.View())
		if index%60 == 0 {
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if crashed {
		all := readFiles(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))}))
		if err := s.end(); err != nil {
			t.Fatal(err)
		}
		return all, states
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	return readFiles(t, fs), states
}

// examine opens a store and reads all of it, and says what was found out: an
// error, or the state that it shows.
func examine(t *testing.T, all files) (found string, index uint64, err error) {
	t.Helper()
	o := Options{Dir: damagedDir, FS: all.write(t), Tables: testTables, Codec: codec.New()}
	s, err := tryStart(o)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		ended := s.end()
		if err == nil {
			err = ended
		}
	}()
	if err := s.Scrub(context.Background(), 0); err != nil {
		return "", 0, err
	}
	return viewDump(t, s.Store), s.Applied(), s.Err()
}

const flips = 200 // per kind of file

// TestFlippedBits flips bits in each kind of file of a store. Either that is
// found, and called damage, or it changes nothing.
func TestFlippedBits(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		all, states := damagedStore(t, crashed)
		whole, index, err := examine(t, all)
		if err != nil || whole != states[index] {
			t.Fatalf("crashed %v: store at %d is not what it was before (%v)", crashed, index, err)
		}
		for _, kind := range []string{"MANIFEST-", "OPTIONS-", ".sst", markName} {
			t.Run(fmt.Sprintf("crashed %v/%s", crashed, kind), func(t *testing.T) {
				var names []string
				for name := range all {
					if strings.Contains(name, kind) && len(all[name]) > 0 {
						names = append(names, name)
					}
				}
				rng := rand.New(rand.NewPCG(uint64(len(kind)), 3))
				detected := 0
				for range flips {
					name := names[rng.IntN(len(names))]
					b := append([]byte(nil), all[name]...)
					at := rng.IntN(len(b) * 8)
					b[at/8] ^= 1 << (at % 8)
					got, _, err := examine(t, all.with(name, b))
					switch {
					case err == nil && got != whole:
						t.Errorf("bit %d of %s flipped: silently wrong", at, name)
					case err != nil && !errors.Is(err, state.ErrDamaged):
						t.Errorf("bit %d of %s flipped: %v; want state.ErrDamaged", at, name, err)
					case err != nil:
						detected++
					}
				}
				t.Logf("%d of %d were detected, the others harmless", detected, flips)
				if kind != "OPTIONS-" && kind != markName && detected < flips/2 {
					t.Errorf("only %d of %d flips in %s were detected", detected, flips, kind)
				}
			})
		}
	}
}

// TestFlippedBitsAreMetByReads flips bits in tables and reads every cell as the
// core does. A read gives what was stored, or raises a fault that says damage.
func TestFlippedBitsAreMetByReads(t *testing.T) {
	all, states := damagedStore(t, false)
	var names []string
	for name := range all {
		if strings.HasSuffix(name, ".sst") {
			names = append(names, name)
		}
	}
	read := func(all files) (text string, err error) {
		o := Options{Dir: damagedDir, FS: all.write(t), Tables: testTables, Codec: codec.New()}
		s, err := tryStart(o)
		if err != nil {
			return "", err
		}
		err = faulted(func() { text = cellDump(s) })
		return text, firstError(err, s.end())
	}
	want, err := read(all)
	if err != nil || len(states) == 0 {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	met := 0
	for range flips {
		name := names[rng.IntN(len(names))]
		b := append([]byte(nil), all[name]...)
		at := rng.IntN(len(b) * 8)
		b[at/8] ^= 1 << (at % 8)
		got, err := read(all.with(name, b))
		if err == nil && got != want {
			t.Errorf("bit %d of %s flipped: silently wrong", at, name)
		}
		if err == nil {
			continue
		}
		met++
		if !errors.Is(err, state.ErrDamaged) {
			t.Errorf("bit %d of %s flipped: %v; want state.ErrDamaged", at, name, err)
		}
	}
	if met < flips/4 {
		t.Errorf("reads met only %d of %d flips", met, flips)
	}
}

// cellDump lists what the core sees.
func cellDump(s state.Store) string {
	var b strings.Builder
	for _, shard := range testShards {
		for _, stage := range testStages {
			s.Cells(shard, stage, func(key string, c state.Cell) bool {
				for _, t := range testTables {
					fmt.Fprintln(&b, shard, stage, key, t, scanned(c, t, "", "", 100, false))
				}
				return true
			})
		}
	}
	return b.String()
}

func TestMissingAndCutFiles(t *testing.T) {
	all, states := damagedStore(t, false)
	for name, b := range all {
		for what, changed := range map[string][]byte{"missing": nil, "cut": b[:len(b)/2]} {
			got, index, err := examine(t, all.with(name, changed))
			needed := strings.HasSuffix(name, ".sst") || strings.HasPrefix(name, "MANIFEST-")
			if what == "missing" {
				needed = needed || name == markName || strings.HasPrefix(name, "marker.manifest")
			}
			if err == nil && (needed || got != states[index]) || err != nil && !errors.Is(err, state.ErrDamaged) {
				t.Errorf("%s is %s: %v; want state.ErrDamaged", name, what, err)
			}
		}
	}
}

// What is behind the end that was synced last may be anything: a crash left it.
func TestTornManifest(t *testing.T) {
	all, states := damagedStore(t, false)
	for name, b := range all {
		if !strings.HasPrefix(name, manifestPrefix) {
			continue
		}
		torn := append(append([]byte(nil), b...), "half a record"...)
		got, index, err := examine(t, all.with(name, torn))
		if err != nil || got != states[index] || index == 0 {
			t.Errorf("%s with a torn end: %v at %d; want the state before", name, err, index)
		}
	}
}

// A snapshot's files are linked into the place of a state: opening that must not
// change them.
func TestOpeningLeavesLinkedFiles(t *testing.T) {
	all, _ := damagedStore(t, false)
	fs := all.write(t)
	if err := fs.MkdirAll("snapshot", 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if err := fs.Link(fs.PathJoin(damagedDir, name), fs.PathJoin("snapshot", name)); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, Options{Dir: damagedDir, FS: fs})
	s.Cell(state.CellID{Shard: 7, Key: "more"}).Set(testTables[0], "", &item{Number: 1}, 0)
	s.Commit(s.Applied() + 1)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	for name, b := range all {
		got, err := readFile(fs, fs.PathJoin("snapshot", name), 1<<30)
		if err != nil || string(got) != string(b) {
			t.Errorf("linked file %s has changed (%v)", name, err)
		}
	}
}
