package kafka

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// An old leader is in the middle of a transaction, on any slot, when a new one
// opens: what it wrote is aborted at once, readers are not held up behind it,
// and it can neither commit nor begin anything on any slot.
func TestZombieMidTransaction(t *testing.T) { eachBroker(t, testZombieMidTransaction) }

func testZombieMidTransaction(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	cfg := b.config()
	cfg.TransactionTimeout = time.Minute // nobody but the new leader ends it
	for open := range slots {
		old, fresh := b.sink(cfg), b.sink(cfg)
		before := b.open(old, 0).Through[7]
		for slot := range slots { // each has committed something already
			before++
			if _, err := b.send(old, slot, out, before, fmt.Sprint(before)); err != nil {
				t.Fatal(err)
			}
		}
		zombie := old.producers[open]
		if err := zombie.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		lost := []*kgo.Record{{Topic: out.Topic, Key: []byte("k"), Value: []byte("lost")}, old.progressRecord(7, before+1)}
		if err := produce(b.ctx, zombie, lost); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if p := b.open(fresh, 0); p.Through[7] != before {
			t.Errorf("slot %d: progress = %d; want %d", open, p.Through[7], before)
		}
		if _, last := b.readStable(out, 0); last.Stable <= int64(before) || time.Since(began) > patience {
			t.Errorf("slot %d: readers are held up at %d of %d for %v", open, last.Stable, before, time.Since(began))
		}
		err := mapCommit(zombie.EndTransaction(b.ctx, kgo.TryCommit))
		if !errors.Is(err, connectors.ErrFenced) && (b.apache != nil || !errors.Is(err, connectors.ErrMaybe)) {
			t.Errorf("slot %d: commit of the zombie: %v; want %v", open, err, connectors.ErrFenced)
		}
		for slot := range slots {
			if slot == open {
				continue
			}
			if err := old.transact(b.ctx, old.producers[slot], []connectors.OutRecord{record(out, "zombie")}, map[uint16]uint64{7: before + 1}); !errors.Is(err, connectors.ErrFenced) {
				t.Errorf("slot %d: Send on slot %d of the zombie: %v; want %v", open, slot, err, connectors.ErrFenced)
			}
		}
	}
	var want []string
	for i := range slots * slots {
		want = append(want, fmt.Sprint(i+1))
	}
	if got, _ := b.readAll(out, 0); !slices.Equal(got, want) {
		t.Errorf("records = %v; want %v", got, want)
	}
}

// A new leader goes on behind the last acknowledgement: shards whose progress
// it carries are not read again, those written since are, whichever slot and
// however many transactions they came in.
func TestProgressBehindTheLastAcknowledgement(t *testing.T) {
	eachBroker(t, testProgressBehindTheLastAcknowledgement)
}

func testProgressBehindTheLastAcknowledgement(t *testing.T, b *testBroker) {
	out := b.topic("out", 2)[0]
	s := b.sink(b.config())
	b.open(s, 0)
	send := func(slot int, through map[uint16]uint64) int64 {
		t.Helper()
		next, err := s.Send(b.ctx, slot, []connectors.OutRecord{record(out, "x")}, through)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	send(0, map[uint16]uint64{1: 10, 2: 20, 300: 5})
	acked := send(1, map[uint16]uint64{1: 11})
	send(2, map[uint16]uint64{2: 21})
	last := send(3, map[uint16]uint64{2: 22, 65535: 1})
	p := b.open(b.sink(b.config()), acked)
	if len(p.Through) != 2 || p.Through[2] != 22 || p.Through[65535] != 1 || p.Offset < last {
		t.Errorf("Open(%d) = %+v; want shard 2 at 22, 65535 at 1, from %d on", acked, p, last)
	}
}

// Each group has its own partition of the progress and its own slots.
func TestGroupsDoNotFenceEachOther(t *testing.T) { eachBroker(t, testGroupsDoNotFenceEachOther) }

func testGroupsDoNotFenceEachOther(t *testing.T, b *testBroker) {
	out := b.topic("out", 1)[0]
	var sinks []*Sink
	for group := range 2 {
		s, err := NewSink(b.config(), group, 2)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		sinks = append(sinks, s)
	}
	for round := range uint64(3) {
		for group, s := range sinks {
			if round != 1 { // in between it goes on with what it has
				if p := b.open(s, 0); p.Through[7] != round {
					t.Errorf("group %d: progress = %v; want %d", group, p.Through, round)
				}
			}
			if _, err := b.send(s, int(round), out, round+1, fmt.Sprint(group, round)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, _ := b.readAll(out, 0); len(got) != 6 {
		t.Errorf("records = %v; want 6", got)
	}
}
