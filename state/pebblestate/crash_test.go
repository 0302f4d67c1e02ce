package pebblestate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
)

// randomEntry changes a few rows of a store and of the model.
func randomEntry(rng *rand.Rand, index uint64, stores ...state.Store) {
	for range rng.IntN(6) {
		id := state.CellID{Shard: testShards[rng.IntN(len(testShards))], Stage: testStages[rng.IntN(2)], Key: fmt.Sprint(rng.IntN(12))}
		t, row := testTables[rng.IntN(len(testTables))], fmt.Sprintf("%03d", rng.IntN(40))
		remove := rng.IntN(4) == 0
		value := &item{Number: rng.Int64N(1000), Text: string(make([]byte, rng.IntN(200)))}
		for _, s := range stores {
			if remove {
				s.Cell(id).Delete(t, row)
			} else {
				s.Cell(id).Set(t, row, value, 0)
			}
		}
	}
	for _, s := range stores {
		s.Commit(index)
	}
}

// TestCrash stops the machine at random moments. What is found afterwards is
// the state at some index, exactly, and no older than what was called durable.
func TestCrash(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crash(t, seed, 8) })
	}
}

func crash(t *testing.T, seed uint64, crashes int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	o := Options{FS: fs, HotBytes: 32 << 10, Gather: time.Microsecond, FlushBytes: 16 << 10, Codec: codec.New()}
	o.limits = defaultLimits
	if seed%2 == 1 {
		o.limits.ingestBytes = 4 << 10 // of both kinds
	}
	s := start(t, o)
	model := memstate.New(testTables, o.Codec)
	states := map[uint64]*memstate.Store{0: model.Clone()}
	for index := uint64(1); crashes > 0; index++ {
		randomEntry(rng, index, s, model)
		states[index] = model.Clone()
		if rng.IntN(100) == 0 {
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(50) == 0 { // which is written into Pebble's memory
			v, err := s.View(context.Background())
			if err == nil {
				err = v.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(60) > 0 {
			continue
		}
		crashes--
		durable := s.Durable()
		after := o
		after.FS = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		survivor := start(t, after)
		found := survivor.Applied()
		if found < durable || found > index {
			t.Errorf("after a crash at %d with %d durable: applied index %d", index, durable, found)
		}
		if got, want := viewDump(t, survivor.Store), dump(t, states[found].View()); got != want {
			t.Errorf("after a crash at %d: state is\n%s\nwant\n%s", index, got, want)
		}
		if err := survivor.Verify(context.Background()); err != nil {
			t.Error(err)
		}
		// Life goes on with what survived, or without the crash.
		if rng.IntN(2) == 0 {
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
			s, model, index, fs = survivor, states[found].Clone(), found, after.FS.(*vfs.MemFS)
			o = after
		} else if err := survivor.end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}
