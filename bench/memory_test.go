package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

// A new leader goes on where the old one stopped, and the old one writes no more.
func TestMemorySinkChangesHands(t *testing.T) {
	k := newMemoryKafka([]string{"in"}, 1)
	var got []string
	k.delivered = func(r *connectors.OutRecord) { got = append(got, string(r.Key)) }
	old, next := k.sink("n1"), k.sink("n2")
	if p, err := old.Open(t.Context(), 0); err != nil || len(p.Through) != 0 {
		t.Fatalf("Open = %+v, %v; want no progress", p, err)
	}
	offset, err := old.Send(t.Context(), 0, []connectors.OutRecord{{Key: []byte("a")}}, map[uint16]uint64{3: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := next.Open(t.Context(), 0)
	if err != nil || p.Through[3] != 1 || p.Offset != offset {
		t.Fatalf("Open = %+v, %v; want shard 3 at 1, offset %d", p, err, offset)
	}
	if _, err := old.Send(t.Context(), 0, []connectors.OutRecord{{Key: []byte("b")}}, map[uint16]uint64{3: 2}); !errors.Is(err, connectors.ErrFenced) {
		t.Errorf("Send of the old leader = %v; want it fenced", err)
	}
	if _, err := next.Send(t.Context(), 0, []connectors.OutRecord{{Key: []byte("b")}}, map[uint16]uint64{3: 2}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1] != "b" {
		t.Errorf("delivered %v; want a, b", got)
	}
}

func TestMemoryFetcherReadsWhatHasArrived(t *testing.T) {
	k := newMemoryKafka([]string{"in"}, 1)
	p := k.partition("in", 0)
	for _, v := range []string{"a", "bb", "ccc"} {
		p.add([]byte(v))
	}
	f := k.fetcher()
	defer f.Close()
	f.Assign(memoryID("in", 0), 1)
	if _, err := f.Poll(t.Context()); err != nil { // tells that there is nothing
		t.Fatal(err)
	}
	p.show(3)
	k.wake()
	fetches, err := f.Poll(t.Context())
	if err != nil || len(fetches) != 1 {
		t.Fatalf("Poll = %v, %v; want one fetch", fetches, err)
	}
	got := fetches[0]
	if got.From != 1 || got.Position != 3 || got.Stable != 3 || len(got.Records) != 2 || string(got.Records[1].Value) != "ccc" || got.Records[1].Offset != 2 {
		t.Errorf("fetch = %+v; want bb and ccc at 1 and 2", got)
	}
	f.Assign(memoryID("in", 0), 0)
	f.Pause(memoryID("in", 0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if fetches, err := f.Poll(ctx); err == nil {
		t.Errorf("Poll while paused = %v; want nothing", fetches)
	}
}

// Every event is published once, in order, and none before it is due.
func TestScheduleIsOpenLoop(t *testing.T) {
	s := schedule{began: time.Now(), rate: 2000}
	next := 10
	_, err := s.part(10, 110).offer(t.Context(), func(from, to int) error {
		if from != next || to <= from {
			t.Errorf("published [%d, %d); want it to begin at %d", from, to, next)
		}
		if time.Now().Before(s.due(to - 1)) {
			t.Errorf("event %d was published before it was due", to-1)
		}
		next = to
		return nil
	})
	if err != nil || next != 110 {
		t.Errorf("offer ended at %d with %v; want 110", next, err)
	}
}
